"""Decide which terminal a push is of, and change terminals.

``identify``   which terminal pushes, and whether its push is taken; pure
``directory``  the terminals that are known, and what was decided
``claims``     what a push says of its origin, what is known and what is decided; pure values
``sources``    tokens, and programs that push for several terminals; pure
``networks``   networks, and the address that a request comes from; pure
``admin``      changes of terminals and sites
``name_list``  names of many terminals, from a list
``presence``   whether a terminal is online, late or offline
``preview``    what a change would refuse
"""
