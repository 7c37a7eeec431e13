"""``make demo``: a receiver and terminals on this machine, cables that are pulled, and what arrived in the end.

``run``               the demonstration
``view``              what it shows
``receiver_process``  the receiver, as a process of its own
``inventory``         what was recorded, against what the receiver lists
"""
