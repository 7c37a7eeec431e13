"""Decide who a client is, and what it may do.

``audit_changes``   a change, as the audit log tells it
``audit_groups``    one line of the audit log for many looks
``authenticator``   logins, sessions, and who sent a request
``cookies``         cookies of sessions and devices
``hashing``         threads in which passwords are hashed
``issuing``         tokens, the first account and passwords by chance
``login_throttle``  how often a password may be tried
``openid/``         logins at an identity provider
``passwords``       which passwords are taken
``principal``       roles, and the sender of a request who has one
"""
