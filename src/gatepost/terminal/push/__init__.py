"""Push events from the outbox to the receiver.

``pusher``           the loop: claim, push, settle
``circuit_breaker``  what a failure means for the other events; pure
``window``           how many pushes may be under way; pure
``http_client``      POST over persistent connections
``connection``       one connection, one request at a time
``progress``         when a push is given up; pure
``http_response``    one reply, parsed and bounded; pure
``target``           addresses and request heads; pure
``tls``              which certificate is accepted, and which is shown
``dns``              host names
"""
