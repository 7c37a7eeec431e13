"""Write events: what both databases do to the tables alike.

``backfilled``         records of a terminal's history, matched with those that it pushed
``code_combinations``  the table of combinations of coded fields
``joining``            steps of alarms, joined to their occurrences
``positions``          up to where each stream of a journal is listed
``set_aside``          files of events that cannot be listed
``upserts``            statements that both databases understand
"""
