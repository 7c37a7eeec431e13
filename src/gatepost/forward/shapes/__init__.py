"""An event as the bytes that are sent: ``cloudevents``, ``flat``, ``push``. Pure.

``shape``    writes an event in a shape
``schemas``  the shapes as JSON Schemas
"""
