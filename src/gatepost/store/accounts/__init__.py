"""Keep accounts, the audit log of what they do, and the views that they save.

``accounts``     accounts, sessions, tokens and the audit log
``audit_chain``  the digests that chain the audit log
``saved_views``  filters of a page, saved under a name
"""
