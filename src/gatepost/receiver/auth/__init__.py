"""Decide who a client is, and what it may do.

``audit_groups``    one line of the audit log for many looks
``authenticator``   passwords, sessions, tokens and roles
``hashing``         threads in which passwords are hashed
``login_throttle``  how often a password may be tried
``openid``          the identity provider, asked and verified
``openid_login``    a session for who comes back from the provider
``openid_settings`` the provider's settings, read
``openid_values``   what the provider says, and why a login came to nothing
``passwords``       which passwords are taken
"""
