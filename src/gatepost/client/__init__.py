"""The receiver's API from Python: typed, blocking, on the standard library alone."""
