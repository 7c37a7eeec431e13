"""The terminal's own HTTP service.

``routes``             its paths
``auth``               which users may call them
``login_throttle``     limits password attempts
``listener``           where it listens, and under which conditions
``connection_limits``  how many connections one address may hold
"""
