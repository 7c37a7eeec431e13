"""Take a push, and acknowledge it when it is in the journal. The process ingest does this.

``app``        the ingest, put together
``endpoint``   ``POST /Record``
``health``     ``/healthz`` and ``/readyz``
``posts``      a push, told from what else may be posted
``push/``      one push: its head, its key, its quota, who waits for its reply
``commit/``    events into the journal: one sync for many pushes
``refusals/``  refused pushes, counted and listed
"""
