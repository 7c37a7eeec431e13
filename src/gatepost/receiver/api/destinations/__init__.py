"""``/api/v1/destinations``: where events are passed on to, how far each is, and what to do about it.

``controller``   the routes
``bodies``       what requests have, and what replies show of a destination
``replies``      replies, made of what is stored
``asking``       a destination or 404, and what the console does in the same way
``audit``        what the audit log has of it
``image_links``  images for the holder of a link, without a login
"""
