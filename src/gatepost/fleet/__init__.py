"""Manage real terminals from the receiver, by their own HTTP service.

==============  ======================================================================================================
``client``      A terminal's service: who it is, its subscription, its history.
``tending``     When a terminal is looked at, and what is done then. Pure.
``why``         Why nothing arrives of a terminal, and what to do next. Pure.
``why_words``   The same in words, in either language.
``history``     Read a terminal's history: which spans are asked for, and which records are not here. Pure.
``backfill``    Jobs that fetch spans of terminals' histories, and go on where they were.
``audit``       How many records a terminal has of a day, against how many are here.
==============  ======================================================================================================
"""
