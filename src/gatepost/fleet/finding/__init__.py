"""Find terminals: those that announce themselves, those of typed networks, those of a file.

``finder``         what the API and the console share
``announcements``  what terminals say of themselves by mDNS, decoded; pure
``discovery``      listening to announcements, while a person looks
``scan``           terminals in typed networks
``csv_import``     terminals from a file; pure
"""
