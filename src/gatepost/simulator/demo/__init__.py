"""``make demo``: a receiver and terminals on this machine, an outage, and a comparison at the end.

``run``               the demonstration
``view``              what it shows
``receiver_process``  the receiver, as a process of its own
``inventory``         compares what was recorded with what the receiver lists
"""
