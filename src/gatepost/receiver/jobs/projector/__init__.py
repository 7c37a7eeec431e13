"""List what the journal holds: what was acknowledged becomes rows.

``projector``    the projector and its thread
``attribution``  whose the events of a batch are
``lag``          how far the store is behind the journal
"""
