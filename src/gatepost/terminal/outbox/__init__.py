"""Events are on disk before anyone is told so, and leave only when they arrived.

``outbox``     the face: put, claim, settle, and what can be asked
``writer``     the one thread that works on the contents, and the shared syncs
``contents``   events and what became of them, changed together; space
``loading``    reading all of it at a start
``room``       what is accepted, refused or dropped
``state``      what became of the events; pure
``state_log``  the state on disk: checkpoints and operations
``segments``   the events on disk, and where each stands
``aside``      damaged bytes that are kept for a person to look at
``frames``     an event as the body of a frame, and the index of a segment; pure
``history``    reading what was recorded
``status``     the ledger and what stands around it
``opening``    the folder, its lock, and how it is found after damage
``values``     what goes in and comes out
"""
