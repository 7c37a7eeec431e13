"""The servers of a cell, as processes of this machine.

``programs``  PostgreSQL, Patroni, etcd and SeaweedFS: where they are installed
``ports``     free ports
``relay``     a port in front of a server, which can be closed or go silent
``service``   one server: started, killed, asked for its log
``database``  PostgreSQL on three nodes, with Patroni and etcd
``bucket``    SeaweedFS, which syncs what it stores
"""
