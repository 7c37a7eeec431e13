"""Pages of administration, and those that every user needs.

``welcome``        the first start
``setup_left``     which steps of the first start are left
``setup_address``  the address that terminals are to push to
``login``          login, logout and the choice of language
``account``        one's own account
``settings``       settings, users, tokens and the audit log
``system``         disk use, journal and retention
``help``           the list of help
"""
