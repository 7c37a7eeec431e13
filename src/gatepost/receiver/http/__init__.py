"""Read HTTP requests within limits, and write responses.

``asgi``              the types of an application, and a whole response in one call
``certificates``      the certificates that the settings name
``connection``        one connection: whose turn it is, what it may take, and how it ends
``console_access``    under which names, and from which networks, console and API are reached
``head``              HEAD, from GET
``limits``            limits of all connections together
``parser_errors``     what is wrong with bytes that are no HTTP
``redact``            samples of bodies without personal data and secrets
``request_reader``    the requests of one connection, read by rules for their heads and bodies
``security_headers``  headers that every response has
``server``            sockets, a certificate in use, and the server on them
``tls_handshake``     connections before their TLS handshake is done
``url_prefix``        addresses in responses, behind a proxy too
"""
