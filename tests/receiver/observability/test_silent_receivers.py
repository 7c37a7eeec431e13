from datetime import UTC, datetime, timedelta

from gatepost.receiver.observability.silent_receivers import SILENT_AFTER, silent
from gatepost.store.types.terminals import ReceiverRow

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def receiver(name: str, ago: timedelta) -> ReceiverRow:
    return ReceiverRow(name.encode(), name, NOW - ago, 0)


def test_receivers_are_silent_after_their_time_and_the_longest_silent_comes_first() -> None:
    rows = [
        receiver("just now", SILENT_AFTER),
        receiver("a moment ago", SILENT_AFTER + timedelta(milliseconds=1)),
        receiver("yesterday", timedelta(days=1)),
        receiver("ahead", -timedelta(hours=1)),
    ]
    assert [row.host for row in silent(rows, now=NOW)] == ["yesterday", "a moment ago"]
