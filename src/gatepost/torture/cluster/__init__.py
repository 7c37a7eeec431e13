"""A cell on this machine, under faults: ``gatepost torture --cluster``.

``campaign``         a whole run
``cell``             three receivers, PostgreSQL on three nodes and a bucket, with one address for terminals
``servers``          those servers as processes
``terminals``        terminals that record and push
``fault_plan``       which fault, and when; made from a seed
``fault_injection``  carries a fault out, and takes it back
``read_api``         what each receiver lists, with images
``judge``            compares what was issued with what is listed; pure
``report``           the result, for people and as JSON
"""
