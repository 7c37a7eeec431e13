"""Take a push, and acknowledge it when it is in the journal. The process ingest does this.

``endpoint``          ``POST /Record``
``frames``            the body of a frame in the journal
``group_commit``      one sync for many pushes
``health``            ``/healthz`` and ``/readyz``
``posts``             a push, told from what else may be posted
``push``              one push: its head, its key, who waits for its reply
``quotas``            how much is taken from terminals that are not approved
``refusal_counters``  refusals, counted by terminal and reason
``refused_pushes``    refused pushes, handed to the desk every second
``serials``           which serial the events of a push name
``until_listed``      replies that wait until the event is listed
``waiting_event``     an event in the queue of the group commit
"""
