"""An event as the bytes that are sent: ``cloudevents``, ``flat``, ``push``. Pure.

``shape``    writes an event in a shape, and is ``cloudevents`` and ``push``
``flat``     ``flat``
``data``     what is in ``cloudevents`` and ``flat``: a record, a step of an alarm, a notice
``schemas``  the shapes as JSON Schemas
"""
