"""Know where each image is, and encrypt the key of each.

``archives``      the folder or the bucket that receivers of one database share for packs
``bucket``        packs in anything that speaks the S3 protocol
``encryption``    keys of images, encrypted with the image key
``images``        the table of images
``key_rotation``  a new image key, while events come in
``orphans``       packs in the archive that no event has
``places``        where the images of one event are
"""
