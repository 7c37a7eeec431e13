"""The local socket: for firmware in other languages, and for the command line.

``server``   one JSON event a line; one reply a line, once the event is on disk
``client``   the other end
``control``  commands: status, subscribe, dead letters
"""
