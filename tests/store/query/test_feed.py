"""The feed: what arrived, in order, and what of it is deleted."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec import Struct, field
from tests.store.events import NOON, RECEIVED_MS, alarm, arrival, record, unknown
from tests.terminals import ensured

from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.interface import FEED_KINDS, AlarmQuery, FeedKind, FeedPage
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.query import feed

Opener = Callable[[], BaseStore]


@pytest.fixture
def store(open_store: Opener) -> Iterator[BaseStore]:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    yield store
    store.close()


def received(day: int, event: Any, terminal_id: int = 1) -> Any:
    return arrival(event, terminal_id, received_at_ms=RECEIVED_MS + day * DAY_MS)


def delete_due(store: BaseStore, day: int, *, keep_days: int = 1, steps: int = 1000) -> None:
    retention = Retention(store, Limits(records_days=keep_days))
    for _ in range(steps):
        if not retention.once(RECEIVED_MS + day * DAY_MS).more:
            return


def test_a_step_of_an_alarm_is_told_as_it_happened_whatever_the_alarm_is_by_now(store: BaseStore) -> None:
    start = store.end_of_feed()
    opened, passage, cleared = store.write(
        [
            arrival(alarm("T", 1, code=20003, description="smoke", user_id="7")),
            arrival(record(1)),
            arrival(alarm("T", 3, code=20003)),
        ]
    )
    page = store.read_feed(start)
    (found,) = store.alarms(AlarmQuery()).items
    assert [(item.id, item.kind, item.event_id, item.terminal_id) for item in page.items] == [
        (opened.id, "alarm", found.id, 1),
        (passage.id, "record", passage.id, 1),
        (cleared.id, "alarm", found.id, 1),
    ]
    first, last = sorted(store.alarm_steps_by_id([opened.id, cleared.id]), key=lambda row: row.step.id)
    assert (first.alarm_id, first.trace_id, first.serial, first.site) == (found.id, "T", "SN-1", "default")
    assert [first.step, last.step] == list(found.history)
    assert (first.step.status, first.step.description, first.step.user_id) == (1, "smoke", "7")
    assert store.alarm_steps_by_id([passage.id, 10**15]) == []
    assert store.alarm_steps_by_id([]) == []


def test_alarms_have_a_cursor_of_their_own(store: BaseStore) -> None:
    start = store.end_of_feed()
    stored = store.write(
        [arrival(record(1)), arrival(alarm("T", 1)), arrival(record(2)), arrival(alarm("T", 3))]
    )
    ids = [one.id for one in stored]
    alarms = store.read_feed(start, 1, ["alarm"])
    assert ([item.id for item in alarms.items], alarms.place) == ([ids[1]], ids[1])
    assert [item.id for item in store.read_feed(alarms.place, kinds=["alarm"]).items] == [ids[3]]
    assert [item.id for item in store.read_feed(start, kinds=["record"]).items] == [ids[0], ids[2]]
    assert store.read_feed(start, kinds=[]) == FeedPage((), start, {})


def test_what_a_held_terminal_sent_is_read_by_itself_once_it_is_approved(store: BaseStore) -> None:
    held = ensured(store, "SN-2", now_ms=0, state="held")
    start = store.end_of_feed()
    batch = [arrival(record(n), held.id if n % 2 else 1) for n in range(6)]
    ids = [one.id for one in store.write([*batch, arrival(alarm(), held.id)])]
    page = store.read_feed(start)
    assert [item.is_held for item in page.items] == [False, True] * 3 + [True]
    store.update_terminal(held.id, state="approved")
    later = store.write([arrival(record(7), held.id)])
    assert later[0].new
    rest = store.read_feed_of(held.id, start, page.place, 2)
    assert [(item.id, item.is_held) for item in rest] == [(ids[1], False), (ids[3], False)]
    assert [item.id for item in store.read_feed_of(held.id, ids[3], page.place)] == [ids[5], ids[6]]
    assert [item.id for item in store.read_feed_of(held.id, start, page.place, kinds=["alarm"])] == [ids[6]]


def test_what_retention_deleted_is_counted_from_any_place(store: BaseStore) -> None:
    start = store.end_of_feed()
    old = [
        one.id
        for day in range(3)
        for one in store.write([received(0, record(day)), received(0, alarm(f"t{day}"))])
    ]
    new = store.write([received(5, record(100)), received(5, unknown())])[0].id
    delete_due(store, 5)
    assert store.read_feed(start) == FeedPage(store.read_feed(old[-1]).items, new, {"record": 3, "alarm": 3})
    assert store.read_feed(old[1]).deleted == {"record": 2, "alarm": 2}
    assert store.read_feed(old[2]).deleted == {"record": 1, "alarm": 2}
    assert store.read_feed(start, kinds=["alarm"]) == FeedPage((), old[-1], {"alarm": 3})
    assert store.read_feed(old[-1]).deleted == {}
    delete_due(store, 9)
    assert store.read_feed(old[-1]) == FeedPage((), new, {"record": 1})
    assert store.read_feed(new) == FeedPage((), new, {})


def test_a_reader_that_begins_at_the_end_counts_nothing_of_before(store: BaseStore) -> None:
    store.write([received(0, record(1)), received(0, alarm())])
    delete_due(store, 5)
    end = store.end_of_feed()
    assert store.read_feed(end) == FeedPage((), end, {})


def test_what_is_deleted_while_a_page_is_read_is_an_item_and_not_counted(
    store: BaseStore, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = store.end_of_feed()
    store.write([received(0, record(1)), received(0, record(2))])
    hidden_terminals = feed.hidden_terminals

    def delete_meanwhile(db: Any, visible: Any) -> list[int]:
        monkeypatch.setattr(feed, "hidden_terminals", hidden_terminals)
        delete_due(store, 5)
        return hidden_terminals(db, visible)

    monkeypatch.setattr(feed, "hidden_terminals", delete_meanwhile)
    page = store.read_feed(start)
    assert (len(page.items), page.deleted) == (2, {})
    assert store.read_feed(start).deleted == {"record": 2}


def test_a_step_of_retention_that_fails_counts_nothing(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = store.end_of_feed()
    store.write([received(0, record(1)), received(0, alarm())])
    monkeypatch.setattr("gatepost.store.images.images.delete_of", lambda *_: 1 / 0)
    for part in ("records", "alarms"):
        monkeypatch.setattr("gatepost.store.privacy.retention.PARTS", (part,))
        with pytest.raises(ZeroDivisionError):
            delete_due(store, 5)
    page = store.read_feed(start)
    assert (len(page.items), page.deleted) == (2, {})


class Reader(Struct):
    """A reader of the feed, and all that it was told."""

    kinds: tuple[FeedKind, ...]
    start: int
    place: int
    seen: list[int] = field(default_factory=list)
    deleted: Counter[str] = field(default_factory=Counter)
    aside: dict[int, list[int]] = field(default_factory=dict)
    """By held terminal the place before the first, and the last of what was left aside."""


class Model:
    """What was ever stored, beside the store."""

    def __init__(self, store: BaseStore, seed: int) -> None:
        self.store = store
        self.rand = random.Random(seed)
        self.terminals = {ensured(store, f"SN-{n}", now_ms=0).id: "new" for n in (1, 2, 3)}
        self.ever: dict[int, tuple[FeedKind, int]] = {}
        self.readers: list[Reader] = []
        self.day = 0
        self.number = 0

    def push(self) -> None:
        rand, batch = self.rand, []
        for _ in range(rand.randint(1, 12)):
            self.number += rand.random() < 0.9  # else it is pushed again
            at = NOON + timedelta(seconds=self.number)
            event = rand.choice(
                [
                    record(self.number),
                    alarm(f"t{self.number % 7}", 1 + self.number % 3, event_time=at),
                    unknown(self.number),
                ]
            )
            batch.append(
                received(self.day - (rand.random() < 0.2), event, list(self.terminals)[self.number % 3])
            )
        for one, stored in zip(batch, self.store.write(batch), strict=True):
            kind = type(one.event).__name__.lower()
            if stored.new and kind in FEED_KINDS:
                self.ever[stored.id] = (kind, one.terminal_id)

    def change(self) -> None:
        number = self.rand.choice(list(self.terminals))
        state = self.rand.choice(["held", "approved"])
        self.store.update_terminal(number, state=state)
        self.terminals[number] = state
        for reader in self.readers if state == "approved" else ():
            if stretch := reader.aside.pop(number, None):
                self.fetch(reader, number, *stretch)

    def fetch(self, reader: Reader, number: int, after: int, until: int) -> None:
        """Read what a reader had left aside: each was told once, and none is of another terminal."""
        while found := self.store.read_feed_of(number, after, until, 3, reader.kinds):
            assert {item.id for item in found} <= set(reader.seen)
            assert not any(item.is_held or item.terminal_id != number for item in found)
            after = found[-1].id

    def leave(self) -> None:
        self.day += self.rand.randint(0, 1)
        delete_due(self.store, self.day, keep_days=2, steps=self.rand.randint(1, 6))

    def forget(self) -> None:
        erase(self.store, Whom(user_id=str(self.rand.randint(0, 4))), now_ms=RECEIVED_MS + self.day * DAY_MS)

    def join(self) -> None:
        start = self.rand.choice([0, int(self.rand.random() * max(self.ever, default=0)), *self.ever])
        kinds: tuple[FeedKind, ...] = self.rand.choice([FEED_KINDS, ("alarm",), ("record",)])
        self.readers.append(Reader(kinds, start, start))

    def read(self) -> None:
        if self.readers:
            self.page(self.rand.choice(self.readers))

    def page(self, reader: Reader) -> None:
        page = self.store.read_feed(reader.place, self.rand.randint(1, 9), reader.kinds)
        for item in page.items:
            assert reader.place < item.id <= page.place
            assert self.ever[item.id] == (item.kind, item.terminal_id)
            assert item.is_held == (self.terminals[item.terminal_id] == "held")
            if item.is_held:
                reader.aside.setdefault(item.terminal_id, [item.id - 1, 0])[1] = item.id
        reader.seen += [item.id for item in page.items]
        reader.deleted.update(page.deleted)
        reader.place = page.place
        self.check(reader)

    def check(self, reader: Reader) -> None:
        """Seen and deleted are what was ever stored between the reader's start and its place."""
        assert reader.seen == sorted(set(reader.seen))
        ever = Counter(
            kind
            for number, (kind, _) in self.ever.items()
            if kind in reader.kinds and reader.start < number <= reader.place
        )
        assert Counter(self.ever[number][0] for number in reader.seen) + reader.deleted == ever

    def finish(self) -> None:
        for reader in self.readers:
            before = -1
            last = max((n for n, (kind, _) in self.ever.items() if kind in reader.kinds), default=0)
            while reader.place < last or reader.place != before:
                before = reader.place
                self.page(reader)


@pytest.mark.parametrize("seed", range(4))
def test_seen_and_deleted_are_together_what_was_ever_stored(store: BaseStore, seed: int) -> None:
    model = Model(store, seed)
    for _ in range(100):
        steps = (model.push, model.read, model.change, model.leave, model.join, model.forget)
        model.rand.choices(steps, weights=(6, 12, 2, 3, 1, 0.3))[0]()
    model.day += 3
    model.join()
    delete_due(store, model.day, keep_days=2, steps=5)
    model.finish()
    assert sum(reader.deleted.total() for reader in model.readers) > 0
    assert sum(len(reader.seen) for reader in model.readers) > 0
