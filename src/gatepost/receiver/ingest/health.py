"""Health checks for service managers and load balancers: ``/healthz`` and ``/readyz``.

Ready means that pushes are acknowledged: the journal can be written and has room. If the store or the desk is away,
what is said of the state tells so, with the number of events that are not listed yet; where pushes wait for the store,
the receiver is not ready then.
"""

from __future__ import annotations

import msgspec

from gatepost.errors import JournalError
from gatepost.journal.folder import Folder
from gatepost.receiver.ingest.commit.group_commit import GroupCommit
from gatepost.receiver.processes.link import Listed

__all__ = ["PATHS", "health"]

PATHS = ("/healthz", "/readyz")

Response = tuple[int, bytes, bytes]
"""Status, content type and body."""


def health(
    path: str,
    journal: Folder,
    group_commit: GroupCommit,
    listed: Listed,
    *,
    has_desk: bool,
    needs_store: bool = False,
) -> Response:
    """Return the response to one of :data:`PATHS`.

    ``listed``: what the desk said last. ``needs_store``: pushes are acknowledged when they are listed.
    """
    if path == "/healthz":
        return _state("ok")
    if group_commit.is_failing:
        return _unready(
            "the journal cannot be written, so pushes get 503; see the log, and make room on the disk"
        )
    if group_commit.is_full:
        return _unready(
            "the journal is full, or its disk nearly, so pushes get 503 until the store takes events again or there"
            " is room; see journal_max_bytes and min_free_bytes"
        )
    if needs_store and (listed.is_away or not has_desk):
        return _unready(
            "the store or the desk is away, so pushes get 503 until it is back; with acknowledge_after = journal they"
            " would be acknowledged"
        )
    try:
        events = journal.backlog(listed.positions).events
    except JournalError:
        return _unready("the journal cannot be read; see the log")
    if not has_desk:
        return _state(f"desk away, {events} events behind")
    if listed.is_away:
        return _state(f"store away, {events} events behind")
    if listed.waiting:
        return _state(f"part of the journal waits: {'; '.join(listed.waiting)}")
    damaged, last = listed.damages
    if damaged:
        return _state(
            f"places in the journal that are damaged or gone: {damaged}, the last one {last}; see gatepost check-store"
        )
    return _state("ok")


def _state(status: str) -> Response:
    return 200, b"application/json", msgspec.json.encode({"status": status})


def _unready(why: str) -> Response:
    """Return an error in the shape of RFC 9457, as the API has it."""
    body = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": why,
        "instance": "/readyz",
    }
    return 503, b"application/problem+json", msgspec.json.encode(body)
