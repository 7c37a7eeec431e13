"""Take pushes, and serve what was stored: the processes ingest and desk.

``api/``               serve the HTTP API: one file a resource
``auth/``              decide who a client is, and what it may do
``commands/``          define the receiver's commands, except ``serve``
``desk/``              serve API and console, list events, and do the jobs. The process desk
``exports/``           write files: CSV, XLSX, JSON lines, ZIP
``http/``              read HTTP requests within limits, and write responses
``ingest/``            take a push, and acknowledge it when it is in the journal. The process ingest does this
``jobs/``              do what the desk does without a request
``live_stream``        the live stream
``observability/``     tell operators what a receiver does
``opening``            store and journal of a data folder, opened
``people_rules``       what the settings say about people and attendance
``processes/``         keep the processes of a receiver running, and connect them
``program``            ``gatepost serve``: supervisor, ingest and desk
``settings_in_force``  the settings of the start, and what was changed since
``terminals/``         decide which terminal a push is of, and change terminals
``thumbnails``         small images of large ones
"""
