"""Rules for terminals.

``rules``          all of them, and the run that ends with the subscription restored
``session``        one terminal under examination: requests to its HTTP service, and a receiver for its pushes
``fake_receiver``  that receiver: it keeps the contract, and breaks it on command
``pushes``         what the terminal pushes
``replies``        what it does after each kind of reply
``retries``        what it sends again, and when
``http_api``       its HTTP service
"""
