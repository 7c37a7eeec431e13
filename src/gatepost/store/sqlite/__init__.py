"""Store in SQLite: a data folder that one process has open.

``batch``           a batch, inserted
``checkpoint``      the WAL of SQLite, copied into the database
``connection``      the connection that writes, and those that read
``data_folder``     the folder: its lock, its files
``second_process``  accounts, from another process
``store``           the store
"""
