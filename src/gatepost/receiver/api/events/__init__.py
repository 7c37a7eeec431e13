"""Routes of events: their lists, files, images and counts.

``records``     records
``alarms``      alarms, and their acknowledgement
``filters``     which records and alarms: one set of filters for lists, exports and pages
``images``      images of records and alarms
``quarantine``  pushes that could not be decoded
``refusals``    pushes that were refused
``live``        the live stream
``statistics``  counts by hour, day and terminal
``counters``    counts over all time
"""
