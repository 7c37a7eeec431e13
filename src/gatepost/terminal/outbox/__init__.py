"""Events are on disk before a caller is told so, and stay until they are delivered or dropped.

``outbox``     what the terminal calls: put, claim, settle, subscribe, and what can be asked
``writer``     the one thread that works on the contents, and the shared syncs
``contents``   events and what became of them, changed together
``admission``  which events are accepted, refused or dropped at the limits
``saving``     writes what became of events, on a disk that may be full or failing
``space``      makes space on a full disk
``shortage``   whose fault a full disk is: the outbox's own, or another program's
``retention``  how long delivered records and dead letters are kept
``loading``    reads an outbox at a start
``opening``    the folder and its lock, also after damage
``reader``     history, dead letters and export, from a copy
``status``     the ledger and the figures around it
``disk_log``   log lines about a disk that does not take everything
``types``      the values that go in and come out
``segments/``  the events on disk
``state/``     what became of them, in memory and on disk
"""
