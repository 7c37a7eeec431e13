"""What people change about destinations."""

from datetime import UTC, datetime

from tests.forward.kit import Line

from gatepost.forward.admin import Admin
from gatepost.forward.destination import decode


def test_a_replay_goes_where_its_destination_goes_and_sends_what_was_asked_for(line: Line) -> None:
    line.passages(1, 2)
    admin = Admin(line.destinations, now=line.clock, check=lambda told, kept: None)
    span = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    replay = admin.replay(line.row, *span, chosen={"alarms": None}, rate=1)

    admin.change(line.row, config={"url": "https://other.example.com/"})

    changed = line.destinations.one(replay.id)
    assert changed is not None
    told = decode(changed.config)
    assert told.url == "https://other.example.com/"
    assert told.filter.alarms is None
    assert changed.revision > replay.revision
