"""The state of an outbox: what became of its events.

``state``  the state in memory, changed by operations; pure
``log``    the state on disk: checkpoints and operations
``owner``  serial and subscription once more, in a file of their own
"""
