"""Convert events to what is stored of them, without a database.

``limits``       how much of a text is listed
``long_texts``   long texts of a body, taken out and put back
``occurrences``  which steps of an alarm belong together
``rows``         an arrival as rows; conversions of times and texts
"""
