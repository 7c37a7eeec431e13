"""Keep events, and read them: the receiver's store, in SQLite or PostgreSQL.

``accounts/``     keep accounts, the audit log of what they do, and the views that they save
``as_items``      what the store returns, as the items of the API
``attendance/``   find the attendance of people, and keep what it is compared with
``base``          what both stores do alike: everything but writing a batch
``conversion/``   convert events to what is stored of them, without a database
``cursor``        cursors of lists
``deadlines``     how long a thread waits for a silent database
``dialect``       statements that the databases write differently
``fold``          text in the form that searches compare
``forwarding/``   keep destinations of forwarding, and read the feed for them
``images/``       know where each image is, and encrypt the key of each
``interface/``    what a store promises; both databases keep it
``local_days``    where a day begins and ends, in the time zone of a site
``maintenance/``  back up, restore and check a store from another process
``page_bytes``    how many bytes a page of a list has
``people/``       find people and their passages, and keep what the office says of them
``postgres/``     store in PostgreSQL: several receivers on one database
``privacy/``      delete what is due, and erase people
``query/``        read lists and counts
``questions/``    ask a store for a user, who may see some sites only
``receivers/``    keep what the receivers of one database share
``schema/``       define the tables, and bring a database to them
``server_keys``   keys that a store makes once and keeps
``sqlite/``       store in SQLite: a data folder that one process has open
``terminals/``    keep terminals and their sites, and adopted terminals with their histories
``turns``         make changes by people take turns
``types/``        what goes into a store and comes out of it
``versions``      versions of what people change: a change that was meant for another one is refused
``write/``        write events: what both databases do to the tables alike
"""
