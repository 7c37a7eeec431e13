"""Define the tables, and bring a database to them.

``migrate``      every earlier schema to the one of today
``migrations/``  the steps, as Alembic runs them
``tables``       the tables
"""
