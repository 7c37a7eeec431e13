"""Decide who a client is, and what it may do.

``authenticator``   passwords, sessions, tokens and roles
``login_throttle``  how often a password may be tried
"""
