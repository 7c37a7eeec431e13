"""Rules for receivers.

``rules``      all of them, in the order in which they are tried
``probe``      one receiver under examination: pushes to it and keeps the exchanges
``replies``    what it replies to pushes that the page allows
``transport``  how it reads HTTP: slow, cut off, in chunks, many at once
``dialects``   bodies as real fleets send them
``field``      what terminals in the field do besides
``listed``     what it lists of the events that were sent
"""
