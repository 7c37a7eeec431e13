"""The outbox: an event is on disk before its caller is told so, and stays until it is delivered or dropped.

``outbox``     the interface for the terminal: put, claim, settle, subscribe, status
``writer``     the one thread that works on the contents, and the shared syncs
``contents``   events and their states, changed together
``admission``  accepts events, refuses them, or drops others at the limits
``retention``  how long delivered records and dead letters are kept
``loading``    reads an outbox at a start
``opening``    the folder and its lock, also after damage
``reader``     history, dead letters and export, from a copy
``status``     the ledger and the figures around it
``types``      the values that go in and come out
``segments/``  the events on disk
``state/``     the states of the events, in memory and on disk
``disk/``      writes on a disk that may be full or failing, and makes space
"""
