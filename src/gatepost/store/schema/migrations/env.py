"""How Alembic runs the steps: on the connection that the store hands over, within its transaction."""

from alembic import context

from gatepost.store.schema.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
context.run_migrations()
