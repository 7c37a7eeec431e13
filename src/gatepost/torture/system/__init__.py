"""The system under test: both ends as processes, and what is between them.

``processes``    starts, signals and stops the two ends
``launcher``     starts an end with a clock that can be set from outside
``disks``        the disks of the ends: small ones that fill up and turn read-only
``proxy``        the network between a terminal and the receiver, with faults on request
``destination``  the destination to which the receiver passes events on, with faults on request
"""
