"""Manage real terminals from the receiver, by their own HTTP service.

=================  =================================================================================================
``managing``       What the API, the console and the jobs share: adopt, verify, resume, release, talk.
``client``         A terminal's service: who it is, its subscription, its history.
``adoption``       One terminal is adopted: looked at, logged in to, and stored before anything is written to it.
``many``           The job that adopts many.
``tending``        When a terminal is looked at, and what is done then. Pure.
``visit``          One look at one terminal.
``tend``           The job that looks at all that are due.
``why``            Why nothing arrives of a terminal, and what to do next. Pure.
``why_words``      The same in words, in either language.
``history``        Read a terminal's history: which spans are asked for, and which records are not here. Pure.
``backfill``       Jobs that fetch spans of terminals' histories, and go on where they were.
``audit``          How many records a terminal has of a day, against how many are here.
``surroundings``   What all of them are handed.
``histories``      What the API and the console share of back-fill and the daily audit.
``finding``        What the API and the console share of terminals that are found: discovered, scanned, imported.
``announcements``  What terminals say of themselves by mDNS, decoded. Pure.
``discovery``      Terminals that announce themselves, while a person looks.
``scan``           Terminals in typed networks.
``csv_import``     Terminals from a file.
=================  =================================================================================================
"""
