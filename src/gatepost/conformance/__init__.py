"""Does the other end keep the contract? ``gatepost check`` and ``gatepost torture``.

``rules``             what a rule is, and what comes of it
``raw_http``          HTTP/1.1 by hand, for sending what no HTTP library would send
``samples``           the bodies that are sent: the page's, those of every dialect, portraits of any size
``probe``             one receiver under examination; ``receiver_*`` hold its rules, ``checks_receiver`` lists them
``post``              a receiver that obeys and disobeys on command; ``visit`` one terminal under examination;
                      ``terminal_*`` hold its rules, ``checks_terminal`` lists them
``runner``            runs rules, one after the other
``report``            what came of it, for people, JSON and JUnit
``reference``         the page that documents every rule, made from the rules
``torture``           both ends as processes, faults between them, and a judge
"""
