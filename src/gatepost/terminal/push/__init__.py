"""From the outbox to the receiver.

``pusher``     claim, push, settle: the loop
``gate``       what a failure means for the other events
``transport``  connections, and a time limit for each phase
``http1``      one reply, parsed and bounded
``target``     addresses and request heads
``trust``      TLS
``resolve``    names
"""
