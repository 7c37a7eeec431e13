"""``gatepost forward``: destinations on the command line.

``commands``  the commands
"""
