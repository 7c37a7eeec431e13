"""The local door: a Unix socket for firmware in other languages, and for the command line.

``door``       the socket: one JSON event a line, one answer a line once it is on disk
``client``     the other side of it
``questions``  what may be asked besides
"""
