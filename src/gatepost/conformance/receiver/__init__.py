"""Rules for receivers.

``rules``       all of them, in the order in which they are tried
``probe``       one receiver under examination: pushes to it and keeps the exchanges
``replies``     what the reply to an event looks like
``variations``  events that are unusual, repeated or broken
``transport``   how it reads HTTP: slow, cut off, in chunks, many at once
``dialects``    bodies as each firmware writes them
``field``       what terminals in the field do as well
``listed``      what it lists of the events that were sent
"""
