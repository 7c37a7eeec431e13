"""Routes of exports: what lists show, as a file to take away.

``controller``  the routes
``download``    a file is sent: whose turn it is, the audit log, the thread that makes it
``events``      records and alarms
``people``      attendance, and who is inside

Rules:

* A file leaves the doors behind which it was made, so it needs the role ``operator``; a viewer looks.
* Each export is one line in the audit log, written before its first byte.
* Whatever goes wrong on the way cuts the connection: a file that seems whole is whole.
"""
