"""The tables of the first migration, by subject, as it makes them; none of today's tables is imported.

``accounts``    accounts, their tokens, sessions and views, and of the audit log
``events``      what terminals send, and of the people in it
``fleet``       adopted terminals and their histories
``forwarding``  destinations of forwarding
``ids``         their type of ids
``people``      what the office says of people, and of who was erased
``receivers``   what the receivers of one database share
``terminals``   terminals, their sites and their counts
"""
