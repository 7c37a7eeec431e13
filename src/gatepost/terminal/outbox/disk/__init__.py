"""Write to a disk that may be full or failing, and make space on it.

``saving``    writes what became of events; what cannot be written now is kept and written later
``space``     frees space on a full disk
``shortage``  whose fault a full disk is: the outbox's own, or another program's
``log``       log lines about a disk that does not take everything
"""
