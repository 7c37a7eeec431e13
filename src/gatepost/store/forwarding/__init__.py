"""Keep destinations of forwarding, and read the feed for them.

``destination_leases``   which process sends to a destination
``destination_ledgers``  what is stored of each destination, and what it has not read yet
``destination_rows``     what is kept of destinations, as values
``destination_steps``    what a forwarder has done, and what people decide about dead letters
``destinations``         destinations, changed and listed
``feed_counts``          how many events are between two places of the feed
``forward_feed``         pages of the feed, with the events that a filter chooses
``gone_destinations``    deleting destinations, and replays that are over
"""
