"""The state of each event of an outbox.

``state``       the states in memory, changed by operations; pure
``operations``  the operations; pure
``drops``       dropped events, in bursts; pure
``snapshot``    a copy of the states for another thread; pure
``log``         the states on disk: checkpoints and operations
``owner``       serial and subscription, in a second file
"""
