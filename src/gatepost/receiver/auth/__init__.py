"""Decide who a client is, and what it may do.

``audit_groups``    one line of the audit log for many looks
``authenticator``   logins, sessions, and who sent a request
``cookies``         cookies of sessions and devices
``hashing``         threads in which passwords are hashed
``issuing``         tokens, the first account and passwords by chance
``login_throttle``  how often a password may be tried
``openid``          the identity provider, asked and verified
``openid_login``    a session for who comes back from the provider
``openid_settings`` the provider's settings, read
``openid_values``   what the provider says, and why a login came to nothing
``passwords``       which passwords are taken
``principal``       roles, and the sender of a request who has one
"""
