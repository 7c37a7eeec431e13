"""Serve API and console, list events, and do the jobs. The process desk does this; no push waits for it.

``app``             the desk, served, started and stopped
``parts``           its parts, made and connected
``terminal_table``  what every ingest knows of terminals
``erased_people``   erased people, forgotten by the processes of this receiver
``housekeeping``    what it looks after every few seconds
``fleet``           managing real terminals, connected to the desk
"""
