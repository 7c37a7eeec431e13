"""Know how far one destination is, and store it.

:mod:`~gatepost.forward.progress.progress` decides, purely; :mod:`~gatepost.forward.progress.commits` stores.
"""
