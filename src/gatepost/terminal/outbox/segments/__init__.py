"""The events of an outbox on disk, in segments of a journal.

``segments``   all segments of a folder: append, look up, read, delete
``segment``    one segment: the place of each event, and its texts
``frames``     an event as the body of a frame, and the index of a segment; pure
``loader``     finds the segments at a start
``scan``       reads a segment whose index is missing
``spans``      which numbers are written, deleted or damaged
``holes``      gives the bytes of some events back to the disk
``set_aside``  damaged bytes that are kept for inspection
"""
