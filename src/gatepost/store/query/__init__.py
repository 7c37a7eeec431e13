"""Read lists and counts, and change terminals, sites and accounts.

``accounts``         accounts, sessions, tokens and the audit log
``audit_chain``      the digests that chain the audit log
``dashboard``        counts of today, and when each terminal was heard
``feed``             what arrived, in order, and what of that is deleted
``index_merge``      many sorted lists as one
``page_bytes``       how many bytes a page has
``quarantine``       the quarantine, and refused pushes
``receivers``        the receivers of one database
``record_search``    which records are on a page, for any filters
``records``          pages of records and alarms
``registry``         terminals and sites
``reprocess``        a quarantined push, decoded again
``statistics``       numbers by hour and by day
``terminal_labels``  names and sites of terminals
"""
