"""Draw people, terminals and events from a seed. Pure.

``scenario``   who comes when, to which door, and what is wrong with that door
``passages``   the parts of one passage or alarm
``roster``     which employee works when
``people``     who there is
``portraits``  which face a person has, as a JPEG
``face``       how a face is drawn
``dialects``   how each firmware writes an event
``rng``        the source of every random draw
"""
