"""``gatepost forward``: destinations on the command line.

``commands``  the commands, in the order in which the help lists them
``make``      make, pause, resume and delete
``show``      list, show, and recount a ledger
``send``      a test, a span once more, and dead letters
``common``    what they share: the store, the destination that is named, the audit log, JSON
"""
