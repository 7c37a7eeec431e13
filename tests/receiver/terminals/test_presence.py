from datetime import UTC, datetime, timedelta

import pytest

from gatepost.receiver.terminals.presence import BACKLOG_FOR, backlog_arriving, last_heard, presence

NOW = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("silent", "interval_ms", "expected"),
    [
        # A busy door: silence of minutes is a lull, of an hour is not.
        (timedelta(minutes=10), 1_000, "online"),
        (timedelta(minutes=10, seconds=1), 1_000, "late"),
        (timedelta(hours=1), 1_000, "late"),
        (timedelta(hours=1, seconds=1), 1_000, "offline"),
        # A quiet one: one passage every two hours.
        (timedelta(hours=6), 2 * HOUR_MS, "online"),
        (timedelta(hours=6, seconds=1), 2 * HOUR_MS, "late"),
        (timedelta(hours=20), 2 * HOUR_MS, "late"),
        (timedelta(hours=20, seconds=1), 2 * HOUR_MS, "offline"),
        # One that has pushed only once.
        (timedelta(minutes=10), None, "online"),
        (timedelta(hours=1, seconds=1), None, "offline"),
        # The clock here was put back.
        (timedelta(hours=-1), 1_000, "online"),
    ],
)
def test_a_terminal_is_measured_by_its_own_usual_interval(
    silent: timedelta, interval_ms: int | None, expected: str
) -> None:
    assert presence(NOW - silent, interval_ms, now=NOW) == expected


def test_what_never_pushed_is_not_called_offline() -> None:
    assert presence(None, None, now=NOW) == "never"


def test_a_backlog_arrives_while_old_events_come_in() -> None:
    assert not backlog_arriving(None, now=NOW)
    assert backlog_arriving(NOW - BACKLOG_FOR, now=NOW)
    assert not backlog_arriving(NOW - BACKLOG_FOR - timedelta(seconds=1), now=NOW)


def test_what_the_ingest_heard_counts_where_it_is_later_than_what_is_listed() -> None:
    listed, heard_ms = datetime(2026, 1, 1, tzinfo=UTC), 1_767_225_600_000  # the same moment
    assert last_heard(None, None) is None
    assert last_heard(listed, None) == listed
    assert last_heard(None, heard_ms) == listed
    assert last_heard(listed, heard_ms - 1) == listed
    assert last_heard(listed, heard_ms + 1500) == listed + timedelta(milliseconds=1500)
