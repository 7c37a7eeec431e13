"""The steps from every earlier schema to today's; see :mod:`gatepost.store.schema.migrate`."""
