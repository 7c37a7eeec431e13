"""Do what the desk does without a request.

``errands``       short store calls that a push waits for
``forgetting``    what a process remembers of erased people, forgotten
``moving``        moves of terminals, completed
``projector``     the projector: from the journal into the store
``reprocessing``  quarantined pushes, processed again
``retention``     retention, every now and then
"""
