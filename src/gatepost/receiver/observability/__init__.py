"""Tell operators what a receiver does.

``logs``              the log
``prometheus``        ``/metrics``
``silent_receivers``  receivers of one database that are silent
"""
