"""An event as the bytes that are sent: ``cloudevents``, ``flat``, ``push``. Pure.

``shape``    writes an event in the shape of its destination; ``cloudevents`` and ``push``
``flat``     the shape ``flat``
``data``     the data in both of the others: a record, a step of an alarm, a notice
``schemas``  the shapes as JSON Schemas
"""
