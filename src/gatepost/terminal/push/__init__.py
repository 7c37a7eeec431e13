"""From the outbox to the receiver.

``pusher``     claim, push, settle: the loop
``gate``       what a failure means for the other events
``window``     how many pushes may be under way
``transport``  POST, over kept connections
``connection`` one connection, one request at a time
``progress``   when a push is given up
``http1``      one reply, parsed and bounded
``target``     addresses and request heads
``trust``      TLS
``resolve``    names
"""
