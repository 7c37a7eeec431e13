"""An append-only log: an append returns when it is synced, and readers keep their position.

``writer``   appends to a stream
``reader``   reads every stream, alarms first
``packs/``   the images, in packs
``folder``   a journal on disk: its id, its streams, their removal
``streams``  how far a stream is written, published and read; pure
``format``   bytes of segments and packs: headers, frames, and how a damaged one is skipped; pure
``places``   an image to write, and the place of a written one; pure
``files``    the calls to the disk

The journal never interprets the body of a frame.
"""
