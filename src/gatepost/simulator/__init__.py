"""Simulate a fleet: terminals of every firmware, people with drawn faces, and a day of passages at a site.

``commands``       ``gatepost simulate``; ``options`` are its options, ``checking`` reads them
``fleet``          one run of an engine; ``meter`` counts, ``view`` shows, ``report`` sums up
``world/``         who there is and what happens, from a seed
``engines/``       send it
``demo/``          ``make demo``
``demo_terminal``  the terminal of the console's first start
"""
