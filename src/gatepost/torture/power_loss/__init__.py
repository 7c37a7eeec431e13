"""Power cuts by the thousand, at either end, in one process.

``disk_model``  a disk that loses what was not synced
``sqlite_vfs``  puts SQLite and the journal on it
``run``         fills an end, cuts the power at every operation, and judges what is left
"""
