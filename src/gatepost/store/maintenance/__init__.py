"""Back up, restore and check a store from another process.

``age``       encrypted backups
``backup``    a store and its journal as one file
``check``     whether a store keeps its promises
``restore``   a backup into an empty store
``snapshot``  one consistent view of a store
"""
