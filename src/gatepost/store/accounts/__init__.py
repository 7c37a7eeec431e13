"""Keep accounts, the audit log of what they do, and the views that they save.

``accounts``     accounts, sessions and tokens
``audit_chain``  the digests that chain the audit log
``audit_log``    the audit log, written and read
``names``        names of accounts, and those that are taken
``rows``         accounts and tokens as they are read
``saved_views``  filters of a page, saved under a name
"""
