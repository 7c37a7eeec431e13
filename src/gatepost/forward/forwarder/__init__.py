"""One destination: read the feed, send, and commit what came of it.

``forwarder``        the turns, and the workers that send between them
``reader``           what its filter chooses, page by page
``packer``           what is claimed: rendered, and put together as it is sent
``renderer``         one event of the store, as it is sent
``parcels``          events that are sent together, and what came of it
``outcomes``         what the outcomes of attempts mean, for the destination and for its events
``commits``          the steps that are stored, and what people did meanwhile
``circuit_breaker``  whether the destination can be reached; pure
``pace``             how many events may leave now; pure
``surroundings``     what every forwarder of a receiver is handed: store, clocks, threads
"""
