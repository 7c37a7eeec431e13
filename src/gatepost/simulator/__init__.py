"""A fleet that needs no hardware: terminals of every firmware, a site full of drawn people, and a day at its doors.

The world, drawn by lot from a seed:

``lots``       where every random draw comes from, so that a seed decides everything
``people``     who there is; ``face`` and ``portraits`` draw what they look like
``passages``   what one passage or alarm consists of
``roster``     which employee works when
``scenario``   who comes when, to which door, and what is wrong with that door
``dialects``   how each firmware writes it; ``faulty`` breaks one event in twenty

What runs it:

``faithful``   the engine whose terminals are the real ones, with outbox and pusher
``fast``       the engine that loads a receiver; ``prepared`` makes its requests beforehand
``fleet``      one run of either; ``meter`` counts, ``view`` shows, ``report`` sums up
``demo``       ``make demo``; ``receiver_process`` and ``inventory`` are its other end
"""
