"""Take a push, and acknowledge it when it is in the journal. The process ingest does this.

``app``         the ingest, put together
``options``     what of the settings concerns pushes
``paths``       the paths at which pushes are taken, and the token in one
``endpoint``    ``POST /Record``
``asgi``        pushes that come as ASGI requests
``posts``       a push, told from what else may be posted
``health``      ``/healthz`` and ``/readyz``
``quotas``      how much is taken from terminals that are not approved
``push/``       the steps of one push, from its head to the journal
``refusals/``   refused pushes, counted and listed
``commit/``     events into the journal: one sync for many pushes
``event_keys``  what makes two pushes of one terminal the same event
"""
