"""Events are on disk before a caller is told so, and stay until they are delivered or dropped.

``outbox``     what the terminal calls: put, claim, settle, subscribe, and what can be asked
``writer``     the one thread that works on the contents, and the shared syncs
``contents``   events and what became of them, changed together
``admission``  which events are accepted, refused or dropped at the limits
``retention``  how long delivered records and dead letters are kept
``loading``    reads an outbox at a start
``opening``    the folder and its lock, also after damage
``reader``     history, dead letters and export, from a copy
``status``     the ledger and the figures around it
``types``      the values that go in and come out
``segments/``  the events on disk
``disk/``      writes on a disk that may be full or failing, and makes space
``state/``     what became of them, in memory and on disk
"""
