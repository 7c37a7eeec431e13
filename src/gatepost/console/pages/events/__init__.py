"""Pages about events, for guards and for people who look something up.

``live``        what happens now
``records``     the list of records, one record, and files of them
``alarms``      the list of alarms, one alarm, acknowledging and closing
``statistics``  counts by hour, day and terminal
``views``       filters that are saved under a name
"""
