"""One push on its way through the ingest.

``push``     what was sent, and who waits for its reply
``serials``  which serial the events of a push name
``quotas``   how much is taken from terminals that are not approved
"""
