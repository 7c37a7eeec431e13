"""The local socket, for firmware in other languages and for the command line.

``server``   one JSON event per line; one reply per line, once the event is on disk
``client``   the other end
``control``  commands: status, subscribe, dead letters
"""
