"""The system under test: both ends as processes, and what is between them.

``processes``    starts, signals and stops the two ends
``launcher``     starts an end with a clock that can be turned
``disks``        the disks on which the ends stand: small ones that fill up and turn read-only
``proxy``        the network between a terminal and the receiver, which breaks as it is told
``destination``  the destination to which the receiver passes events on, which breaks as it is told
"""
