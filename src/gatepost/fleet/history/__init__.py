"""Fetch what is missing here from the histories of adopted terminals, and count their days.

``histories``  what the API and the console share
``records``    which spans are asked for, and which records are not here; pure
``backfill``   the jobs that fetch spans, and go on where they were
``audit``      how many records a terminal has of a day, against how many are here
"""
