"""Keep events, and read them: the receiver's store, in SQLite or PostgreSQL.

``base``          what both stores do alike: everything but writing a batch
``conversion/``   convert events to what is stored of them, without a database
``cursor``        cursors of lists
``deadlines``     how long a thread waits for a silent database
``dialect``       statements that the databases write differently
``fold``          text in the form that searches compare
``images/``       know where each image is, and encrypt the key of each
``interface``     what a store promises; both databases keep it
``local_days``    where a day begins and ends, in the time zone of a site
``maintenance/``  back up, restore and check a store from another process
``people/``       find people, their passages and their attendance
``postgres/``     store in PostgreSQL: several receivers on one database
``privacy/``      delete what is due, and erase people
``query/``        read lists and counts, and change terminals, sites and accounts
``questions``     ask a store for a user, who may see some sites only
``schema/``       define the tables, and bring a database to them
``server_keys``   keys that a store makes once and keeps
``sqlite/``       store in SQLite: a data folder that one process has open
``types``         what goes into a store and comes out of it
``write/``        write events: what both databases do to the tables alike
"""
