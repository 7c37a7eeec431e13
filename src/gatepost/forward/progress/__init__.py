"""Decide what a destination is sent next, and what is settled. Pure: no I/O, no clock, no randomness.

``progress``  the decisions: pages in, events out, results in, a step to commit out
``events``    events that are read and not settled, and which of them others wait for
``moves``     moves the positions of tracks past settled events and exceptions; counts the ledger
``tracks``    events, tracks, and the rows of exceptions
``asides``    stretches of one terminal that are sent later
``passing``   tries the event after one that is refused again and again
``steps``     what is gathered for one commit
"""
