"""Do what the desk does without a request.

``projector/``    from the journal into the store
``archiving``     closed packs, moved to their archive
``desk_writer``   events that no push brought, appended to the journal
``errands``       short store calls that a push waits for
``forgetting``    what a process remembers of erased people, forgotten
``moving``        moves of terminals, completed
``reprocessing``  quarantined pushes, processed again
``retention``     retention, every now and then
``watching``      what is wrong with the installation, told once
"""
