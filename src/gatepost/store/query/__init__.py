"""Read lists and counts.

``alarms``         alarms and their steps
``counting``       how many rows a filter leaves
``dashboard``      counts of today, and when each terminal was heard
``feed``           what arrived, in order, and what of that is deleted
``first_records``  the first records of all, looked through
``index_merge``    many sorted lists as one
``notices``        what happened to the installation itself
``quarantine``     the quarantine, and refused pushes
``record_search``  which records are on a page, for any filters
``records``        records, one by one and in pages
``reprocess``      a quarantined push, decoded again
``statistics``     numbers by hour and by day
"""
