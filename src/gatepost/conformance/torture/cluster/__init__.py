"""A cell on this machine, under faults: ``gatepost torture --cluster``.

``programs``   PostgreSQL, Patroni, etcd and SeaweedFS: where they are installed
``ports``      which ports are free
``relay``      a port in front of a server, which can be closed, or fall silent
``service``    one server as a process: started, killed, asked for its log
``database``   PostgreSQL on three nodes, with Patroni and etcd
``bucket``     SeaweedFS, which syncs what it stores
``cell``       all of it, with three receivers and one address for terminals
``terminals``  terminals that record and push
``faults``     the plan; ``inflict`` carries it out
``listing``    what each receiver lists, with images
``judge``      compares what was issued with what is listed
``campaign``   a whole run; ``outcome`` says what came of it
"""
