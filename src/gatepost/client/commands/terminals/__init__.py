"""``gatepost terminals``: the commands about terminals.

``terminals``  one terminal: list, create, rename, rotate; refused pushes
``chosen``     several at once: approve, retire, move, direct, name, delete
``lines``      a terminal in one line
``why``        why nothing arrives of a terminal
``finding``    discover, scan and import terminals
``fleet``      adopt terminals, and what is done with those that are adopted
``history``    back-fill and the daily audit
"""
