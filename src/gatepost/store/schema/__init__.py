"""Define the tables, and bring a database to them.

``account_tables``     accounts, the audit log, saved views
``event_tables``       what terminals send, its images, and the people in it
``fleet_tables``       adopted terminals and their histories
``forwarding_tables``  destinations of forwarding
``metadata``           what all tables have in common
``migrate``            every earlier schema to the one of today
``migrations/``        the steps, as Alembic runs them
``people_tables``      what the office says of people, and who was erased
``postgresql``         what PostgreSQL is told about the tables
``receiver_tables``    what the receivers of one database share
``tables``             all tables, and the rules that they keep
``terminal_tables``    terminals and their sites
"""
