"""Manage real terminals from the receiver, by their own HTTP service.

``managing``      what the API, the console and the jobs share: adopt, verify, resume, release, talk
``client``        a terminal's service: who it is, its subscription, its history
``failures``      what may go wrong when it is asked
``surroundings``  what all of them are handed
``adoption``      one terminal is adopted: looked at, logged in to, and stored before anything is written to it
``many``          the job that adopts many
``tending/``      the job that looks at adopted terminals
``history/``      back-fill and the daily audit
``finding/``      terminals that are discovered, scanned or imported
``why``           why nothing arrives of a terminal, and what to do next; pure
``why_words``     the same in words, in either language
"""
