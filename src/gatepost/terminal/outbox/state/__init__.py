"""The state of an outbox: what became of its events.

``state``       the state in memory, changed by operations; pure
``operations``  which operations there are; pure
``drops``       dropped events, in bursts; pure
``snapshot``    a copy of the state for another thread; pure
``log``         the state on disk: checkpoints and operations
``owner``       serial and subscription once more, in a file of their own
"""
