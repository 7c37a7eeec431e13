"""Log in at an identity provider (OpenID Connect).

``provider``  the identity provider, asked and verified
``login``     a session for who comes back from the provider
``settings``  the provider's settings, read
``values``    what the provider says, and why a login came to nothing
"""
