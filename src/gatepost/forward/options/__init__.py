"""The settings of a destination, and its secrets. Pure.

``destination``  the settings of every kind: kind, address, filter, shape, order, limits
``filters``      which events are sent
``notify``       which events people are notified of, and how
``templates``    topics and subjects, filled in from an event
``secrets``      values that are never shown again
``reading``      reads all of it from JSON or values
"""
