"""Rules for terminals.

``rules``          all of them, and the run that restores the subscription at the end
``session``        one terminal under examination: requests to its HTTP service, and a receiver for its pushes
``fake_receiver``  that receiver: it keeps the protocol, and breaks it on request
``pushes``         what the terminal pushes
``replies``        what it does after each kind of reply
``retries``        what it pushes again, and when
``http_api``       its HTTP service
"""
