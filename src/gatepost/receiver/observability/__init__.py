"""Tell operators what a receiver does.

``collectors``        numbers for ``/metrics`` that are read when it is asked for
``diagnosis``         why nothing arrives of a terminal
``logs``              the log
``prometheus``        ``/metrics``, and the numbers that are counted all along
``silent_receivers``  receivers of one database that are silent
``system``            what a receiver runs on, and how full it is
"""
