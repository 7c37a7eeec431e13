"""``gatepost torture``: both ends as real processes, faults at and between them, and a judge.

``commands``         the command line; ``options`` are its options
``campaign``         a whole run
``fault_plan``       which fault, on what, and when; made from a seed
``fault_injection``  carries a fault out, and takes it back
``wanted``           what has to happen in a run at least; pure
``oracle``           the expected events, and how to recognise them again
``event_source``     issues events through a terminal's local socket
``system/``          the processes and what is between them
``read_api``         what the receiver lists
``read_disk``        what is on disk at the end
``judge``            compares the expected events with those at the end; pure
``report``           the result, for people and as JSON
``power_loss/``      power cuts by the thousand, at either end
``cluster/``         a cell of receivers, PostgreSQL on three nodes and a bucket, under faults
"""
