"""Destinations on both databases: what people do with them, and what a forwarder stores."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Postgres
from tests.store.conftest import Opener
from tests.store.events import RECEIVED_MS, alarm, arrival, record
from tests.store.packed import open_at
from tests.terminals import ensured

from gatepost.forward.check import check
from gatepost.store.base import BaseStore
from gatepost.store.cursor import BadCursor
from gatepost.store.forwarding import destination_steps
from gatepost.store.forwarding import gone_destinations as module
from gatepost.store.forwarding.destinations import (
    MAX_ATTEMPTS,
    AsideRow,
    AttemptRow,
    DestinationRow,
    Destinations,
    ExceptionRow,
    Ledger,
    Step,
)
from gatepost.store.interface import RecordQuery
from gatepost.store.maintenance.backup import backup
from gatepost.store.maintenance.restore import restore
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.terminals.registry import Conflict

NOW = RECEIVED_MS
DAY_MS = 86_400_000
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = b'{"kind":"webhook","url":"https://example.com/"}'


@pytest.fixture
def store(open_store: Opener) -> BaseStore:
    made = open_store()
    ensured(made, "SN-1", now_ms=NOW)
    return made


@pytest.fixture
def destinations(store: BaseStore) -> Destinations:
    return Destinations(store)


def made(destinations: Destinations, name: str = "one", **options: Any) -> DestinationRow:
    return destinations.create(name, "webhook", CONFIG, b"{}", now_ms=NOW, **options)


def passages(store: BaseStore, *numbers: int, **fields: Any) -> list[int]:
    return [one.id for one in store.write([arrival(record(number), **fields) for number in numbers])]


def now_of(destinations: Destinations, which: int) -> DestinationRow:
    found = destinations.one(which)
    assert found is not None
    return found


def exception(event_id: int, *, is_dead: bool = True, **fields: Any) -> ExceptionRow:
    values: dict[str, Any] = {
        "kind": "record",
        "terminal_id": 1,
        "received_at_ms": NOW,
        "attempts": 10,
        "refusals": 10,
        "mark": 0,
        "attempted_at_ms": NOW,
        "due_ms": NOW,
        "reason": "HTTP 422: no",
        "dead_at_ms": NOW if is_dead else None,
    }
    return ExceptionRow(event_id=event_id, is_dead=is_dead, **(values | fields))


class Owner:
    """A process that has the lease of a destination."""

    def __init__(
        self, destinations: Destinations, which: int, name: str = "first", now_ms: int = NOW
    ) -> None:
        self.destinations, self.which = destinations, which
        fence = destinations.lease(which, name, now_ms=now_ms, for_ms=0)
        assert fence is not None
        self.fence = fence
        self.load()

    def load(self) -> None:
        loaded = self.destinations.load(self.which)
        assert loaded is not None
        self.changes, self.steps = loaded.changes, loaded.steps

    def commit(self, step: Step) -> str:
        verdict = self.destinations.commit(
            self.which, self.fence, step, changes=self.changes, steps=self.steps
        )
        self.steps += verdict == "done"
        return verdict


def buried(destinations: Destinations, store: BaseStore, count: int = 3) -> tuple[Owner, list[int]]:
    """A destination that has seen some passages, all of which it refused for good."""
    row = made(destinations)
    numbers = passages(store, *range(count))
    owner = Owner(destinations, row.id)
    step = Step(seen=count, put={number: exception(number) for number in numbers})
    step.places = {"record": (numbers[-1], numbers[-1], 0)}
    assert owner.commit(step) == "done"
    return owner, numbers


def test_a_name_is_taken_once(destinations: Destinations) -> None:
    made(destinations, "Buchhaltung")
    with pytest.raises(Conflict, match="already a destination called buchhaltung"):
        made(destinations, "buchhaltung")
    other = made(destinations, "other")
    with pytest.raises(Conflict):
        destinations.change(other.id, now_ms=NOW, name="BUCHHALTUNG")


def test_a_destination_begins_with_what_arrives_from_now_on(
    store: BaseStore, destinations: Destinations
) -> None:
    passages(store, 1, 2)
    row = made(destinations)
    assert row.ledger == Ledger(seen=0, filtered=0, delivered=0, waiting=0, dead=0, dropped=0)
    passages(store, 3)
    store.write([arrival(alarm())])
    assert now_of(destinations, row.id).ledger.waiting == 2


def test_a_change_raises_the_revision_and_reaches_replays(destinations: Destinations) -> None:
    row = made(destinations)
    replay = made(destinations, "replay 1", span=(0, NOW), replay_of=row.id, rate=5.0)
    changed = destinations.change(row.id, now_ms=NOW, secrets=b'{"token":"x"}', paused=True)
    assert changed is not None
    assert (changed.revision, changed.secrets, changed.paused_at is not None) == (2, b'{"token":"x"}', True)
    again = now_of(destinations, replay.id)
    assert (again.revision, again.secrets, again.paused_at) == (2, b'{"token":"x"}', None)
    assert destinations.change(99, now_ms=NOW, paused=True) is None
    assert [one.id for one in destinations.all()] == [row.id, replay.id]
    assert [one.id for one in destinations.all(with_replays=False)] == [row.id]


def test_the_latest_replays_that_are_over_are_kept_and_those_with_dead_letters(
    destinations: Destinations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REPLAYS", 3)
    row = made(destinations)
    other = made(destinations, "other", span=(0, NOW), replay_of=made(destinations, "two").id)
    replays = []
    for number in range(7):
        replay = Owner(
            destinations, made(destinations, f"replay {number}", span=(0, NOW), replay_of=row.id).id
        )
        put = {1: exception(1)} if number == 1 else {}
        assert replay.commit(Step(put=put, finished_at_ms=NOW if number != 2 else None)) == "done"
        replays.append(replay.which)
    assert [one.id for one in destinations.all() if one.replay_of == row.id] == [
        *reversed(replays[3:]),
        *(replays[2], replays[1]),
    ]
    assert destinations.load(replays[0]) is None
    assert destinations.one(other.id) is not None


def test_a_deleted_destination_takes_its_replays_and_dead_letters_along(
    store: BaseStore, destinations: Destinations
) -> None:
    owner, _ = buried(destinations, store)
    made(destinations, "replay 1", span=(0, NOW), replay_of=owner.which)
    assert destinations.delete(owner.which)
    assert destinations.all() == []
    assert not destinations.delete(owner.which)
    assert owner.commit(Step(seen=1)) == "lost"
    assert destinations.load(owner.which) is None
    assert destinations.lease(owner.which, "first", now_ms=NOW, for_ms=1) is None


def test_the_id_of_a_deleted_destination_is_no_other_ones(
    store: BaseStore, destinations: Destinations
) -> None:
    owner, _ = buried(destinations, store)
    destinations.delete(owner.which)
    other = Owner(destinations, made(destinations).id)
    assert other.which > owner.which
    assert owner.commit(Step(seen=1)) == "lost"


def test_a_span_has_what_was_received_in_it(store: BaseStore, destinations: Destinations) -> None:
    passages(store, 1, received_at_ms=NOW - 10)
    inside = passages(store, 2, 3, received_at_ms=NOW)
    passages(store, 4, received_at_ms=NOW + 10)
    row = made(destinations, span=(NOW, NOW + 10))
    (place,) = (each for each in row.places if each.kind == "record")
    assert (place.begin, place.until) == (inside[0] - 1, inside[-1])
    assert row.ledger.waiting == 2
    empty = made(destinations, "empty", span=(0, 1))
    assert empty.ledger.waiting == 0


def test_what_was_counted_is_not_counted_again(store: BaseStore, destinations: Destinations) -> None:
    row = made(destinations)
    for first in range(0, 30, 10):
        passages(store, *range(first, first + 10))
        assert now_of(destinations, row.id).ledger.waiting == first + 10
    fresh = Destinations(store)
    owner = Owner(destinations, row.id)
    middle = passages(store, 30)[0]
    owner.commit(Step(seen=30, delivered=30, places={"record": (middle - 1, middle - 1, 30)}))
    for one in (destinations, fresh):
        ledger = now_of(one, row.id).ledger
        assert (ledger.seen, ledger.waiting, ledger.delivered) == (31, 1, 30)


def test_what_retention_takes_is_still_counted_as_waiting(
    store: BaseStore, destinations: Destinations
) -> None:
    row = made(destinations)
    passages(store, *range(5), received_at_ms=NOW)
    passages(store, *range(5, 8), received_at_ms=NOW + 10 * DAY_MS)
    assert now_of(destinations, row.id).ledger.waiting == 8

    retention = Retention(store, Limits(records_days=5))
    while retention.once(NOW + 11 * DAY_MS).more:
        pass

    assert now_of(destinations, row.id).ledger.waiting == 8
    assert now_of(Destinations(store), row.id).ledger.waiting == 8
    page = store.to_forward(row.places[0].place, _everything())
    assert sum(events for _, events in page.deleted) == 5


def test_only_one_process_has_the_lease(destinations: Destinations, store: BaseStore) -> None:
    row = made(destinations)
    fence = destinations.lease(row.id, "first", now_ms=NOW, for_ms=60_000)
    assert fence is not None
    assert destinations.lease(row.id, "second", now_ms=NOW, for_ms=60_000) is None
    assert destinations.lease(row.id, "first", now_ms=NOW, for_ms=60_000) == fence
    assert destinations.renew("first", now_ms=NOW, for_ms=60_000) == {row.id: fence}
    assert destinations.renew("second", now_ms=NOW, for_ms=60_000) == {}
    (state,) = destinations.states("second", now_ms=NOW)
    assert not state.is_free
    destinations.let_go("first")
    assert destinations.lease(row.id, "second", now_ms=NOW, for_ms=60_000) == fence + 1


def test_the_time_of_a_lease_is_the_server_s(open_postgres: Opener) -> None:
    destinations = Destinations(open_postgres())
    row = made(destinations)
    assert destinations.lease(row.id, "first", now_ms=0, for_ms=60_000) is not None
    a_year_ahead = NOW + 5 * 365 * DAY_MS
    assert destinations.lease(row.id, "second", now_ms=a_year_ahead, for_ms=60_000) is None
    assert not destinations.states("second", now_ms=a_year_ahead)[0].is_free


def test_what_a_former_owner_commits_changes_nothing(store: BaseStore, destinations: Destinations) -> None:
    row = made(destinations)
    late = Owner(destinations, row.id, "late")
    later = Owner(destinations, row.id, "later", now_ms=NOW + 1)
    assert late.commit(Step(seen=5, delivered=5)) == "lost"
    assert later.commit(Step(seen=1, delivered=1)) == "done"
    assert now_of(destinations, row.id).ledger.delivered == 1


def test_a_step_that_was_cut_off_is_stored_once(destinations: Destinations) -> None:
    row = made(destinations)
    owner = Owner(destinations, row.id)
    step = Step(seen=2, delivered=2, attempts=2)
    assert owner.commit(step) == "done"
    owner.steps -= 1  # its process did not hear that it was stored
    assert owner.commit(step) == "done"
    assert now_of(destinations, row.id).ledger.delivered == 2


@pytest.mark.parametrize("some", [True, False], ids=["one of them", "all"])
def test_people_decide_about_dead_letters_while_the_owner_works(
    store: BaseStore, destinations: Destinations, some: bool
) -> None:
    owner, numbers = buried(destinations, store)
    assert now_of(destinations, owner.which).ledger.dead == 3
    chosen = numbers[:1] if some else None

    assert destinations.drop_dead(owner.which, chosen) == (1 if some else 3)

    assert owner.commit(Step(attempts=1)) == "changed"
    owner.load()
    assert owner.commit(Step(attempts=1)) == "done"
    row = now_of(destinations, owner.which)
    assert (row.ledger.seen, row.ledger.dropped, row.dropped_why["by a person"]) == (
        3,
        row.ledger.dropped,
        row.ledger.dropped,
    )
    left = destinations.retry_dead(owner.which)
    ledger = now_of(destinations, owner.which).ledger
    assert (ledger.waiting, ledger.dead) == (left, 0)
    assert destinations.retry_dead(owner.which) == 0


def test_a_finished_replay_goes_on_with_dead_letters_that_are_retried(
    store: BaseStore, destinations: Destinations
) -> None:
    owner, _ = buried(destinations, store)
    owner.commit(Step(finished_at_ms=NOW))
    assert destinations.states("x", now_ms=NOW)[0].is_finished
    destinations.retry_dead(owner.which)
    assert not destinations.states("x", now_ms=NOW)[0].is_finished


def test_dead_letters_are_listed_page_by_page(store: BaseStore, destinations: Destinations) -> None:
    owner, numbers = buried(destinations, store, 5)
    listed, cursor = [], None
    while True:
        page = destinations.exceptions_page(owner.which, dead=True, limit=2, cursor=cursor)
        listed += [row.event_id for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert listed == numbers
    assert destinations.exceptions_page(owner.which, dead=False).items == ()
    with pytest.raises(BadCursor):
        destinations.exceptions_page(owner.which, dead=True, cursor="nonsense")


def test_the_latest_thousand_attempts_are_kept(destinations: Destinations) -> None:
    row, other = made(destinations), made(destinations, "other")
    owner = Owner(destinations, row.id)
    for start in range(0, MAX_ATTEMPTS + 100, 50):
        owner.commit(Step(tries=[_attempt(start + number) for number in range(50)]))
    Owner(destinations, other.id).commit(Step(tries=[_attempt(1)]))
    found = destinations.attempts(row.id, limit=5_000)
    assert [one.at_ms for one in found] == list(range(MAX_ATTEMPTS + 99, 99, -1))
    assert len(destinations.attempts(other.id)) == 1


def test_what_a_destination_said_is_kept_shortened(destinations: Destinations) -> None:
    row = made(destinations)
    owner = Owner(destinations, row.id)
    owner.commit(Step(tries=[_attempt(1, reply="\0" + "x" * 10_000)], failure=(NOW, "y" * 10_000)))
    assert len(destinations.attempts(row.id)[0].reply) <= 2048
    assert len(now_of(destinations, row.id).failure or "") <= 500


def test_a_recount_finds_what_does_not_fit(store: BaseStore, destinations: Destinations) -> None:
    owner, numbers = buried(destinations, store)
    fine = check(destinations, owner.which)
    assert (fine.seen, fine.counted, fine.dead_rows, fine.waiting_rows, fine.problems) == (3, 3, 3, 0, [])
    owner.commit(
        Step(
            delivered=1,
            dropped={"old": 1},
            put={numbers[-1] + 1: exception(numbers[-1] + 1)},
            asides={("record", 1): AsideRow(kind="record", terminal_id=1, after=0, until=1 << 60, events=1)},
        )
    )
    assert check(destinations, owner.which).problems == [
        "3 events were seen, and 7 are accounted for",
        "1 events have a row and are not behind its place",
        "3 records of terminal 1 are left aside, and 1 are counted",
    ]
    owner.commit(Step(seen=4))
    assert (
        "7 events were seen, and 3 were stored up to its place" in check(destinations, owner.which).problems
    )
    with pytest.raises(LookupError):
        check(destinations, 99)


@pytest.fixture(params=["sqlite", "postgresql"])
def places(
    request: pytest.FixtureRequest, postgres_server: Postgres, tmp_path: Path
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Where a store is, and where its backup is restored."""
    with ExitStack() as stack:
        found: list[dict[str, Any]] = []
        for name in ("data", "restored"):
            place: dict[str, Any] = {"folder": tmp_path / name}
            if request.param == "postgresql":
                make = postgres_server.create if name == "restored" else postgres_server.create_with_store
                place["database"] = make()
                stack.callback(postgres_server.drop, place["database"])
            found.append(place)
        yield found[0], found[1]


def test_a_backup_has_no_secret_and_what_it_restores_is_paused(
    places: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    original, restored = places
    with closing(open_at(original)) as store:
        ensured(store, "SN-1", now_ms=NOW)
        destinations = Destinations(store)
        secrets = b'{"signing":[{"value":"' + SECRET.encode() + b'"}]}'
        row = destinations.create("one", "webhook", CONFIG, secrets, now_ms=NOW)
        passages(store, 1, 2)
        owner = Owner(destinations, row.id)
        far = row.places[0].place + 1_000_000
        owner.commit(Step(seen=2, delivered=2, places={"record": (far, far, 2), "alarm": (far, far, 0)}))

    backup(tmp_path / "backup.tar", **original, now=NOW / 1000 + 60)

    assert SECRET.encode() not in (tmp_path / "backup.tar").read_bytes()
    restore(tmp_path / "backup.tar", **restored)
    with closing(open_at(restored)) as store:
        destinations = Destinations(store)
        (found,) = destinations.all()
        assert (found.secrets, found.owner, found.ledger.delivered) == (b"", None, 2)
        assert found.paused_at is not None
        # Its place is above every event; what arrives now is sent all the same.
        passages(store, 3)
        assert now_of(destinations, row.id).ledger.waiting == 1


def _attempt(number: int, reply: str = "") -> AttemptRow:
    return AttemptRow(
        at_ms=number, took_ms=1, event_id=1, events=1, outcome="refused", status="HTTP 422", reply=reply
    )


def _everything() -> RecordQuery:
    return RecordQuery()


def test_dead_letters_are_bounded_and_the_oldest_are_dropped_and_counted(
    destinations: Destinations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination_steps, "MAX_DEAD", 20)
    owner = Owner(destinations, made(destinations).id)
    for number in range(1, 24):
        step = Step(seen=1, put={number: exception(number)}, places={"record": (number, number, 0)})
        if owner.commit(step) == "changed":
            owner.load()
            assert owner.commit(step) == "done"

    row = now_of(destinations, owner.which)

    dead = [one.event_id for one in destinations.exceptions_page(owner.which, dead=True).items]
    assert dead == list(range(4, 24))
    assert row.dropped_why == {"more than 20 dead letters": 3}
    assert row.ledger.seen == row.ledger.dead + row.ledger.dropped == 23
