"""Write events into the journal, and settle each when it is synced, or listed.

``group_commit``   one sync for many pushes
``waiting_event``  an event in the queue of the group commit
``until_listed``   replies that wait until the event is listed
``frames``         the body of a frame in the journal
``space``          how much more the journal may take
``disk``           whether the disk has room
"""
