"""A fleet that needs no hardware: terminals of every firmware, a site full of drawn people, and a day at its doors.

``lots``       where every random draw comes from, so that a seed decides everything
``people``     who there is; ``face`` and ``portraits`` draw what they look like
``passages``   what one passage or alarm consists of
``scenario``   who comes when, to which door, and what is wrong with that door
``dialects``   how each firmware writes it
"""
