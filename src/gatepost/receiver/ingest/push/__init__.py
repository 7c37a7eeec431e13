"""The steps of one push, from its head to the journal.

``push``           what was sent, who waits for its reply, and a refusal
``head``           what its head says
``decoding``       its events, decoded within limits
``serials``        which serial the events name
``token_lookups``  tokens that the store has to be asked for
``arrivals``       an arrival of each event, handed to the journal
"""
