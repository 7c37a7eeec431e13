"""Recount the ledger of a destination from the stored events, and report differences."""

from __future__ import annotations

from msgspec import Struct

from gatepost.store.forwarding.destinations import Destinations, Recount

__all__ = ["CheckReport", "check"]


class CheckReport(Struct, frozen=True, kw_only=True):
    """The result of a recount."""

    seen: int
    """The number in the ledger, without unread events."""
    counted: int
    """The number of events from the begin of the destination to its position, deleted ones included."""
    waiting_rows: int
    """Events that wait and have a row, or are aside."""
    dead_rows: int
    problems: list[str]
    """One sentence per difference; empty if all numbers match."""


def check(destinations: Destinations, which: int) -> CheckReport:
    """Recount a destination. It reads every event that it has seen, and changes nothing.

    Raises ``LookupError`` if there is no such destination.
    """
    found = destinations.recount(which)
    if found is None:
        raise LookupError(f"there is no destination {which}")
    ledger = found.row.ledger
    return CheckReport(
        seen=ledger.seen,
        counted=sum(found.counted.values()),
        waiting_rows=ledger.waiting,
        dead_rows=ledger.dead,
        problems=list(_problems(found)),
    )


def _problems(found: Recount) -> list[str]:
    row, ledger = found.row, found.row.ledger
    counted = sum(found.counted.values())
    said = []
    if ledger.seen != counted:
        said.append(f"{ledger.seen} events were seen, and {counted} were stored up to its place")
    parts = ledger.filtered + ledger.delivered + ledger.waiting + ledger.dead + ledger.dropped
    if ledger.seen != parts:
        said.append(f"{ledger.seen} events were seen, and {parts} are accounted for")
    if sum(row.dropped_why.values()) != ledger.dropped:
        said.append(
            f"{ledger.dropped} events were dropped, and {sum(row.dropped_why.values())} have a reason"
        )
    if sum(row.left_out_why.values()) > ledger.filtered:
        said.append(
            f"{ledger.filtered} events were filtered, and rules left {sum(row.left_out_why.values())} out"
        )
    said += [
        f"the place of {place.kind}s, {place.place}, is before {place.begin}, where it began"
        for place in row.places
        if place.place < place.begin
    ]
    if found.ahead:
        said.append(f"{found.ahead} events have a row and are not behind its place")
    said += [
        f"{there} {aside.kind}s of terminal {aside.terminal_id} are left aside, and {aside.events} are counted"
        for aside, there in found.asides
        if there > aside.events
    ]
    return said
