"""Hold what goes into a store and comes out of it: frozen values, without a database behind them.

Times are aware and in UTC; what ends in ``_ms`` is in milliseconds, Unix time unless it says otherwise. ``None``
stands for what a terminal did not say.

``arrivals``   events as they come in, and how far a journal is read
``terminals``  terminals, their sites, and the receivers of a database
``events``     records and alarms as they are stored
``queries``    which records, alarms and pushes a list has
``lists``      what a user may see, pages, and counts
``feed``       what is read of the feed, and what may be passed on
``refusals``   pushes that were refused or not understood
"""
