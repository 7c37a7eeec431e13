"""Decide which terminal a push is of, and change terminals.

``admin``      changes of terminals and sites
``identify``   which terminal pushes, and whether its push is taken
``name_list``  names of many terminals, from a list
``presence``   whether a terminal is online, late or offline
``preview``    what a change would refuse
"""
