"""Know where each image is, and encrypt the key of each.

``encryption``     keys of images, encrypted with the image key
``images``         the table of images
``key_rotation``   a new image key, while events come in
``places``         where the images of one event are
``shared_folder``  the folder that receivers of one database share for packs
"""
