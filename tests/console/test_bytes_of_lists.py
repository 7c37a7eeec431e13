"""Every list has so many bytes, as a reply of the API and as a page, however long the rows are that strangers sent.

Texts are made of the characters that take most room as JSON and as HTML.
"""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace
from tests.console.kit import Desk
from tests.receiver import kit
from tests.store.events import NOON, RECEIVED_MS, arrival, record, refused, times
from tests.terminals import ensured

from gatepost import wire
from gatepost.console.input.filters import CHOICE_BYTES
from gatepost.receiver.api.terminals.values import would_refuse
from gatepost.receiver.terminals.preview import WouldRefuse
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.saved_views import MAX_VIEWS, Reader, SavedViews
from gatepost.store.attendance.corrections import Corrections
from gatepost.store.attendance.person_day import MAX_RECORDS
from gatepost.store.attendance.schedules import Schedule
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.conversion.limits import MAX_GROUPS, MAX_TEXT
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.forwarding.destinations import AttemptRow, ExceptionRow, Step
from gatepost.store.interface import NewTerminal
from gatepost.store.page_bytes import PAGE_BYTES
from gatepost.store.people.groups import MAX_IDS
from gatepost.store.people.marked import MarkedPeople
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.query.quarantine import MAX_REFUSED
from gatepost.store.terminals.adopted import Credentials, Looked, NewAdopted
from gatepost.store.terminals.adoptions import KEPT, ToAdopt

MONTH = "2024-05"

HTML_BYTES = PAGE_BYTES + 3 * CHOICE_BYTES
"""Of a page: its list, two fields to choose from, and the frame."""


def longest(number: int, length: int = MAX_TEXT) -> str:
    """Return a text that is no other one's."""
    return f"{number:07}" + "\"'\x01&"[number % 4] * (length - 7)


async def listed(desk: Desk, path: str, **query: object) -> list[Any]:
    """Return every item of a list; each reply has so many bytes."""
    found: list[Any] = []
    cursor = None
    while True:
        asked = {**query, **({} if cursor is None else {"cursor": cursor})}
        reply = await desk.running.get(f"{path}?{urlencode(asked)}")
        assert reply.status == 200, reply.body[:300]
        assert len(reply.body) <= PAGE_BYTES
        found += reply.json["items"]
        cursor = reply.json["next_cursor"]
        if cursor is None:
            return found


async def shown(desk: Desk, path: str, *, lists: int = 1) -> str:
    page = await desk.get(path)
    assert page.status == 200
    assert len(page.html.encode()) <= HTML_BYTES + (lists - 1) * PAGE_BYTES
    return page.html


async def test_terminals(desk: Desk) -> None:
    networks = [f"10.{n // 256}.{n % 256}.0/24" for n in range(500)]
    for number in range(100):
        row = ensured(desk.store, longest(number, 128), now_ms=RECEIVED_MS)
        desk.store.update_terminal(row.id, name=longest(number, 128), networks=networks)
    items = await listed(desk, "/api/v1/terminals")
    assert [item["id"] for item in items] == list(range(1, 101))
    reply = await desk.running.get("/api/v1/terminals")
    assert 1 < len(reply.json["items"]) < 100
    await shown(desk, "/terminals")


async def test_fields_to_choose_from(desk: Desk) -> None:
    desk.store.ensure_terminals([NewTerminal(longest(number, 128), RECEIVED_MS) for number in range(3000)])
    for path in ("/records", "/alarms", "/quarantine", "/statistics"):
        page = await shown(desk, path)
        assert 100 < page.count("<option") < 2900
        assert len(page.encode()) < 2 * CHOICE_BYTES


async def test_people_groups_and_attendance(desk: Desk) -> None:
    ensured(desk.store, "SN-1", now_ms=RECEIVED_MS)
    numbers = iter(range(1_000_000))
    for who in range(12):
        fields: dict[str, Any] = {
            name: longest(who) for name in ("job_number", "ic_number", "id_number", "remark", "name")
        }
        groups = tuple(
            wire.Group(longest(next(numbers)), longest(next(numbers)), {}) for _ in range(MAX_GROUPS)
        )
        user = wire.User(user_id=longest(who), type=1, groups=groups, **fields)
        desk.store.write([arrival(record(who, user=user), original=b"{}")])
    assert len(await listed(desk, "/api/v1/people", limit=1000)) == 12
    assert len(await listed(desk, "/api/v1/groups")) == 12 * MAX_GROUPS
    assert len(await listed(desk, "/api/v1/attendance", day="2024-05-06", limit=1000)) == 12
    assert len(await listed(desk, "/api/v1/attendance/groups", day="2024-05-06")) == 12 * MAX_GROUPS
    for path in ("/people", "/attendance?day=2024-05-06", f"/attendance?month={MONTH}"):
        await shown(desk, path)


async def test_attendance_of_people_with_another_name_each_day(desk: Desk) -> None:
    ensured(desk.store, "SN-1", now_ms=RECEIVED_MS)
    numbers = iter(range(1_000_000))
    for who in range(60):
        desk.store.write(
            [
                arrival(
                    record(
                        number,
                        recorded_at=NOON + timedelta(days=day),
                        user=wire.User(user_id=f"{who}", name=longest(number), type=1),
                    ),
                    original=b"{}",
                    received_at_ms=RECEIVED_MS + day * DAY_MS,
                )
                for day in range(25)
                for number in [next(numbers)]
            ]
        )
    items = await listed(desk, "/api/v1/attendance", month=MONTH, limit=1000)
    assert len(items) == 60
    assert sum(len(item["days"]) for item in items) == 60 * 25
    reply = await desk.running.get(f"/api/v1/attendance?month={MONTH}&limit=1000")
    assert len(reply.json["items"]) < 60
    await shown(desk, f"/attendance?month={MONTH}")


async def test_a_group_with_any_number_of_ids_lists_the_first(desk: Desk) -> None:
    ensured(desk.store, "SN-1", now_ms=RECEIVED_MS)
    ids = [f"{number}" for number in range(2 * MAX_IDS)]
    for who in range(2):
        groups = tuple(wire.Group(number, "Sales", {}) for number in ids[who * MAX_IDS : (who + 1) * MAX_IDS])
        user = wire.User(user_id=f"{who}", name=f"{who}", groups=groups)
        desk.store.write([arrival(record(who, user=user), original=b"{}")])
    (group,) = await listed(desk, "/api/v1/groups")
    assert group["ids"] == ids[:MAX_IDS]
    for number in (ids[0], ids[-1]):
        assert len(await listed(desk, "/api/v1/people", group=number)) == 2


async def test_a_day_of_a_person_says_that_it_has_more(desk: Desk) -> None:
    for number in range(5):
        row = ensured(desk.store, longest(number, 128), now_ms=RECEIVED_MS)
        desk.store.update_terminal(row.id, name=longest(number, 128))
    user = wire.User(user_id="1", name="Ann")
    count = 2000
    desk.store.write(
        [
            arrival(
                record(n, recorded_at=NOON + timedelta(seconds=11 * (n // 5)), user=user),
                n % 5 + 1,
                original=b"{}",
            )
            for n in range(count)
        ]
    )
    reply = await desk.running.get("/api/v1/people/1/days/2024-05-06")
    assert len(reply.body) <= PAGE_BYTES
    assert 100 < len(reply.json["items"]) < count < MAX_RECORDS
    assert reply.json["is_cut"] is True
    assert reply.json["shifts"][0]["passages"] > len(reply.json["items"])
    page = await shown(desk, "/people/1?day=2024-05-06")
    assert "The day has more than this page shows" in page


async def test_the_audit_log(desk: Desk) -> None:
    accounts = Accounts(desk.store)
    sites = [(1 << 62) + number for number in range(1000)]
    for number in range(300):
        accounts.note(
            now_ms=RECEIVED_MS,
            actor=longest(number, 64),
            address="10.0.0.9",
            action="account.created",
            subject=longest(number, 64),
            detail={"sites": sites},
        )
    assert len(await listed(desk, "/api/v1/audit", limit=1000, action="account.created")) == 300
    reply = await desk.running.get("/api/v1/audit?limit=1000&action=account.created")
    assert len(reply.json["items"]) < 300
    await shown(desk, "/audit")


async def test_accounts_tokens_and_sites(desk: Desk) -> None:
    accounts = Accounts(desk.store)
    sites = [
        desk.store.create_site(f"{number:03}" + '"' * 125, "Asia/Shanghai", now_ms=0).id
        for number in range(1000)
    ]
    for number in range(250):
        name = f"{number:03}" + '"' * 61
        accounts.create(name, "viewer", "", now_ms=0, sites=sites)
        accounts.create_token(name, "viewer", number.to_bytes(32), by=name, now_ms=0, sites=sites)
    names = [item["name"] for item in await listed(desk, "/api/v1/accounts")]
    assert len(names) == len(set(names)) == 250 + 4
    assert len({item["id"] for item in await listed(desk, "/api/v1/tokens")}) == 250 + 1
    assert len({item["id"] for item in await listed(desk, "/api/v1/sites")}) == 1001
    assert (await desk.running.get("/api/v1/accounts")).json["next_cursor"] is not None
    page = await shown(desk, "/settings/users", lists=2)
    assert 'rel="next"' in page
    assert "tokens=" in page
    for path in ("accounts", "tokens", "sites", "groups"):
        assert (await desk.running.get(f"/api/v1/{path}?cursor=kwrong")).status == 400


async def test_refused_pushes(desk: Desk) -> None:
    pushes = {
        refused('"' * 200, peer=f"10.0.{n % 250}.{n // 250}", serial=f"{n:04}" + '"' * 196): times(
            detail='"' * 300
        )
        for n in range(MAX_REFUSED)
    }
    desk.store.note_refused(pushes, {})
    assert len(await listed(desk, "/api/v1/refusals")) == MAX_REFUSED
    await shown(desk, "/refusals")


async def test_terminals_that_settings_would_refuse(desk: Desk) -> None:
    row = ensured(desk.store, longest(1, 128), now_ms=RECEIVED_MS)
    found = [
        WouldRefuse(
            terminal=replace(row, id=number, name=longest(number, 128)),
            reason="unknown",
            message="m" * 200,
            peer="10.0.0.9",
            last_at=NOON,
        )
        for number in range(1, 5001)
    ]
    seen: list[int] = []
    cursor = None
    while True:
        page = would_refuse(lambda: found, cursor)
        seen += [item.terminal_id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) < 2000
    assert seen == list(range(1, 5001))


async def test_every_list_of_the_api_is_bounded_here_or_by_its_rows(desk: Desk) -> None:
    """Walk all routes: a new list fails this test until it is measured."""
    measured = {
        "/api/v1/terminals", "/api/v1/people", "/api/v1/groups", "/api/v1/attendance",
        "/api/v1/attendance/groups", "/api/v1/audit", "/api/v1/accounts", "/api/v1/tokens", "/api/v1/sites",
        "/api/v1/refusals", "/api/v1/terminals/would-refuse", "/api/v1/destinations",
        "/api/v1/destinations/{destination_id}/dead", "/api/v1/destinations/{destination_id}/attempts",
        "/api/v1/fleet", "/api/v1/fleet/adoptions",
    }  # fmt: skip
    # See tests/store/test_page_bytes.py.
    as_stored = {
        "/api/v1/records", "/api/v1/alarms", "/api/v1/quarantine", "/api/v1/people/strangers",
        "/api/v1/people/outside-time",
    }  # fmt: skip
    # One row a process, one row a setting, one row, some rows a day of a year at most, and a thousand short rows.
    few = {
        "/api/v1/notices", "/api/v1/receivers", "/api/v1/terminals/{terminal_id}/would-refuse",
        "/api/v1/people/{person_id}/shifts", "/api/v1/fleet/adoptions/{adoption_id}/rows",
        "/api/v1/fleet/{terminal_id}/audit", "/api/v1/fleet/jobs",
        "/api/v1/settings",
    }  # fmt: skip
    measured.add("/api/v1/views")
    # See test_schedules_and_corrections.
    measured |= {"/api/v1/schedules", "/api/v1/holidays", "/api/v1/assignments", "/api/v1/corrections"}
    # See test_marks_and_who_is_inside; a person has twenty numbers at most.
    measured |= {"/api/v1/people/marked"}
    few |= {"/api/v1/people/{person_id}/joined"}
    document = (await desk.running.get("/api/openapi.json")).json
    lists = {
        path
        for path, methods in document["paths"].items()
        if "get" in methods and "Listing" in str(methods["get"]["responses"]["200"])
    }
    assert lists == measured | as_stored | few


async def test_adopted_terminals_and_what_they_said(desk: Desk) -> None:
    adopted, store = desk.running.desk.fleet.adopted, desk.running.store
    for number in range(1, 451):
        row = store.create_terminal(now_ms=0, serial=f"SN-fleet-{number}", name=longest(number, 128))
        new = NewAdopted(
            terminal_id=row.id,
            address="https://192.0.2.1:8000",
            ours="https://us.example/Record",
            credentials=Credentials("admin", "secret", "token"),
            certificate=b"c" * 32,
            previous=None,
            previous_shown=None,
            must_set=False,
            clock_error_ms=None,
            by="test",
        )
        adopted.adopt(new, now_ms=0)
        said = longest(number, 500)
        looked = Looked(
            terminal_id=row.id,
            revision=1,
            state="stopped",
            reason=said,
            due_ms=0,
            failures=0,
            sets=(),
            must_set=False,
            looked_at_ms=0,
            found="away",
            shown=said,
            said=said,
        )
        adopted.keep([looked])
    assert len(await listed(desk, "/api/v1/fleet")) == 450
    waits = ToAdopt(address="192.0.2.1", username="admin", password="secret")
    for number in range(KEPT):
        desk.running.desk.fleet.many.adoptions.create(
            [waits], ours="http://us", by=longest(number, 64), now_ms=0
        )
    assert len(await listed(desk, "/api/v1/fleet/adoptions")) == KEPT


async def test_destinations_and_what_they_said(desk: Desk) -> None:
    destinations = desk.running.desk.destinations
    headers = {f"X-{number}": "\\" * 4096 for number in range(20)}
    config = msgspec.json.encode({"kind": "webhook", "url": "https://localhost/", "headers": headers})
    rows = [
        destinations.create(f"{number}", "webhook", config, b"{}", now_ms=0, paused=True)
        for number in range(30)
    ]
    assert len(await listed(desk, "/api/v1/destinations")) == 30
    one, fence = rows[0], destinations.lease(rows[0].id, "test", now_ms=0, for_ms=-1)
    assert fence is not None
    tries = [
        AttemptRow(
            at_ms=number,
            took_ms=1,
            event_id=number,
            events=1,
            outcome="refused",
            status=longest(number, 500),
            reply=longest(number, 2048),
        )
        for number in range(1000)
    ]
    dead = {
        number: ExceptionRow(
            event_id=number,
            kind="record",
            terminal_id=1,
            received_at_ms=0,
            is_dead=True,
            attempts=10,
            refusals=10,
            mark=0,
            attempted_at_ms=0,
            due_ms=0,
            reason=longest(number, 500),
            dead_at_ms=0,
        )
        for number in range(1, 1501)
    }
    destinations.commit(one.id, fence, Step(tries=tries, put=dead), changes=0, steps=0)
    assert len(await listed(desk, f"/api/v1/destinations/{one.id}/attempts")) == 1000
    assert len(await listed(desk, f"/api/v1/destinations/{one.id}/dead", limit=1000)) == 1500


async def test_marks_and_who_is_inside(desk: Desk) -> None:
    """What terminals send of people is as long as it may be."""
    store, now = desk.running.store, datetime.now(UTC)
    marked = MarkedPeople(store, Rules())
    terminal = ensured(store, "SN-1", now_ms=RECEIVED_MS)
    batch = []
    for number in range(300):
        user = wire.User(user_id=longest(number, 1000), name=longest(number, 1000))
        received_ms = round(now.timestamp() * 1000)
        event = record(number, recorded_at=now, user=user)
        batch.append(arrival(event, terminal.id, received_at_ms=received_ms))
    store.write(batch)
    people = People(store, Rules())
    for person in people.page(PeopleQuery(limit=300)).items:
        marked.mark(person, reason=longest(1, 200), until=None, by="x", now_ms=0)
    assert len({item["person_id"] for item in await listed(desk, "/api/v1/people/marked")}) == 300
    assert len({item["person_id"] for item in await listed(desk, "/api/v1/inside")}) == 300
    await shown(desk, "/inside")


async def test_schedules_and_corrections(desk: Desk) -> None:
    store = desk.running.store
    assert (await desk.running.push(kit.record())).status == 200
    await asyncio.to_thread(desk.running.settle)
    schedules, corrections = Schedules(store), Corrections(store, Rules())
    for number in range(300):
        name = longest(number, 64)
        schedules.create(Schedule(name=f"x{name}"[:64], start_min=0, end_min=60), now_ms=0)
        schedules.add_holiday(date(2024, 1, 1) + timedelta(number), name, site_id=None, is_half=False)
        schedules.assign(
            None, date(2024, 1, 1) + timedelta(number), group=longest(0, 256), by="x" * 64, now_ms=0
        )
    (person,) = People(store, Rules()).page(PeopleQuery()).items
    for number in range(300):
        at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        corrections.add(person, at, note=longest(number, 500), by="x", now_ms=2_000_000_000_000)
    for name in ("schedules", "holidays", "assignments", "corrections"):
        assert len({item["id"] for item in await listed(desk, f"/api/v1/{name}")}) == 300, name


async def test_views(desk: Desk) -> None:
    reader = Reader(account_id=1, role="admin", every_site=True)
    views = SavedViews(desk.store.seen_by(desk.store.visible), reader)
    for number in range(MAX_VIEWS):
        name, text = longest(number, 64), longest(number, 999)
        views.save("terminals", name, {"q": text}, shared=False, by="x" * 64, now_ms=0)
        views.save("records", name, {"q": text, "terminal": text}, shared=True, by="x" * 64, now_ms=0)
    assert len(await listed(desk, "/api/v1/views")) == MAX_VIEWS
    for path in ("/views", "/records", "/terminals"):
        await shown(desk, path)
