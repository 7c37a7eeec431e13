"""Keep the processes of a receiver running, and connect them.

``desk_line``   the ingest's end of the line to the desk
``desk_proxy``  requests that are no pushes, handed to the desk
``gauges``      what an ingest counts
``ingests``     the desk's end of the line to each ingest
``link``        the line: calls both ways over a local socket
``memory``      memory, given back to the system
``stop``        the end of a process, in time
``supervisor``  the supervisor
``wake``        tell another process that the journal has more
"""
