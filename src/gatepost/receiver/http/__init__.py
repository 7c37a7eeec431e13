"""Read HTTP requests within limits, and write responses.

``asgi``              the types of an application, and a whole response in one call
``certificates``      the certificates that the settings name
``connections/``      connections, and the whole requests that come of them
``console_access``    under which names, and from which networks, console and API are reached
``head``              HEAD, from GET
``redact``            samples of bodies without personal data and secrets
``security_headers``  headers that every response has
``server``            sockets, a certificate in use, and the server on them
``url_prefix``        addresses in responses, behind a proxy too
"""
