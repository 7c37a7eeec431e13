"""Manage real terminals from the receiver, by their own HTTP service.

==============  ======================================================================================================
``client``      A terminal's service: who it is, its subscription, its history.
``tending``     When a terminal is looked at, and what is done then. Pure.
``history``     Which spans of a terminal's history are fetched, and which of its records are here already. Pure.
``why``         Why nothing arrives of a terminal, and what to do next. Pure.
``why_words``   The same in words, in either language.
==============  ======================================================================================================
"""
