"""A terminal with faults on request, to test software that works with terminals.

``faults``     the faults, and how their options are read; pure
``service``    the terminal's HTTP service with faults in its replies
``rehearsal``  what happens to that service over time: reboots, other tools, new addresses and certificates
``serving``    serves it, with or without faults
"""
