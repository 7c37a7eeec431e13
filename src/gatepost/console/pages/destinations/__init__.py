"""Pages about where events are forwarded to.

``listed``   the list of destinations, the page of one, and what is done there
``setup``    sets a destination up
``page``     the values that the page of a destination shows
``fields``   the fields of each kind of destination
``choices``  what can be chosen in these fields
"""
