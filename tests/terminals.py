"""Terminals of a store, as a push makes them."""

from gatepost.store.interface import NewTerminal, Store, TerminalRow, TerminalState


def ensured(
    store: Store, serial: str | None, *, peer: str = "", now_ms: int, state: TerminalState = "new"
) -> TerminalRow:
    """Make the terminal of a serial, or of an address, if it is not there."""
    (row,) = store.ensure_terminals([NewTerminal(serial, now_ms, peer if serial is None else "", state)])
    return row
