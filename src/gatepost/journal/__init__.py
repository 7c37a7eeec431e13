"""An append-only log that is synced before anyone is told, and readers that keep their place in it.

``format``   bytes of segments and packs: headers, frames, and how a damaged one is passed over; pure
``files``    the calls to the disk
``folder``   a journal on disk: its id, its streams, what was synced, and removal
``writer``   appends to a stream
``packs``    images beside the streams, each encrypted with a key of its own
``reader``   reads every stream, alarms first

Nothing in it knows what a frame's body means.
"""
