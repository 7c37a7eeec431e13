"""Draw people, terminals and events by lot from a seed, without I/O.

``rng``        the source of every random draw, so that a seed decides everything
``people``     who there is
``face``       how a face is drawn
``portraits``  which face a person has, as a JPEG
``passages``   what one passage or alarm consists of
``roster``     which employee works when
``scenario``   who comes when, to which door, and what is wrong with that door
``dialects``   how each firmware writes it
"""
