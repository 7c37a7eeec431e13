"""Decide what of one destination is sent next, and what of it is settled. Pure: no I/O, no clock, no randomness.

``progress``  the decisions: pages in, events out, outcomes in, a step to be committed out
``events``    the events that are read and not settled, and which of them others wait for
``moves``     the places of tracks move over what is settled or gets a row; the ledger is counted
``tracks``    what is read and stands before the place of a track moves over it
``asides``    stretches of one terminal that are sent later
``passing``   the event behind one that is refused again and again
``steps``     what is gathered for one commit
"""
