"""Routes of terminals and of the sites where they are.

``controller``  one terminal; the list of all
``chosen``      several at once, all or none
``values``      what requests bring and responses tell of a terminal
``sites``       sites and their time zones
"""
