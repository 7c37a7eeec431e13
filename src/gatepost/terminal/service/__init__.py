"""The terminal's own HTTP service.

``api``          its routes
``accounts``     who may call them
``slowdown``     how often somebody may try a password
``listen``       where it listens, and under which conditions
``connections``  how many may hold one
"""
