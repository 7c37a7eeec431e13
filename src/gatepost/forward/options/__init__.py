"""Define what a destination is told, and its secrets. Pure.

:mod:`~gatepost.forward.options.destination` has everything of every kind; what is large of it has a file of its own.
"""
