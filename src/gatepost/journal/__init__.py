"""An append-only log that is synced before a caller is told, and readers that keep their position in it.

``format``       bytes of segments and packs: headers, frames, and how a damaged one is passed over; pure
``files``        the calls to the disk
``streams``      how far a stream is written, published and read; pure
``folder``       a journal on disk: its id, its streams, their removal
``writer``       appends to a stream
``reader``       reads every stream, alarms first
``places``       an image to be written, and the place of one that was; pure
``pack_files``   the files of packs, and their names
``pack_writer``  writes images into packs, each encrypted with a key of its own
``pack_reader``  reads them
``packs``        moves packs to an archive, and deletes packs and images
``archive``      a folder or a bucket that several journals share

The content of a frame's body means nothing here.
"""
