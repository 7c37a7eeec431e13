"""Packs: the images of the events in a journal, each encrypted with a key of its own.

``packs``    reads packs, moves them to an archive, deletes packs and images
``writer``   writes images into packs
``reader``   reads images, here or in the archive
``archive``  a folder or a bucket that several journals share
``files``    the files of packs, and their names
"""
