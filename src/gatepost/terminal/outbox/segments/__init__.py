"""The events of an outbox on disk, in segments of a journal.

``segments``   all segments of a folder: append, look up, read, give back, delete
``frames``     an event as the body of a frame, and the index of a segment; pure
``set_aside``  damaged bytes that are kept for a person to look at
"""
