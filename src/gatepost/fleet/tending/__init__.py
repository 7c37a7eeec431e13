"""Look at adopted terminals, and set their addresses again where that is needed.

``decisions``  when a terminal is looked at, and what is done then; pure
``visit``      one look at one terminal
``tender``     the job that looks at all that are due
"""
