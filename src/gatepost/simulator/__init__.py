"""A fleet that needs no hardware: terminals of every firmware, a site full of drawn people, and a day at its doors.

``world/``         who there is and what happens, from a seed
``engines/``       what sends it
``commands``       ``gatepost simulate``; ``options`` reads what was typed
``fleet``          one run of an engine; ``meter`` counts, ``view`` shows, ``report`` sums up
``demo/``          ``make demo``
``demo_terminal``  the terminal of the console's first start
"""
