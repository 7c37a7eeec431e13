"""Serve API and console, list events, and do the jobs. The process desk does this; no push waits for it.

``app``  the desk, put together
"""
