"""A terminal that misbehaves as it is told, so that the software around it can be tried.

``faults``     which faults there are, and how their options are read (pure)
``service``    the terminal's HTTP service with faults in its replies
``rehearsal``  what happens to that service over time: reboots, other tools, new addresses and certificates
"""
