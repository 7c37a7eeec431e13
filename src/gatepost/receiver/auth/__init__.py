"""Decide who a client is, and what it may do.

``audit_groups``    one line of the audit log for many looks
``authenticator``   passwords, sessions, tokens and roles
``hashing``         threads in which passwords are hashed
``login_throttle``  how often a password may be tried
``openid``          logins at an identity provider
``passwords``       which passwords are taken
"""
