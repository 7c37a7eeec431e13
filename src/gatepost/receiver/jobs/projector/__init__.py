"""List what the journal holds: what was acknowledged becomes rows.

``projector``    the projector and its thread
``batches``      events that are not listed yet, read from the journal
``attribution``  whose the events of a batch are
``listing``      a batch, stored
``unlisted``     events that cannot be listed, tried again or deleted
``lag``          how far the store is behind the journal
"""
