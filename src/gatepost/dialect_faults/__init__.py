"""Break the push protocol as firmware in the field does: each class of fault is a rewriting of one push body.

Rules:

- Wire names stand here by hand, outside ``gatepost.wire``: what is written here is what the decoder has to understand.
- A fault keeps the event: a careful receiver finds the same passage in the body, unless the class is about what
  the event lacks. Its key stays different from that of every other event.
- A rewriting is a function of the body and of the lots: the same ones write the same bytes.

Flow: a canonical body → ``CLASSES`` → ``Variant.write`` → :class:`Body`, or ``None``; ``joined`` makes one of several.
Sources: public bug reports of this field; the protocol page, 事件推送示例.

``classes``  every class of faults, and one drawn by lot
``writing``  how a body is rewritten
``faults``   a class of faults, its variants, a body; pure values
"""
