"""What every store promises, tested on every store: ``test_sqlite.py`` and ``test_postgres.py`` run it.

A subclass has a fixture ``open_store`` that opens the same store each time.
"""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select
from tests.store.events import (
    JPEG,
    NOON,
    RECEIVED_MS,
    alarm,
    arrival,
    record,
    refused,
    sample,
    times,
    unknown,
)
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import StoreError, StoreUnavailable
from gatepost.journal.streams import Position
from gatepost.store.base import BaseStore
from gatepost.store.conversion.rows import REPEATED
from gatepost.store.cursor import BadCursor
from gatepost.store.interface import (
    SIGHTING_MS,
    AlarmQuery,
    Arrival,
    FeedPage,
    Progress,
    QuarantineQuery,
    RecordQuery,
    Stored,
)
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.query.quarantine import MAX_REFUSED, MAX_REFUSED_OF_A_PEER, MAX_SAMPLES
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict
from gatepost.store.write import upserts
from gatepost.store.write.upserts import MAX_DISAGREEMENTS
from gatepost.wire import Problem
from gatepost.wire.decoding.decoded import NO_REAL_ID

Opener = Callable[[], BaseStore]


@pytest.fixture
def store(open_store: Opener) -> BaseStore:
    store = open_store()
    terminal = ensured(store, "SN-1", now_ms=RECEIVED_MS)
    assert terminal.id == 1
    return store


class Writing:
    def test_an_event_is_listed_with_everything_that_it_said(self, store: BaseStore) -> None:
        groups = (wire.Group("3", "夜班"),)
        user = wire.User(
            user_id="5",
            name="王五",
            type=2,
            job_number="23385",
            ic_number="12345",
            id_number="x",
            remark="r",
            guest_from=NOON,
            guest_until=NOON + timedelta(hours=1),
            pin="1234",
            groups=groups,
        )
        event = record(
            1, user=user, score=0.5, passed=False, mask=2, mode=9, entry_mode=11, abnormal_type=20001
        )
        problems = (Problem("data.mask", "must be an integer"),)
        store.write([arrival(event, problems=problems)])
        (row,) = store.records(RecordQuery()).items
        assert row.serial == "SN-1"
        assert row.uuid == event.uuid
        assert row.at == row.recorded_at == event.recorded_at
        assert row.received_at == NOON
        assert (row.recognition_type, row.passed, row.entry_mode, row.abnormal_type) == (1, False, 11, 20001)
        assert (row.score, row.temperature, row.mask, row.mode) == (0.5, 36.5, 2, 9)
        assert row.problems == problems
        assert row.dialect == "1.3.0"
        assert row.peer == "10.0.0.9"
        assert row.original == wire.encode(event)
        assert row.person is not None
        for name in ("user_id", "name", "type", "job_number", "ic_number", "id_number", "remark"):
            assert getattr(row.person, name) == getattr(user, name)
        assert (row.person.guest_from, row.person.guest_until) == (user.guest_from, user.guest_until)
        assert row.person.groups == ({"id": "3", "name": "夜班"},)
        assert store.record(row.id) == row

    def test_an_event_that_says_next_to_nothing_is_listed_by_when_it_arrived(self, store: BaseStore) -> None:
        store.write([arrival(wire.Record(recorded_at=None, score=None, temperature=None, mask=None))])
        (row,) = store.records(RecordQuery()).items
        assert row.recorded_at is None
        assert row.at == row.received_at == NOON
        assert row.person is None
        assert row.passed is None

    def test_an_event_is_stored_once_in_one_batch_and_later_and_after_opening_anew(
        self, open_store: Opener, store: BaseStore
    ) -> None:
        first, again = store.write([arrival(record(1)), arrival(record(1))])
        assert first.new
        assert again == Stored(False, first.id)
        assert store.write([arrival(record(2)), arrival(record(1))])[1] == Stored(False, first.id)
        store.close()
        reopened = open_store()
        assert reopened.write([arrival(record(1))]) == [Stored(False, first.id)]
        assert len(reopened.records(RecordQuery()).items) == 2
        assert reopened.stats().duplicates == 3

    def test_events_of_two_terminals_with_one_uuid_are_two_events(self, store: BaseStore) -> None:
        other = ensured(store, "SN-2", now_ms=0)
        stored = store.write([arrival(record(1)), arrival(record(1), other.id)])
        assert [s.new for s in stored] == [True, True]
        assert {r.serial for r in store.records(RecordQuery()).items} == {"SN-1", "SN-2"}

    def test_images_come_back_as_they_were_and_only_the_first_of_two_copies_is_kept(
        self, store: BaseStore
    ) -> None:
        one, two, three = store.write(
            [
                arrival(record(1), image=JPEG),
                arrival(record(2)),
                arrival(alarm(), image=JPEG[:-2]),
            ]
        )
        (again,) = store.write([arrival(record(1), image=b"\xff\xd8other")])
        assert store.image(one.id) == store.image(again.id) == JPEG
        assert store.image(two.id) is None
        assert store.image(three.id) == JPEG[:-2]
        assert store.image(10**15) is None
        shown = {row.id: row.has_image for row in store.records(RecordQuery()).items}
        assert shown == {one.id: True, two.id: False}

    @pytest.mark.parametrize("together", [True, False], ids=["one batch", "batch by batch"])
    def test_an_id_that_is_used_again_is_another_record_with_a_note_and_counts(
        self, store: BaseStore, together: bool
    ) -> None:
        other = ensured(store, "SN-2", now_ms=0)
        noisy = (Problem("data.mask", "must be an integer"),)
        name = "0d9c8f4e-id-of-three"
        batch = [
            arrival(record(1, uuid=name)),
            arrival(record(2, uuid=name)),
            arrival(record(1, uuid=name)),  # the first one again
            arrival(record(3, uuid=name), problems=noisy),
            arrival(record(4, uuid=name), other.id),  # the id is new there
            arrival(record(5)),
        ]
        new = [
            one.new
            for part in ([batch] if together else [[one] for one in batch])
            for one in store.write(part)
        ]
        assert new == [True, True, False, True, True, True]
        note = Problem("data.uuid", REPEATED)
        rows = store.records(RecordQuery(order="oldest")).items
        assert [row.problems for row in rows] == [(), (note,), (*noisy, note), (), ()]
        assert [(row.repeated_ids, row.with_problems) for row in store.terminals()] == [(2, 2), (0, 0)]
        assert not any(one.new for one in store.write(batch))
        assert [row.repeated_ids for row in store.terminals()] == [2, 0]

    def test_an_id_is_known_as_used_however_long_ago_that_was(self, store: BaseStore) -> None:
        names = [f"0d9c8f4e-{n}" for n in range(100)]
        store.write([arrival(record(n, uuid=name)) for n, name in enumerate(names)])
        store.write([arrival(record(100 + n, uuid=name)) for n, name in enumerate(names)])
        store.write([arrival(record(200 + n, uuid=name)) for n, name in enumerate(names)])
        assert store.terminals()[0].repeated_ids == 200
        newest = store.records(RecordQuery(limit=300)).items
        assert [bool(row.problems) for row in newest] == [True] * 200 + [False] * 100

    def test_ids_that_tell_nothing_apart_are_counted_for_records_and_alarms(self, store: BaseStore) -> None:
        unusable = (Problem("data.uuid", NO_REAL_ID), Problem("data.mask", "must be an integer"))
        store.write([arrival(record(n, uuid="1"), problems=unusable) for n in range(3)])
        store.write([arrival(alarm("1"), problems=(Problem("data.trace_id", NO_REAL_ID),))])
        store.write([arrival(record(9), problems=unusable[1:])])
        (row,) = store.terminals()
        assert (row.unusable_ids, row.repeated_ids, row.records, row.with_problems) == (4, 0, 4, 5)

    def test_a_batch_larger_than_any_statement_is_stored_whole(self, store: BaseStore) -> None:
        batch = [arrival(record(n), image=JPEG if n % 7 == 0 else None) for n in range(333)]
        stored = store.write(batch)
        assert all(s.new for s in stored)
        assert len({s.id for s in stored}) == 333
        rows = {row.uuid: row for row in store.records(RecordQuery(limit=1000)).items}
        assert len(rows) == 333
        for number, one in enumerate(stored):
            assert rows[f"uuid-{number:06d}"].id == one.id
            assert (store.image(one.id) is not None) == (number % 7 == 0)

    def test_a_batch_may_be_of_more_terminals_people_and_addresses_than_one_statement_takes(
        self, store: BaseStore
    ) -> None:
        count = 2 * upserts.MAX_ROWS + 7
        ids = [ensured(store, f"SN-{n}", now_ms=RECEIVED_MS).id for n in range(count)]
        for start in (0, count):
            batch = [
                arrival(
                    record(start + n, user=wire.User(user_id=f"{n}", name=f"name {n}")),
                    ids[n],
                    bind_peer=True,
                    peer=f"10.0.1.{n}",
                    model=f"model {n}",
                )
                for n in range(count)
            ]
            assert all(one.new for one in store.write(batch))
        rows = store.records(RecordQuery(limit=1000)).items
        people = {row.person.user_id: row.person.identity_id for row in rows if row.person}
        assert len(rows) == 2 * count
        assert len(set(people.values())) == len(people) == count
        assert store.peers() == {(f"10.0.1.{n}", ids[n]): RECEIVED_MS for n in range(count)}
        assert {row.serial: (row.records, row.model) for row in store.terminals()} == {
            f"SN-{n}": (2, f"model {n}") for n in range(count)
        }

    def test_of_too_many_terminals_at_addresses_the_longest_unseen_are_forgotten(
        self, store: BaseStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upserts, "MAX_PEERS", 50)
        monkeypatch.setattr(upserts, "TRIMMED_PEERS", 10)
        terminal = ensured(store, "SN-1", now_ms=RECEIVED_MS).id
        for number in range(90):
            store.write(
                [
                    arrival(
                        record(number),
                        terminal,
                        bind_peer=True,
                        peer=f"10.0.1.{number}",
                        received_at_ms=RECEIVED_MS + number,
                    )
                ]
            )
            kept = len(store.peers())
            assert min(number + 1, 41) <= kept <= 50
            assert set(store.peers()) == {
                (f"10.0.1.{n}", terminal) for n in range(number + 1 - kept, number + 1)
            }

    def test_what_a_batch_refers_to_is_as_the_database_has_it_now(self, store: BaseStore) -> None:
        store.write([arrival(record(1), bind_peer=True, model="T1")])
        site = store.create_site("b", "UTC", now_ms=0)
        with store.changing() as db:
            db.execute(t.terminals.update().values(site_id=site.id, model=None))
            db.execute(t.peers.delete())
            db.execute(t.records.delete())
            db.execute(t.identities.delete())
            db.execute(t.facets.delete())
        (stored,) = store.write([arrival(record(6), bind_peer=True, model="T1")])
        row = store.record(stored.id)
        assert row is not None
        assert row.person is not None
        assert row.person.user_id == "1"
        assert (store.terminals()[0].model, len(store.peers())) == ("T1", 1)
        with store.reading() as db:
            assert db.execute(select(t.identities.c.site_id)).scalars().all() == [site.id]

    def test_a_batch_that_holds_one_impossible_event_leaves_nothing_behind(self, store: BaseStore) -> None:
        with pytest.raises(LookupError, match="no terminal 999"):
            store.write([arrival(record(1), image=JPEG), arrival(record(2), terminal_id=999)])
        assert store.records(RecordQuery()).items == ()
        assert store.stats().records == 0
        (stored,) = store.write([arrival(record(1), image=JPEG)])
        assert stored.new
        assert store.image(stored.id) == JPEG

    @pytest.mark.parametrize("event", [alarm(), unknown()])
    def test_whatever_it_is_it_comes_from_a_terminal(self, store: BaseStore, event: wire.Event) -> None:
        with pytest.raises(LookupError, match="no terminal 999"):
            store.write([arrival(event, terminal_id=999)])

    def test_text_that_no_database_likes_is_stored_and_the_original_kept(self, store: BaseStore) -> None:
        nasty = "'; DROP TABLE records; --\0\ud800../../etc/passwd"
        user = wire.User(user_id=nasty, name=nasty, remark="\0")
        event = record(1, uuid="x" * 100_000, user=user)
        store.write([arrival(event, original=b"as it came \x00", key=b"k" * 16, peer="::1")])
        store.write([arrival(alarm(nasty), key=b"l" * 16, original=b"{}")])
        (row,) = store.records(RecordQuery()).items
        assert row.original == b"as it came \x00"
        assert row.person is not None
        assert row.person.name.startswith("'; DROP TABLE records; --\N{REPLACEMENT CHARACTER}")
        assert len(store.records(RecordQuery(name="DROP TABLE")).items) == 1
        assert len(store.alarms(AlarmQuery()).items[0].history) == 1

    def test_codes_that_no_table_knows_are_kept_and_found(self, store: BaseStore) -> None:
        store.write(
            [
                arrival(record(1, recognition_type=77, entry_mode=-(1 << 63), abnormal_type=(1 << 63) - 1)),
                arrival(record(2, recognition_type=78)),
            ]
        )
        (row,) = store.records(RecordQuery(recognition_type=77)).items
        assert (row.recognition_type, row.entry_mode) == (77, -(1 << 63))
        assert row.abnormal_type == (1 << 63) - 1


class Listing:
    def test_pages_follow_each_other_without_gap_or_repeat_while_events_arrive(
        self, store: BaseStore
    ) -> None:
        store.write([arrival(record(n)) for n in range(0, 40, 2)])
        for order in ("newest", "oldest"):
            seen, cursor, late = [], None, 0
            while True:
                page = store.records(RecordQuery(order=order, limit=3, cursor=cursor))
                seen += [row.uuid for row in page.items]
                store.write([arrival(record(1000 + late, uuid=f"{order}{late}"))])
                late += 1
                cursor = page.next_cursor
                if cursor is None:
                    break
            old = [f"uuid-{n:06d}" for n in range(0, 40, 2)]
            assert [uuid for uuid in seen if uuid in old] == (old[::-1] if order == "newest" else old)
            assert len(seen) == len(set(seen))

    def test_events_of_one_moment_are_told_apart(self, store: BaseStore) -> None:
        store.write([arrival(record(n, recorded_at=NOON)) for n in range(10)])
        seen, cursor = [], None
        while True:
            page = store.records(RecordQuery(limit=3, cursor=cursor))
            seen += [row.id for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == sorted(seen, reverse=True)
        assert len(seen) == 10

    def test_in_order_of_arrival_a_cursor_goes_on_with_what_arrives_later(self, store: BaseStore) -> None:
        store.write([arrival(record(n)) for n in (5, 3, 4)])
        page = store.records(RecordQuery(order="received", limit=2))
        assert [row.uuid for row in page.items] == ["uuid-000005", "uuid-000003"]
        page = store.records(RecordQuery(order="received", limit=2, cursor=page.next_cursor))
        page = store.records(RecordQuery(order="received", limit=2, cursor=page.next_cursor))
        assert page.items == ()
        store.write([arrival(record(1))])
        page = store.records(RecordQuery(order="received", limit=2, cursor=page.next_cursor))
        assert [row.uuid for row in page.items] == ["uuid-000001"]

    @pytest.mark.parametrize("cursor", ["", "x", "AAAA", "gaZuZXdlc3Q", "é"])
    def test_a_made_up_cursor_is_refused(self, store: BaseStore, cursor: str) -> None:
        with pytest.raises(BadCursor, match="cursor"):
            store.records(RecordQuery(cursor=cursor))

    def test_a_cursor_of_another_order_is_refused(self, store: BaseStore) -> None:
        store.write([arrival(record(n)) for n in range(3)])
        cursor = store.records(RecordQuery(limit=1)).next_cursor
        with pytest.raises(BadCursor):
            store.records(RecordQuery(order="oldest", cursor=cursor))

    def test_every_filter_and_every_two_of_them_find_what_a_look_at_each_record_finds(
        self, store: BaseStore
    ) -> None:
        other = ensured(store, "SN-2", now_ms=0)
        events = []
        for n in range(60):
            event = record(
                n,
                recognition_type=(1, 2, 3, 99)[n % 4],
                passed=(True, False, None)[n % 3],
                abnormal_type=(0, 20001)[n % 2],
                entry_mode=(1, 3, None, 42)[n // 7 % 4],
                user=None if n % 4 == 2 else record(n).user,
            )
            events.append(arrival(event, (1, other.id)[n // 5 % 2], image=JPEG if n % 9 == 0 else None))
        store.write(events)
        filters = {
            "since": NOON + timedelta(seconds=20),
            "until": NOON + timedelta(seconds=40),
            "terminal": "SN-2",
            "person": "3",
            "name": "王2",
            "job_number": "J1",
            "recognition_type": 99,
            "passed": False,
            "abnormal_type": 20001,
            "entry_mode": 42,
            "has_image": True,
            "q": "J",
        }

        def fits(a, name, value) -> bool:  # type: ignore[no-untyped-def]
            r, u = a.event, a.event.user
            if name in ("recognition_type", "passed", "abnormal_type", "entry_mode"):
                return bool(getattr(r, name) == value)
            return bool(
                {
                    "since": lambda: r.recorded_at >= value,
                    "until": lambda: r.recorded_at < value,
                    "terminal": lambda: a.terminal_id == other.id,
                    "person": lambda: u and u.user_id == value,
                    "name": lambda: u and value in u.name,
                    "job_number": lambda: u and u.job_number == value,
                    "has_image": lambda: (r.image is not None) == value,
                    "q": lambda: u and value in u.job_number,
                }[name]()
            )

        for one in filters:
            for two in filters:
                query = {one: filters[one], two: filters[two]}
                wanted = [
                    a.event.uuid for a in events if all(fits(a, name, value) for name, value in query.items())
                ]
                for order in ("newest", "oldest", "received"):
                    found = store.records(RecordQuery(**query, order=order, limit=100)).items
                    uuids = [row.uuid for row in found]
                    assert uuids == (wanted[::-1] if order == "newest" else wanted), (query, order)

    def test_signs_of_a_pattern_stand_for_themselves(self, store: BaseStore) -> None:
        store.write([arrival(record(1, user=wire.User(user_id="1", name="100%_a")))])
        assert len(store.records(RecordQuery(name="0%_")).items) == 1
        assert store.records(RecordQuery(name="%a_")).items == ()

    @pytest.mark.parametrize(
        ("sent", "typed"),
        [
            ("Émile Zola", ("emile", "ÉMILE", "e\u0301mile", "zola")),
            ("Nguye\u0302\u0303n", ("nguyễn", "NGUYEN", "Nguyễn")),
            ("Иванов", ("иванов", "ИВАНОВ")),
            ("ＷＡＮＧ", ("wang", "Ｗａｎｇ")),
            ("欧阳　修", ("欧阳 修", "欧阳修", "阳修")),
            ("Đặng Łukasz Øre", ("dang", "łukasz", "ore")),
            ("Weiß", ("WEISS", "weiß")),
            ("İnci Işıl", ("inci", "ISIL")),
            ("がく", ("がく", "か\u3099く")),
            ("100%_a/b", ("0%_A/", "%_")),
        ],
    )
    def test_people_are_found_however_their_name_and_numbers_are_written(
        self, store: BaseStore, sent: str, typed: tuple[str, ...]
    ) -> None:
        who = wire.User(user_id="１７", name=sent, job_number="Ｊ-9É", ic_number="Ic5", id_number="31x")
        other = wire.User(user_id="2", name="か", job_number="J-9É5", ic_number="6", id_number="7")
        store.write([arrival(record(1, user=who)), arrival(record(2, user=other))])
        people = People(store, Rules())
        for text in typed:
            for order in ("newest", "received"):
                for query in ({"q": text}, {"name": text}):
                    found = store.records(RecordQuery(**query, order=order)).items
                    assert [row.uuid for row in found] == ["uuid-000001"], (query, order)
            assert [person.name for person in people.page(PeopleQuery(q=text)).items] == [sent]
        for number in ("17", "j-9e", "IC5", "31X"):
            found = store.records(RecordQuery(q=number)).items
            assert [row.uuid for row in found][-1] == "uuid-000001", number
            assert store.records(RecordQuery(name=number)).items == ()
        assert [row.uuid for row in store.records(RecordQuery(job_number="j-9e")).items] == ["uuid-000001"]
        assert store.records(RecordQuery(job_number="9e")).items == ()
        assert store.records(RecordQuery(q="17j")).items == ()
        assert store.records(RecordQuery(q="%")).items == (
            store.records(RecordQuery(name=sent)).items if "%" in sent else ()
        )

    def test_who_was_renamed_is_found_by_both_names_and_each_record_has_the_name_of_its_day(
        self, store: BaseStore
    ) -> None:
        before = wire.User(user_id="17", name="Anna Müller")
        after = wire.User(user_id="17", name="Anna Weiß")
        store.write([arrival(record(1, user=before)), arrival(record(2, user=after))])
        for name, uuid in (("muller", "uuid-000001"), ("weiss", "uuid-000002")):
            assert [row.uuid for row in store.records(RecordQuery(q=name)).items] == [uuid]
            (person,) = People(store, Rules()).page(PeopleQuery(q=name)).items
            assert person.name == "Anna Weiß"
        both = store.records(RecordQuery(q="anna", order="oldest")).items
        assert [row.person and row.person.name for row in both] == ["Anna Müller", "Anna Weiß"]

    def test_the_feed_shows_everything_once_in_order_of_arrival(self, store: BaseStore) -> None:
        start = store.end_of_feed()
        one, two = store.write([arrival(record(1)), arrival(alarm())])
        (three,) = store.write([arrival(alarm(status=3))])
        page = store.read_feed(start, 2)
        assert [(i.id, i.kind) for i in page.items] == [(one.id, "record"), (two.id, "alarm")]
        more = store.read_feed(page.place, 10)
        assert [(i.id, i.kind, i.event_id) for i in more.items] == [
            (three.id, "alarm", page.items[1].event_id)
        ]
        assert store.read_feed(more.place, 10) == FeedPage((), more.place, {})
        assert store.end_of_feed() >= more.place

    def test_the_feed_comes_with_what_happened_an_alarm_as_it_is_now(self, store: BaseStore) -> None:
        start = store.end_of_feed()
        store.write([arrival(record(1)), arrival(alarm("T", 1)), arrival(record(2)), arrival(alarm("T", 3))])
        items, place = store.read_feed(start).items, store.read_feed(start).place
        happened, same_place = store.happened(start)
        assert tuple(item for item, _ in happened) == items
        assert place == same_place
        (opened,) = store.alarms(AlarmQuery()).items
        assert [row for _, row in happened] == [
            store.record(items[0].event_id), opened, store.record(items[2].event_id), opened,
        ]  # fmt: skip
        assert opened.state == "cleared"
        assert store.happened(place) == ([], place)


class Alarms:
    @pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (3, 2, 1)])
    def test_steps_are_joined_in_whatever_order_they_arrive(
        self, store: BaseStore, order: tuple[int, ...]
    ) -> None:
        for status in order:
            store.write([arrival(alarm(status=status, description=f"step {status}"))])
        (row,) = store.alarms(AlarmQuery()).items
        assert row.state == "cleared"
        assert [step.status for step in row.history] == [1, 2, 3]
        assert [step.description for step in row.history] == ["step 1", "step 2", "step 3"]
        assert (row.code, row.trace_id, row.serial) == (10001, "trace-0001", "SN-1")
        assert (row.first_at, row.last_at) == (NOON + timedelta(seconds=1), NOON + timedelta(seconds=3))
        assert store.alarm(row.id) == row

    def test_one_trace_at_two_terminals_is_two_alarms(self, store: BaseStore) -> None:
        other = ensured(store, "SN-2", now_ms=0)
        store.write([arrival(alarm()), arrival(alarm(), other.id)])
        assert len(store.alarms(AlarmQuery()).items) == 2
        assert len(store.alarms(AlarmQuery(terminal="SN-2")).items) == 1

    def test_alarms_are_found_by_their_state_and_paged_without_gap(self, store: BaseStore) -> None:
        for n in range(9):
            steps = (1, 2, 3)[: n % 3 + 1]
            store.write([arrival(alarm(f"t{n}", s, event_time=NOON + timedelta(minutes=n))) for s in steps])
        for number, state in enumerate(("open", "clear_failed", "cleared")):
            seen, cursor = [], None
            while True:
                page = store.alarms(AlarmQuery(state=state, limit=2, cursor=cursor))
                seen += [row.trace_id for row in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
            # An alarm whose clearing failed is open, too.
            wanted = (0, 1) if state == "open" else (number,)
            assert seen == [f"t{n}" for n in range(8, -1, -1) if n % 3 in wanted]
        since = NOON + timedelta(minutes=3)
        assert len(store.alarms(AlarmQuery(since=since, until=since + timedelta(minutes=2))).items) == 2

    def test_an_alarm_can_be_acknowledged_and_stays_open(self, store: BaseStore) -> None:
        store.write([arrival(alarm())])
        (row,) = store.alarms(AlarmQuery(acknowledged=False)).items
        assert store.acknowledge_alarm(row.id, by="ada", note="looked", now_ms=RECEIVED_MS)
        assert store.alarms(AlarmQuery(acknowledged=False)).items == ()
        (row,) = store.alarms(AlarmQuery(acknowledged=True)).items
        assert (row.state, row.acknowledged_by, row.note, row.acknowledged_at) == (
            "open",
            "ada",
            "looked",
            NOON,
        )
        assert not store.acknowledge_alarm(10**15, by="ada", note="", now_ms=0)

    def test_a_closed_alarm_is_cleared_and_keeps_what_its_terminal_reports_later(
        self, store: BaseStore
    ) -> None:
        store.write([arrival(alarm()), arrival(alarm(status=2)), arrival(alarm("other"))])
        number = next(row.id for row in store.alarms(AlarmQuery(state="clear_failed")).items)
        assert store.close_alarm(number, by="ada", note="reset by hand", now_ms=RECEIVED_MS)
        assert not store.close_alarm(number, by="bob", note="again", now_ms=RECEIVED_MS)
        assert not store.close_alarm(10**15, by="ada", note="", now_ms=0)
        assert [row.trace_id for row in store.alarms(AlarmQuery(state="open")).items] == ["other"]
        assert store.alarms(AlarmQuery(state="clear_failed")).items == ()
        (row,) = store.alarms(AlarmQuery(state="cleared")).items
        assert (row.closed_at, row.closed_by, row.closed_note) == (NOON, "ada", "reset by hand")
        assert (row.acknowledged_at, row.acknowledged_by, row.note) == (NOON, "ada", None)
        stats = store.stats()
        assert (stats.alarms, stats.open_alarms, stats.unacknowledged_alarms) == (2, 1, 1)
        for status in (2, 3):
            store.write([arrival(alarm(status=status, event_time=NOON + timedelta(hours=status)))])
            (row,) = store.alarms(AlarmQuery(state="cleared")).items
            assert (row.state, row.closed_note, row.history[-1].status) == (
                "cleared",
                "reset by hand",
                status,
            )
        store.write([arrival(alarm(event_time=NOON + timedelta(hours=4)))])
        assert [row.trace_id for row in store.alarms(AlarmQuery(state="open")).items] == [
            "trace-0001",
            "other",
        ]

    def test_only_open_alarms_that_are_not_held_count(self, store: BaseStore) -> None:
        store.write([arrival(alarm("a")), arrival(alarm("b")), arrival(alarm("c")), arrival(alarm("c", 3))])
        (row, *_) = store.alarms(AlarmQuery(state="open")).items
        store.acknowledge_alarm(row.id, by="ada", note="", now_ms=0)
        assert (store.stats().open_alarms, store.stats().unacknowledged_alarms) == (2, 1)
        store.update_terminal(row.terminal_id, state="held")
        assert (store.stats().open_alarms, store.stats().unacknowledged_alarms) == (0, 0)

    def test_alarms_and_the_quarantine_are_found_by_terminal_and_site(self, store: BaseStore) -> None:
        site = store.create_site("Campus", "UTC", now_ms=0)
        named = [store.create_terminal(now_ms=0, serial=f"N-{n}", name="Gate") for n in range(2)]
        away = ensured(store, None, peer="10.0.0.9", now_ms=0)
        store.update_terminal(away.id, site_id=site.id)
        for number in (1, named[0].id, named[1].id, away.id):
            store.write([arrival(alarm(), number), arrival(unknown(number), number)])
        for filters, found in (
            ({"terminal": "Gate"}, [named[0].id, named[1].id]),
            ({"terminal": "N-1"}, [named[1].id]),
            ({"terminal": named[0].id}, [named[0].id]),
            ({"without_serial": True}, [away.id]),
            ({"site_id": site.id}, [away.id]),
            ({"terminal": "Gate", "without_serial": True}, []),
            ({"terminal": "no such"}, []),
        ):
            alarms = store.alarms(AlarmQuery(**filters)).items
            assert sorted(row.terminal_id for row in alarms) == found
            pushes = store.quarantined(QuarantineQuery(**filters)).items
            assert sorted(row.terminal_id for row in pushes) == found

    def test_a_status_that_no_table_knows_leaves_the_alarm_open_and_is_in_its_history(
        self, store: BaseStore
    ) -> None:
        store.write([arrival(alarm(status=9)), arrival(alarm(status=None))])
        (row,) = store.alarms(AlarmQuery()).items
        assert row.state == "open"
        assert {step.status for step in row.history} == {9, None}


class Terminals:
    def test_a_serial_is_one_terminal_however_often_it_introduces_itself(self, store: BaseStore) -> None:
        first = ensured(store, "SN-7", now_ms=5)
        assert ensured(store, "SN-7", now_ms=9, state="held") == first
        assert (first.serial, first.state, first.site) == ("SN-7", "new", "default")
        nobody = ensured(store, None, peer="10.0.0.4", now_ms=5)
        assert ensured(store, None, peer="10.0.0.4", now_ms=6).id == nobody.id
        assert (nobody.serial, nobody.anonymous_peer) == (None, "10.0.0.4")

    def test_counts_and_what_was_learnt_stand_at_the_terminal(self, store: BaseStore) -> None:
        sent = RECEIVED_MS - 90_000
        batch = [
            arrival(record(1), model="T1", sent_at_ms=sent, bind_peer=True, received_at_ms=RECEIVED_MS),
            arrival(record(2), problems=(Problem("x", "y"),), received_at_ms=RECEIVED_MS + 3_600_000),
            arrival(alarm(), disagreements=(("header", "SN-9"),)),
            arrival(unknown()),
            arrival(record(1)),
        ]
        store.write(batch)
        (row,) = store.terminals()
        counts = (row.records, row.alarms, row.quarantined, row.duplicates, row.with_problems, row.late)
        assert counts == (2, 1, 1, 1, 1, 1)
        assert row.disagreements == 1
        assert (row.model, row.dialect, row.peer) == ("T1", "1.3.0", "10.0.0.9")
        assert row.clock_error_ms == -90_000
        assert row.first_seen == NOON
        assert row.last_seen == NOON + timedelta(hours=1)
        assert row.last_recorded_at == NOON + timedelta(seconds=2)
        assert store.peers() == {("10.0.0.9", 1): RECEIVED_MS}

    def test_without_a_clock_in_its_pushes_the_error_is_the_shortest_way_of_the_day(
        self, store: BaseStore
    ) -> None:
        for n, lag in enumerate((7_000, 2_000, 900_000)):
            at = RECEIVED_MS + n * 1_000_000
            event = record(n, recorded_at=NOON + timedelta(milliseconds=at - RECEIVED_MS - lag))
            store.write([arrival(event, received_at_ms=at)])
        assert store.terminals()[0].clock_error_ms == -2_000
        at = RECEIVED_MS + 86_400_000
        store.write([arrival(record(9, recorded_at=NOON + timedelta(days=1, seconds=30)), received_at_ms=at)])
        assert store.terminals()[0].clock_error_ms == 30_000

    @pytest.mark.parametrize("in_one_batch", [True, False])
    @pytest.mark.parametrize("ahead_ms", [11_000, 90_000, 3_600_000, 80_000_000, 86_399_999, 86_400_001])
    def test_the_error_follows_a_clock_that_was_ahead_back_with_the_next_right_push(
        self, store: BaseStore, ahead_ms: int, in_one_batch: bool
    ) -> None:
        def pushed(number: int, lag_ms: int) -> Arrival:
            at = RECEIVED_MS + number * 1000
            recorded = NOON + timedelta(milliseconds=at - RECEIVED_MS - lag_ms)
            event = record(number, recorded_at=recorded) if number % 2 else alarm(event_time=recorded)
            return arrival(event, received_at_ms=at)

        if in_one_batch:
            store.write([pushed(1, -ahead_ms), pushed(2, -ahead_ms + 300), pushed(3, 977)])
            assert store.terminals()[0].clock_error_ms == -977
            return
        store.write([pushed(1, -ahead_ms)])
        assert store.terminals()[0].clock_error_ms == ahead_ms
        store.write([pushed(2, -ahead_ms + 300)])
        assert store.terminals()[0].clock_error_ms == ahead_ms - 300
        store.write([pushed(3, 977)])
        assert store.terminals()[0].clock_error_ms == -977
        store.write([pushed(4, 5_000)])
        assert store.terminals()[0].clock_error_ms == -977

    def test_a_backlog_does_not_tell_that_a_clock_which_is_ahead_is_behind(self, store: BaseStore) -> None:
        for number, lag_ms in enumerate((-90_000, 3_600_000, 700_000)):
            recorded = NOON - timedelta(milliseconds=lag_ms)
            store.write([arrival(record(number, recorded_at=recorded))])
            assert store.terminals()[0].clock_error_ms == 90_000

    @pytest.mark.parametrize("year", [2026, 2110, 5138])
    def test_a_clock_in_the_future_spoils_neither_lists_nor_what_is_latest(
        self, store: BaseStore, year: int
    ) -> None:
        future = NOON.replace(year=year)
        ahead = [record(1, recorded_at=future), alarm("F", 1, event_time=future)]
        store.write([arrival(event) for event in ahead])
        (row,) = store.terminals()
        assert row.last_recorded_at is None
        assert row.clock_error_ms == (future - NOON) // timedelta(milliseconds=1)
        right = NOON + timedelta(minutes=5)
        events = [record(2, recorded_at=right), alarm("R", 1, event_time=right)]
        store.write([arrival(event, received_at_ms=RECEIVED_MS + 300_000) for event in events])
        (row,) = store.terminals()
        assert (row.last_recorded_at, row.clock_error_ms) == (right, 0)
        records = store.records(RecordQuery()).items
        assert [(one.uuid, one.at, one.recorded_at) for one in records] == [
            ("uuid-000002", right, right),
            ("uuid-000001", NOON, future),
        ]
        assert store.records(RecordQuery(since=right + timedelta(seconds=1))).items == ()
        alarms = store.alarms(AlarmQuery()).items
        assert [(one.trace_id, one.first_at) for one in alarms] == [("R", right), ("F", NOON)]
        assert (alarms[1].history[0].at, alarms[1].history[0].listed_at) == (future, NOON)

    def test_the_latest_event_follows_a_clock_that_is_put_back(
        self, store: BaseStore, open_store: Opener
    ) -> None:
        store.write([arrival(record(1, recorded_at=NOON + timedelta(hours=8)))])
        assert store.terminals()[0].last_recorded_at == NOON + timedelta(hours=8)
        right = NOON + timedelta(minutes=5)
        store.write([arrival(record(2, recorded_at=right), received_at_ms=RECEIVED_MS + 300_000)])
        assert store.terminals()[0].last_recorded_at == right
        store.write(
            [arrival(record(3, recorded_at=NOON - timedelta(days=3)), received_at_ms=RECEIVED_MS + 400_000)]
        )
        assert store.terminals()[0].last_recorded_at == right

    def test_the_usual_interval_is_learnt(self, store: BaseStore) -> None:
        for n in range(60):
            store.write([arrival(record(n), received_at_ms=RECEIVED_MS + n * 5000)])
        interval = store.terminals()[0].interval_ms
        assert interval is not None
        assert 4000 <= interval <= 5000

    def test_every_terminal_at_an_address_is_known_with_when_it_was_last_there(
        self, store: BaseStore
    ) -> None:
        other = ensured(store, "SN-2", now_ms=0)
        store.write([arrival(record(1), bind_peer=True)])
        store.write(
            [arrival(record(2), other.id, bind_peer=True), arrival(record(3), other.id, peer="10.0.0.7")]
        )
        later = RECEIVED_MS + SIGHTING_MS
        store.write([arrival(record(4), bind_peer=True, received_at_ms=later)])
        assert store.peers() == {("10.0.0.9", 1): later, ("10.0.0.9", other.id): RECEIVED_MS}

    def test_a_token_is_unused_until_its_first_push_and_binds_until_it_is_taken_away(
        self, store: BaseStore
    ) -> None:
        made = store.create_terminal(now_ms=0, serial="SN-9", token_digest=b"d" * 32)
        assert (made.token_used_at, made.token_required_since) == (None, None)
        assert store.tokens() == {b"d" * 32: made.id}
        for now_ms in (RECEIVED_MS, RECEIVED_MS + 5):
            used = store.use_token(b"d" * 32, now_ms=now_ms)
            assert used is not None
            assert (used.id, used.token_used_at, used.token_required_since) == (made.id, NOON, NOON)
        assert store.use_token(b"e" * 32, now_ms=1) is None
        rotated = store.update_terminal(made.id, token_digest=b"f" * 32)
        assert rotated is not None
        assert (rotated.token_used_at, rotated.token_required_since) == (None, NOON)
        assert store.update_terminal(made.id, name="gate") == replace(rotated, name="gate")
        freed = store.update_terminal(made.id, token_digest=None)
        assert freed is not None
        assert (freed.has_token, freed.token_used_at, freed.token_required_since) == (False, None, None)

    def test_when_a_terminal_last_pushed_without_its_token_is_kept(self, store: BaseStore) -> None:
        store.write([arrival(record(1), tokenless=True)])
        store.write([arrival(record(2), received_at_ms=RECEIVED_MS + 9)])
        store.write([arrival(record(3), tokenless=True, received_at_ms=RECEIVED_MS - 9)])
        assert store.terminals()[0].tokenless_at == NOON

    def test_a_terminal_can_be_made_before_it_pushes_and_be_found_by_its_token(
        self, store: BaseStore
    ) -> None:
        site = store.create_site("仓库", "Asia/Shanghai", now_ms=RECEIVED_MS)
        made = store.create_terminal(
            now_ms=RECEIVED_MS, name="gate", site_id=site.id, token_digest=b"d" * 32, networks=["10.0.0.0/8"]
        )
        assert (made.state, made.timezone, made.networks) == ("approved", "Asia/Shanghai", ("10.0.0.0/8",))
        assert made.has_token
        assert store.terminal_by_token(b"d" * 32) == made
        assert store.terminal_by_token(b"e" * 32) is None
        changed = store.update_terminal(
            made.id, serial="SN-3", timezone="UTC", token_digest=None, networks=()
        )
        assert changed is not None
        assert (changed.serial, changed.timezone, changed.has_token) == ("SN-3", "UTC", False)
        assert changed.networks == ()
        assert store.terminal(made.id) == changed
        assert store.update_terminal(10**9, name="x") is None

    def test_what_cannot_be_twice_is_refused_by_name(self, store: BaseStore) -> None:
        other = ensured(store, "SN-2", now_ms=0)
        with pytest.raises(Conflict, match="serial"):
            store.create_terminal(now_ms=0, serial="SN-1")
        with pytest.raises(Conflict, match="serial"):
            store.update_terminal(other.id, serial="SN-1")
        store.create_site("a", "UTC", now_ms=0)
        with pytest.raises(Conflict, match="site called a"):
            store.create_site("a", "UTC", now_ms=0)
        with pytest.raises(Conflict, match="site called a"):
            store.update_site(1, name="a")
        store.update_site(1, name="main", timezone="Asia/Tokyo")
        assert [(s.name, s.timezone) for s in store.sites()] == [("main", "Asia/Tokyo"), ("a", "UTC")]

    @pytest.mark.parametrize("letter", ["x", "王", "\U0001f600"])
    def test_a_number_of_any_length_is_kept_apart_from_others(self, store: BaseStore, letter: str) -> None:
        # Noise: what repeats itself PostgreSQL packs before it finds it too long for an index.
        noise = random.Random(1)
        long = "".join(letter + chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(10_000))
        people = [wire.User(user_id=long + end) for end in ("1", "2")]
        batch = [arrival(record(number, user=user)) for number, user in enumerate([*people, people[0]])]
        batch += [arrival(alarm(trace_id=long + end)) for end in ("1", "2", "1")]
        assert [one.new for one in store.write(batch)] == [True] * 5 + [False]
        found = store.records(RecordQuery(order="oldest")).items
        numbers = [row.person.identity_id for row in found if row.person]
        assert numbers[0] == numbers[2] != numbers[1]
        assert len(store.alarms(AlarmQuery()).items) == 2
        user_id = found[0].person.user_id if found[0].person else ""
        assert user_id.startswith(long[:400])
        assert len(store.records(RecordQuery(person=user_id)).items) == 2

    def test_a_reader_sees_one_moment_of_the_store(self, store: BaseStore) -> None:
        count = select(func.count()).select_from(t.records)
        with store.reading() as db:
            assert db.execute(count).scalar_one() == 0
            store.write([arrival(record(1))])
            assert db.execute(count).scalar_one() == 0
        with store.reading() as db:
            assert db.execute(count).scalar_one() == 1

    def test_one_number_at_two_sites_is_two_people(self, store: BaseStore) -> None:
        site = store.create_site("b", "UTC", now_ms=0)
        other = store.create_terminal(now_ms=0, serial="SN-2", site_id=site.id)
        store.write([arrival(record(1)), arrival(record(1), other.id)])
        one, two = store.records(RecordQuery(person="1")).items
        assert one.person is not None
        assert two.person is not None
        assert one.person.identity_id != two.person.identity_id
        assert [row.serial for row in store.records(RecordQuery(person="1", site_id=site.id)).items] == [
            "SN-2"
        ]

    def test_what_a_held_terminal_sends_is_stored_hidden_and_listed_once_approved(
        self, store: BaseStore
    ) -> None:
        held = ensured(store, "SN-2", now_ms=0, state="held")
        start = store.end_of_feed()
        store.write([arrival(record(1), held.id), arrival(alarm(), held.id), arrival(record(2))])
        assert [row.uuid for row in store.records(RecordQuery()).items] == ["uuid-000002"]
        assert len(store.records(RecordQuery(include_held=True)).items) == 2
        assert store.alarms(AlarmQuery()).items == ()
        assert len(store.alarms(AlarmQuery(include_held=True)).items) == 1
        assert len(store.happened(start)[0]) == 1
        assert [item.is_held for item in store.read_feed(start).items] == [True, True, False]
        store.update_terminal(held.id, state="approved")
        assert len(store.happened(start)[0]) == 3
        assert len(store.records(RecordQuery()).items) == 2
        assert len(store.alarms(AlarmQuery()).items) == 1


class Trouble:
    def test_what_is_no_event_is_kept_raw_and_once(self, store: BaseStore) -> None:
        problems = (Problem("type", "must be 0 or 1"),)
        one, again = store.write([arrival(unknown(), problems=problems), arrival(unknown())])
        assert one.new
        assert not again.new
        (row,) = store.quarantined().items
        assert (row.id, row.serial, row.peer, row.tries) == (one.id, "SN-1", "10.0.0.9", 0)
        assert row.problems == problems
        assert row.original == b'{"type":7,"data":{"number":1}}'
        assert store.quarantined_by_id([row.id]) == [row]
        assert store.records(RecordQuery()).items == ()
        assert store.stats().quarantined == 1

    def test_the_quarantine_is_paged(self, store: BaseStore) -> None:
        stored = store.write([arrival(unknown(n)) for n in range(5)])
        seen, cursor = [], None
        while True:
            page = store.quarantined(QuarantineQuery(limit=2, cursor=cursor))
            seen += [row.id for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == [s.id for s in stored][::-1]

    def test_what_is_discarded_is_gone(self, store: BaseStore) -> None:
        one, two = store.write([arrival(unknown(1)), arrival(unknown(2))])
        assert store.discard_quarantined([one.id, 10**15]) == 1
        assert [row.id for row in store.quarantined().items] == [two.id]

    def test_refusals_are_added_up_by_terminal_and_reason(self, store: BaseStore) -> None:
        store.count_refused({(1, "too large"): 2, (0, "no JSON"): 1}, now_ms=1)
        store.count_refused({(1, "too large"): 3}, now_ms=2)
        store.count_refused({}, now_ms=3)
        stats = store.stats()
        assert stats.refusals == {"too large": 5, "no JSON": 1}
        assert stats.refused == 6
        assert store.terminals()[0].refused == 5

    def test_refused_pushes_are_listed_with_where_they_came_from_and_how_often(
        self, store: BaseStore
    ) -> None:
        one, two = refused("/Reocrd", serial="SN-1"), refused("", peer="10.0.0.8", reason="slow", status=408)
        store.note_refused({one: times(2, 1000, "first"), two: times(1, 1000)}, {})
        store.note_refused({one: times(1, 2000, "last")}, {})
        first, second = store.refused()
        assert (first.peer, first.path, first.serial, first.count) == ("10.0.0.9", "/Reocrd", "SN-1", 3)
        assert (first.status, first.reason, first.detail) == (400, "no JSON", "last")
        assert (first.last_at - first.first_at).total_seconds() == 1
        assert (second.status, second.reason, second.path, second.serial) == (408, "slow", "", None)

    def test_a_scan_of_paths_does_not_fill_the_disk_or_displace_others(self, store: BaseStore) -> None:
        store.note_refused({refused(peer="10.0.0.1"): times(1, 0)}, {})
        for round_ in range(3):
            store.note_refused({refused(f"/{round_}/{n}"): times(1, round_) for n in range(700)}, {})
        rows = store.refused()
        assert len(rows) == MAX_REFUSED_OF_A_PEER + 1
        assert {row.path[:3] for row in rows if row.peer == "10.0.0.9"} == {"/2/"}

    def test_many_peers_do_not_fill_the_disk(self, store: BaseStore) -> None:
        for round_ in range(3):
            many = {refused(peer=f"10.{round_}.{n}"): times(1, round_) for n in range(700)}
            store.note_refused(
                many, {(push.peer, push.reason): sample(at_ms=round_) for push in list(many)[:150]}
            )
        rows = store.refused()
        assert len(rows) == MAX_REFUSED
        assert {row.peer for row in rows} >= {f"10.2.{n}" for n in range(700)}
        with store.reading() as db:
            assert db.execute(select(func.count()).select_from(t.refusal_samples)).scalar() == MAX_SAMPLES

    def test_a_sample_is_kept_for_each_peer_and_reason(self, store: BaseStore) -> None:
        first, second = refused("/Record"), refused("/Record", peer="10.0.0.8")
        store.note_refused({first: times(), second: times()}, {("10.0.0.9", "no JSON"): sample(b"old")})
        store.note_refused({}, {("10.0.0.9", "no JSON"): sample(b"new", RECEIVED_MS + 1)})
        found = {row.peer: row.sample_id for row in store.refused()}
        assert found["10.0.0.8"] is None
        kept = store.refusal_sample(found["10.0.0.9"] or 0)
        assert kept is not None
        assert (kept.peer, kept.reason, kept.status, kept.content) == ("10.0.0.9", "no JSON", 400, b"new")
        assert store.drop_refusal_samples() == 1
        assert store.refusal_sample(kept.id) is None
        assert {row.sample_id for row in store.refused()} == {None}

    def test_made_up_serials_do_not_fill_the_disk(self, store: BaseStore) -> None:
        for start in range(0, 300, 50):
            store.write(
                [
                    arrival(record(n), disagreements=(("header", f"SN-{n}"),), received_at_ms=RECEIVED_MS + n)
                    for n in range(start, start + 50)
                ]
            )
        assert store.terminals()[0].disagreements == MAX_DISAGREEMENTS

    def test_many_addresses_do_not_fill_the_disk(
        self, store: BaseStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upserts, "MAX_PEERS", 20)
        for n in range(50):
            one = arrival(record(n), peer=f"10.0.1.{n}", bind_peer=True, received_at_ms=RECEIVED_MS + n)
            store.write([one])
        peers = store.peers()
        assert len(peers) <= 20
        assert ("10.0.1.49", 1) in peers

    def test_to_write_nothing_is_nothing(self, store: BaseStore) -> None:
        assert store.write([]) == []

    def test_a_closed_store_says_so_and_closes_twice(self, store: BaseStore) -> None:
        store.close()
        store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            store.write([arrival(record(1))])


JOURNAL, OTHER_JOURNAL = bytes(range(16)), bytes(16)


def progress(journal: bytes = JOURNAL, **positions: Position) -> Progress:
    return Progress(journal, positions)


class Positions:
    def test_positions_are_stored_with_the_rows_and_are_there_after_opening_again(
        self, open_store: Opener, store: BaseStore
    ) -> None:
        assert store.positions(JOURNAL) == {}
        # Segments and offsets are compared as numbers, and an offset begins again with its segment.
        places = [
            Position(1, 9, 1),
            Position(1, 10, 2),
            Position(1, 2**40, 3),
            Position(2, 0, 3),
            Position(10, 7, 4),
        ]
        for number, place in enumerate(places):
            (stored,) = store.write([arrival(record(number))], progress(records=place))
            assert stored.new
            assert store.positions(JOURNAL) == {"records": place}
        last = [*(arrival(record(number)) for number in range(5)), arrival(alarm()), arrival(unknown())]
        both = {"records": Position(10, 8, 9), "alarms": Position(1, 512, 1)}
        assert [one.new for one in store.write(last, progress(**both))] == [False] * 5 + [True] * 2
        store.close()
        reopened = open_store()
        assert reopened.positions(JOURNAL) == both
        assert len(reopened.records(RecordQuery()).items) == 5

    def test_an_empty_batch_stores_its_positions(self, store: BaseStore) -> None:
        store.write([arrival(record(number)) for number in range(20)])
        many = {f"stream-{number}": Position(1, number, number) for number in range(200)}
        assert store.write([], progress(**many)) == []
        assert store.positions(JOURNAL) == many
        assert store.write([], progress()) == []
        assert store.positions(JOURNAL) == many
        (stored,) = store.write([arrival(record(20))])
        assert stored.new
        assert store.stats().records == 21

    def test_a_batch_that_fails_leaves_the_positions_as_they_were(self, store: BaseStore) -> None:
        store.write([arrival(record(1))], progress(records=Position(1, 100, 1)))
        batch = [arrival(record(2), image=JPEG), arrival(record(3), terminal_id=999)]
        with pytest.raises(LookupError, match="no terminal 999"):
            store.write(batch, progress(records=Position(1, 300, 3)))
        assert store.positions(JOURNAL) == {"records": Position(1, 100, 1)}
        assert len(store.records(RecordQuery()).items) == 1
        (stored,) = store.write(batch[:1], progress(records=Position(1, 300, 3)))
        assert stored.new
        assert store.image(stored.id) == JPEG
        assert store.positions(JOURNAL) == {"records": Position(1, 300, 3)}

    @pytest.mark.parametrize("back", [Position(2, 99, 9), Position(1, 5000, 9)], ids=["offset", "segment"])
    @pytest.mark.parametrize(
        "events", [[], [record(2)], [record(1)], [alarm()]], ids=["none", "new", "old", "alarm"]
    )
    def test_a_position_that_would_go_back_is_refused_and_nothing_of_its_batch_is_stored(
        self, store: BaseStore, back: Position, events: list[wire.Event]
    ) -> None:
        there = {"alarms": Position(1, 50, 1), "records": Position(2, 100, 9)}
        store.write([arrival(record(1))], progress(**there))
        batch = [arrival(event) for event in events]
        with pytest.raises(StoreError, match="another process has read this journal further") as refusal:
            store.write(batch, progress(alarms=Position(1, 60, 2), records=back))
        assert not isinstance(refusal.value, StoreUnavailable)
        assert store.positions(JOURNAL) == there
        stats = store.stats()
        assert (stats.records, stats.alarms, stats.duplicates) == (1, 0, 0)
        # To stay is not to go back, and what follows is stored.
        store.write(batch, progress(**there))
        store.write([arrival(record(3))], progress(records=Position(2, 200, 10)))
        assert store.positions(JOURNAL) == there | {"records": Position(2, 200, 10)}

    def test_positions_of_two_journals_are_apart(self, store: BaseStore) -> None:
        store.write([], progress(records=Position(7, 70, 700)))
        store.write([], progress(OTHER_JOURNAL, records=Position(1, 10, 1)))
        assert store.positions(JOURNAL) == {"records": Position(7, 70, 700)}
        assert store.positions(OTHER_JOURNAL) == {"records": Position(1, 10, 1)}

    def test_streams_that_are_deleted_are_forgotten_and_no_others(self, store: BaseStore) -> None:
        places = {name: Position(1, 10, 1) for name in ("first", "second", "third")}
        for journal in (JOURNAL, OTHER_JOURNAL):
            store.write([], progress(journal, **places))
        store.forget_streams(JOURNAL, [])
        assert store.positions(JOURNAL) == places
        store.forget_streams(JOURNAL, ["first", "third", "unknown"])
        assert store.positions(JOURNAL) == {"second": Position(1, 10, 1)}
        assert store.positions(OTHER_JOURNAL) == places


class Leaving:
    def test_the_sizes_tell_what_is_on_disk(self, store: BaseStore) -> None:
        store.write([arrival(record(), image=JPEG)])
        before = store.sizes()
        store.write([arrival(record(n), image=JPEG) for n in range(2, 40)])
        after = store.sizes()
        assert set(after) == {"events", "images"}
        assert after["images"] - before["images"] > 30 * len(JPEG)
        assert store.scrub()


class StoreSuite(Writing, Listing, Alarms, Terminals, Trouble, Positions, Leaving):
    """All of it."""
