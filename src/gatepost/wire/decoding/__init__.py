"""From the bytes of a push to an event, in every dialect. Pure.

``decoder``       one event: which kind it is, and its fields
``fast_decoder``  the usual record, read at once
``several``       bodies with more than one event
``decoded``       what a decoder returns
``fields``        one JSON object, field by field
``times``         a time, in any of its forms
``images``        an image, in base64
``json/``         a JSON value from bytes that may not quite be JSON
``redact_pin``    removes every ``pin``
"""
