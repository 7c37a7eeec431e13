"""Delete what is due, and erase people.

``due``               count what retention deletes next
``erasure``           erase one person
``permitted``         how much a round of retention may delete without being confirmed
``person_matcher``    whether a text is about a person
``retention``         delete what is older than its retention
``terminal_removal``  delete a terminal with what it sent
``tombstones``        who was erased, for events that are listed later
"""
