"""Convert events to what is stored of them, without a database.

``coded_fields``       the coded fields of records, for lists and filters
``limits``             how much of a text is listed
``long_texts``         long texts of a body, taken out and put back
``occurrences``        which steps of an alarm belong together
``rows``               an arrival as rows
``terminal_counters``  what a batch adds to the counts of terminals
``values``             times and texts, as both databases hold them
"""
