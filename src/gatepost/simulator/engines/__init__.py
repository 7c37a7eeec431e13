"""Send the world's events to a receiver.

``faithful``           the engine whose terminals are the real ones, with outbox and pusher
``fast``               the engine that loads a receiver
``virtual_terminals``  the terminals of the fast engine
``prepared``           the requests of the fast engine, made beforehand
``faulty``             faults of the field in one event of twenty
``services``           the terminals' own HTTP services
"""
