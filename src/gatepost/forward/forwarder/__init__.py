"""One destination: read the feed, send, and commit the results.

``forwarder``        the turns, and the workers that send between them
``reader``           the events that its filter chooses, page by page
``packer``           renders claimed events, and puts them together for sending
``renderer``         one event of the store, as it is sent
``parcels``          events that are sent together, and the result
``outcomes``         what the results of attempts mean, for the destination and for its events
``commits``          stores steps, and reads commands of people
``circuit_breaker``  whether the destination can be reached; pure
``pace``             how many events may be sent now; pure
``surroundings``     what all forwarders of a receiver share: store, clocks, threads
"""
