"""What happens to the installation itself is told once, and told again when it is over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.receiver.jobs.watching import Facts, observe
from gatepost.store.interface import TerminalRow
from gatepost.store.query.notices import ENDS, NewNotice, NoticeKind

NOW = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)


def terminal(**fields: Any) -> TerminalRow:
    values: dict[str, Any] = {
        "id": 7,
        "serial": "SN-7",
        "anonymous_peer": None,
        "name": None,
        "site_id": 1,
        "site": "default",
        "timezone": "UTC",
        "state": "approved",
        "has_token": False,
        "networks": (),
        "model": None,
        "dialect": None,
        "created_at": NOW,
        "last_seen": NOW,
        "interval_ms": 1000,
    }
    return TerminalRow(**(values | fields))


def facts(*terminals: TerminalRow, **fields: Any) -> Facts:
    values: dict[str, Any] = {
        "now": NOW,
        "terminals": terminals,
        "heard": {},
        "host": "one",
        "lag": Lag(),
        "has_room": True,
        "locked": (),
        "closed": {},
        "broken": (),
    }
    return Facts(**(values | fields))


def told(seen: Facts, *standing: tuple[NoticeKind, str]) -> list[str]:
    return [f"{one.kind} {one.subject}" for one in observe(seen, standing)]


SILENT = terminal(last_seen=NOW - timedelta(hours=2))

CASES: list[tuple[str, Facts, NoticeKind, str]] = [
    ("a silent terminal", facts(SILENT), "terminal.offline", "7"),
    ("a new terminal", facts(terminal(state="new")), "terminal.new", "7"),
    ("a fast clock", facts(terminal(clock_error_ms=600_000)), "terminal.clock_wrong", "7"),
    ("a slow clock", facts(terminal(clock_error_ms=-600_000)), "terminal.clock_wrong", "7"),
    ("a journal that waits", facts(lag=Lag(events=9, oldest_s=90.0)), "journal.behind", "one"),
    ("a disk nearly full", facts(has_room=False), "disk.low", "one"),
    ("a locked account", facts(locked=["admin"]), "login.locked", "one admin"),
    ("a closed destination", facts(closed={3: "payroll"}), "destination.closed", "3"),
    ("a broken destination", facts(broken=["payroll"]), "destination.broken", "one payroll"),
]


@pytest.mark.parametrize(
    ("seen", "kind", "subject"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_is_wrong_is_told_once(seen: Facts, kind: NoticeKind, subject: str) -> None:
    assert told(seen) == [f"{kind} {subject}"]
    assert told(seen, (kind, subject)) == []


TENDED = ("terminal.contested", "terminal.stopped")
"""Which looks at an adopted terminal tell: tests/fleet."""


@pytest.mark.parametrize(
    ("ends", "begins"), [(ends, begins) for ends, begins in ENDS.items() if begins not in TENDED]
)
def test_what_is_over_is_told_once(ends: NoticeKind, begins: NoticeKind) -> None:
    subjects = {"terminal": "7", "journal": "one", "disk": "one", "login": "one admin", "destination": "3"}
    subject = "one payroll" if begins == "destination.broken" else subjects[begins.partition(".")[0]]
    fine = facts(terminal(clock_error_ms=0))

    assert told(fine, (begins, subject)) == [f"{ends} {subject}"]
    assert told(fine) == []


def test_between_wrong_and_right_nothing_is_told() -> None:
    """A clock that is two minutes off, a journal that is twenty seconds behind, a terminal that is late."""
    late = terminal(last_seen=NOW - timedelta(minutes=30), clock_error_ms=120_000)
    seen = facts(late, lag=Lag(events=1, oldest_s=20.0))

    assert told(seen) == []
    assert (
        told(seen, ("terminal.offline", "7"), ("terminal.clock_wrong", "7"), ("journal.behind", "one")) == []
    )


def test_a_held_or_retired_terminal_is_not_watched() -> None:
    away = [terminal(state=state, last_seen=NOW - timedelta(days=2)) for state in ("held", "retired")]

    assert told(facts(*away)) == []


def test_one_that_never_sent_anything_is_not_silent() -> None:
    assert told(facts(terminal(last_seen=None))) == []


def test_a_push_that_is_not_listed_yet_is_heard() -> None:
    heard_ms = int((NOW - timedelta(minutes=1)).timestamp() * 1000)

    assert told(facts(SILENT, heard={7: heard_ms})) == []


def test_another_receiver_does_not_unlock_an_account() -> None:
    """Each counts attempts for itself."""
    assert told(facts(host="two"), ("login.locked", "one admin")) == []


def test_the_numbers_are_told() -> None:
    (notice,) = observe(facts(lag=Lag(events=1_234, oldest_s=90.4)), ())
    assert notice == NewNotice(kind="journal.behind", subject="one", detail={"events": 1_234, "oldest_s": 90})
