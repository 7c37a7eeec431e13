"""Define what a destination is told, and its secrets. Pure.

``destination``  everything of every kind: kind, address, filter, shape, order, limits
``filters``      which events it is sent
``notify``       of what people are told, and how
``templates``    topics and subjects, filled with what an event is of
``secrets``      what is not shown again
``reading``      all of it from JSON or values
"""
