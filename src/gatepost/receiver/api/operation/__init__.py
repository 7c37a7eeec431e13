"""Routes of the installation itself.

``metrics``    numbers for Prometheus
``system``     versions, disk, journal, images and database
``settings``   settings in force, and their changes
``retention``  how long data is kept, and what is due
``receivers``  receivers of the same database
``notices``    what happened to the installation
"""
