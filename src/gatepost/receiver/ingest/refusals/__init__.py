"""Count and list refused pushes; a refusal costs no write.

``refusals``        refuses a push: counts it, lists it, replies
``counters``        refusals, counted by terminal and reason
``refused_pushes``  refused pushes, handed to the desk every second
"""
