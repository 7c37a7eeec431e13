"""From the bytes of a push to an event, in every dialect. Pure.

``decoder``       one event: which kind it is, and its fields
``fast_decoder``  the usual record, read at once
``several``       bodies with more than one event
``decoded``       what a decoder returns
``fields``        one JSON object, field by field
``times``         a time, in any of its forms
``images``        an image, in base64
``json_parser``   a JSON value from bytes that may not quite be JSON
``json_repair``   the deviations from JSON that are repaired
``json_places``   where a member stands in the text
``charset``       text that is no UTF-8
``redact_pin``    removes every ``pin``
"""
