"""Pages about terminals that are managed over the network.

``overview``     the managed terminals and their state
``find``         finds terminals in the network
``adopt``        takes terminals under management
``import_list``  adds terminals from a list
``history``      what was done, by which job
"""
