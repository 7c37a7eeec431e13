"""What happened at the door is on disk before anyone is told so, and leaves only when it arrived.

``outbox``   the face: put, claim, settle, and what can be asked
``schema``   the file, its versions, its lock
``writer``   the one thread that writes, the shared transactions, the ledger
``intake``   what is accepted, refused or dropped
``queue``    what is due, in which order
``dead``     what the receiver does not take
``rows``     the terms in which those three are written
``history``  reading what was recorded
``values``   what goes in and comes out
"""
