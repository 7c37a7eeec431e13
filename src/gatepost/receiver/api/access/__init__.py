"""Accounts, what they may call, and what belongs to them.

``authorization``  decides who may call which route
``session``        login, logout and the own password
``accounts``       accounts, tokens and the audit log
``views``          saved filters
``shares``         how much of what is shared one account may take
"""
