"""Back up, restore and check a store from another process.

``age``             encrypted backups
``backup``          a store and its journal as one file
``backup_members``  a backup, read member by member and verified
``check``           whether a store keeps its promises
``check_results``   what the latest checks found, kept
``findings``        what a check found, as values
``restore``         a backup into an empty store
``snapshot``        one consistent view of a store
"""
