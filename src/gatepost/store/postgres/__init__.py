"""Store in PostgreSQL: several receivers on one database.

``batch``          a batch as arrays, and the statements that take them
``binary_arrays``  columns of a batch as binary arrays
``connection``     how a server is reached, and checked
``inserter``       a batch, inserted
``store``          the store
"""
