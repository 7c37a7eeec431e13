"""``/api/v1/destinations``: where events are passed on to, how far each is, and what to do about it.

``controller``  the routes
"""
