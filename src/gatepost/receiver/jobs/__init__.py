"""Do what the desk does without a request.

``archiving``     closed packs, moved to their archive
``attribution``   whose the events of a batch are
``desk_writer``   events that no push brought, appended to the journal
``errands``       short store calls that a push waits for
``forgetting``    what a process remembers of erased people, forgotten
``lag``           how far the store is behind the journal
``moving``        moves of terminals, completed
``projector``     the projector: from the journal into the store
``reprocessing``  quarantined pushes, processed again
``retention``     retention, every now and then
``watching``      what is wrong with the installation, told once
"""
