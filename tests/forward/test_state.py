"""How a destination is, where another process sends to it: read from what that one stored."""

import pytest
from tests.forward.kit import Line, Told
from tests.store.conftest import Opener
from tests.store.events import RECEIVED_MS
from tests.terminals import ensured

from gatepost.forward.sinks import Outgoing, Result
from gatepost.forward.state import standing
from gatepost.wire import Delivered, Refused, Unreachable


@pytest.fixture
def line(open_store: Opener) -> Line:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    return Line(store, max_refusals=1)


async def test_one_that_has_everything_but_dead_letters_can_be_reached(line: Line) -> None:
    bad = line.passages(1)[0]

    def say(event: Outgoing) -> Result:
        is_bad = event.event_id == bad
        return Result(outcome=Refused("HTTP 422") if is_bad else Delivered(), status="HTTP")

    line.begin(Told(say))
    line.passages(2, 3, 4)
    await line.turn(2)
    line.clock.at += 60  # nothing is delivered in this second
    await line.turn(2)
    assert (line.ledger.dead, line.ledger.waiting) == (1, 0)
    assert line.row.failed_at is not None
    assert line.row.delivered_at is not None
    assert line.row.failed_at > line.row.delivered_at
    assert standing(line.row).state == "running"


async def test_one_that_is_away_cannot(line: Line) -> None:
    line.begin(Told(lambda _: Result(outcome=Unreachable("no connection"))))
    line.passages(1)
    await line.turn(2)
    found = standing(line.row)
    assert (found.state, found.why) == ("waiting", "no connection")


async def test_one_that_refused_an_event_which_waits_can_be_reached(open_store: Opener) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store)
    line.begin(Told(lambda _: Result(outcome=Refused("HTTP 422"), status="HTTP 422")))
    line.passages(1)
    await line.turn(2)
    assert line.ledger.waiting == 1
    assert standing(line.row).state == "running"
