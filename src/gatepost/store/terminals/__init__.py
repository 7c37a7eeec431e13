"""Keep terminals and their sites, and adopted terminals with their histories.

``adopted``          what is kept of an adopted terminal, as values
``adoptions``        adoptions of many terminals, a row for each
``fleet``            adopted terminals, and what opens their own HTTP service
``fleet_jobs``       spans of terminals' histories, and what the daily audit counted
``registry``         terminals and sites
``sealed``           what opens a terminal, encrypted
``terminal_labels``  names and sites of terminals
"""
