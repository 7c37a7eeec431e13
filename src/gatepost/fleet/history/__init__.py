"""Fetch what is missing here from the histories of adopted terminals, and count their days.

``histories``  what the API and the console share
``records``    which spans are asked for, and which records are not here; pure
``backfill``   the jobs that fetch spans, and go on where they were
``fetching``   one job: its windows, page by page
``storing``    windows on their way into the journal while the next ones are fetched
``audit``      how many records a terminal has of a day, against how many are here
``around``     what all of them are handed in
"""
