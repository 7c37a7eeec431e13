"""``gatepost check``: hold a receiver or a terminal against the protocol, rule by rule.

``commands``         ``gatepost check receiver`` and ``gatepost check terminal``; ``options`` are their options
``receiver/``        rules for receivers
``terminal/``        rules for terminals
``rule``             a rule, its citation of the protocol page, and its verdict
``runner``           runs rules, one after the other
``report``           the results: for people, as JSON, and as JUnit XML
``reference``        makes the page that documents every rule
``acknowledgement``  whether a reply acknowledges an event, and why not
``raw_http``         HTTP/1.1 by hand: sends what no HTTP library sends
``sample_pushes``    the bodies that are sent: the page's, those of every dialect, portraits of any size
``durations``        durations on the command line
``signals``          ends a run in good order on SIGTERM
"""
