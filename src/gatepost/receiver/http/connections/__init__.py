"""Take whole requests from connections, within limits of number, time and size.

``limits``          what all connections share: who gives way, and what is refused
``connection``      one connection: whose turn it is, what it may take, and how it ends
``request_reader``  the requests of one connection, read by rules for their heads and bodies
``parser_errors``   what is wrong with bytes that are no HTTP
``tls_handshake``   connections before their TLS handshake is done
"""
