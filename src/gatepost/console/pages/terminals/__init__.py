"""Pages about the terminals that push to this receiver.

``terminals``   the list of terminals, and what is done on the page of one
``page``        the values that the page of a terminal shows
``chosen``      changes of several terminals at once
``names``       names and directions from a list
``why``         why a terminal does not show up
``quarantine``  events of terminals that wait for approval, and request bodies that were not understood
``refusals``    requests that were refused
"""
