"""The live stream over a real connection, on both databases."""

import asyncio
import json
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Postgres
from tests.receiver.api.listener import Listener
from tests.receiver.kit import Clock, Process, Running, alarm, record, serving, until

from gatepost.receiver.auth.cookies import COOKIE
from gatepost.receiver.auth.issuing import issue_token
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.postgres.store import PostgresStore


async def test_what_arrives_is_told_as_the_lists_show_it(either: Running) -> None:
    await either.push(record(uuid="before"))
    listener = await Listener.open(either)
    assert listener.headers["content-type"].startswith("text/event-stream")
    assert listener.headers["cache-control"] == "no-store"
    told = []
    for event in (
        record(),
        alarm(),
        alarm(status=3),
    ):  # one after the other: an alarm goes before records that wait
        await either.push(event)
        told += await listener.events(1)
    first, second, third = told
    records = (await either.get("/api/v1/records?order=received")).json["items"]
    alarms = (await either.get("/api/v1/alarms")).json["items"]
    assert (first.kind, first.data) == ("record", records[1])
    assert (second.kind, third.kind) == ("alarm", "alarm")
    assert third.data == alarms[0]
    assert third.data["state"] == "cleared"
    assert first.id < second.id < third.id


async def test_a_fire_alarm_under_a_used_trace_id_is_told_listed_and_counted_as_one_of_its_own(
    either: Running,
) -> None:
    listener = await Listener.open(either)
    # The clears have no usable time, and the fires began before these were received.
    for trace, time in (("1", None), ("trace-of-a-door", "garbage"), ("2", 1000), ("3", 4_428_000_000_000)):
        told = []
        for fields in (
            {"code": 10003},
            {"status": 3, "code": None, "event_time": time},
            {"code": 20003, "event_time": 1_684_381_733_398},
        ):
            assert (await either.push(alarm(trace_id=trace, **fields))).status == 200
            told += await listener.events(1)
        assert [(event.data["code"], event.data["state"]) for event in told] == [
            (10003, "open"),
            (10003, "cleared"),
            (20003, "open"),
        ]
        assert told[0].data["id"] == told[1].data["id"] != told[2].data["id"]
    items = (await either.get("/api/v1/alarms?state=open")).json["items"]
    assert [item["code"] for item in items] == [20003] * 4
    assert items[0] == told[2].data
    assert (await either.get("/api/v1/stats")).json["alarms"] == 8


@pytest.mark.parametrize("by", ["header", "query"])
async def test_it_goes_on_behind_the_last_event_that_was_seen(either: Running, by: str) -> None:
    for number in range(5):
        await either.push(record(uuid=f"u-{number}"))
    everything = await (await Listener.open(either, "?after=0")).events(5)
    assert [event.data["uuid"] for event in everything] == [f"u-{number}" for number in range(5)]
    seen = str(everything[2].id)
    query, headers = ("", {"Last-Event-ID": seen}) if by == "header" else (f"?after={seen}", {})
    again = await Listener.open(either, query, **headers)
    assert await again.events(2) == everything[3:]


async def test_the_last_event_counts_more_than_the_address_with_which_it_began(either: Running) -> None:
    await either.push(record(uuid="a"))
    (first,) = await (await Listener.open(either, "?after=0")).events(1)
    again = await Listener.open(either, "?after=0", **{"Last-Event-ID": str(first.id)})
    await either.push(record(uuid="b"))
    assert [event.data["uuid"] for event in await again.events(1)] == ["b"]


async def test_coming_and_going_while_a_writer_writes_shows_each_event_exactly_once(either: Running) -> None:
    total, rand = 120, random.Random(3)
    listener = await Listener.open(either)

    async def write() -> None:
        for start in range(0, total, 6):
            pushes = (either.push(record(uuid=f"u-{n}")) for n in range(start, start + 6))
            assert [answer.status for answer in await asyncio.gather(*pushes)] == [200] * 6

    writing = asyncio.create_task(write())
    seen: list[str] = []
    while len(seen) < total:
        for _ in range(rand.randrange(1, 12)):
            if len(seen) < total:
                event = await listener.event()
                assert event is not None
                seen.append(event.data["uuid"])
        place = listener.place
        await listener.close()
        listener = await Listener.open(either, **{"Last-Event-ID": str(place)})
    await writing
    assert sorted(seen) == sorted(f"u-{n}" for n in range(total))


async def test_only_one_terminal_or_one_kind_is_told_where_that_is_asked_for(either: Running) -> None:
    by_serial = await Listener.open(either, "?terminal=SN-2")
    by_kind = await Listener.open(either, "?kind=alarm")
    await either.push(record())
    await either.push(record(deviceSN="SN-2", uuid="u-2"))
    await either.push(alarm(trace_id="T-9"))
    event = await by_serial.event()
    assert event is not None
    assert event.data["uuid"] == "u-2"
    by_id = await Listener.open(either, f"?after=0&terminal_id={event.data['terminal_id']}")
    assert await by_id.event() == event
    either.store.update_terminal(event.data["terminal_id"], name="北门")
    for query in ("terminal=%E5%8C%97%E9%97%A8", "site=default&terminal=SN-2", "site_id=1&terminal=SN-2"):
        by_name = await Listener.open(either, f"?after=0&{query}")
        found = await by_name.event()
        assert found is not None
        assert found.id == event.id, query  # its name may be the one of when it was read for others
    told = await by_kind.event()
    assert told is not None
    assert told.data["trace_id"] == "T-9"


async def test_who_may_not_look_gets_no_stream(receiver: Running) -> None:
    assert (await Listener.open(receiver, Authorization="Bearer wrong")).status == 401


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"Last-Event-ID": "x"}),
        ("", {"Last-Event-ID": str(1 << 70)}),
        ("?after=-1", {}),
        ("?after=x", {}),
        ("?kind=x", {}),
    ],
)
async def test_a_place_that_cannot_be_is_refused(
    receiver: Running, query: str, headers: dict[str, str]
) -> None:
    assert (await Listener.open(receiver, query, **headers)).status == 400


async def test_a_withdrawn_token_ends_its_stream(receiver: Running) -> None:
    receiver.desk.live.heartbeat_s = 0.01
    accounts = Accounts(receiver.store)
    secret, row = issue_token(accounts, "wall", "viewer", by="test", now_ms=0)
    listener = await Listener.open(receiver, Authorization=f"Bearer {secret}")
    accounts.revoke_token(row.id, now_ms=0)
    assert await listener.event() is None


async def test_a_stream_keeps_no_session_alive(receiver: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.desk.live.heartbeat_s = 0.01
    doors, clock, asked = receiver.desk.access.doors, Clock(), list[float]()
    authenticate = doors.authenticate

    def seen(*request: Any, **how: Any) -> Any:
        found = authenticate(*request, **how)
        asked.append(clock.at)
        return found

    monkeypatch.setattr(doors, "_now", clock)
    monkeypatch.setattr(doors, "authenticate", seen)
    anna = doors.accounts.create("anna", "viewer", "hash", now_ms=doors.now_ms())
    login = await asyncio.to_thread(doors.open_session, anna, address="127.0.0.1")
    listener = await Listener.open(receiver, Authorization=None, Cookie=f"{COOKIE}={login.secret}")
    assert listener.status == 200
    clock.at += 4000
    asked.clear()
    await until(lambda: asked.count(clock.at) > 1)
    clock.at += 4000  # two hours without a use of it end a session
    assert await listener.event() is None


async def test_a_stream_ends_when_its_user_may_see_less(receiver: Running) -> None:
    receiver.desk.live.heartbeat_s = 0.01
    accounts = Accounts(receiver.store)
    accounts.create("root", "admin", "hash", now_ms=0)
    anna = accounts.create("anna", "admin", "hash", now_ms=0)
    secret, _ = issue_token(accounts, "wall", "viewer", by="anna", owner_id=anna.id, now_ms=0)
    for lowered in ({"sites": [1]}, {"role": "guard"}):
        listener = await Listener.open(receiver, Authorization=f"Bearer {secret}")
        assert listener.status == 200
        accounts.change(anna.id, now_ms=0, **lowered)  # type: ignore[arg-type]
        assert await listener.event() is None


@pytest.mark.parametrize("what", ["disable", "lower", "revoke", "logout"])
async def test_what_is_withdrawn_here_ends_its_streams_at_once_and_no_others(
    receiver: Running, what: str
) -> None:
    receiver.desk.live.heartbeat_s = 3600
    doors = receiver.desk.access.doors
    accounts = doors.accounts
    accounts.create("root", "admin", "hash", now_ms=0)
    anna = accounts.create("anna", "operator", "hash", now_ms=0)
    secret, token = issue_token(accounts, "wall", "viewer", by="anna", owner_id=anna.id, now_ms=0)
    login = await asyncio.to_thread(doors.open_session, anna, address="127.0.0.1")
    cookie = {"Cookie": f"{COOKIE}={login.secret}", "Sec-Fetch-Site": "same-origin"}
    headers = {"Authorization": None, **cookie} if what == "logout" else {"Authorization": f"Bearer {secret}"}
    other = await Listener.open(receiver)
    listener = await Listener.open(receiver, **headers)
    assert listener.status == 200
    if what == "revoke":
        assert (await receiver.request("DELETE", f"/api/v1/tokens/{token.id}")).status == 204
    elif what == "logout":
        sender = await receiver.connect()
        assert (await sender.request("DELETE", "/api/v1/session", b"", cookie)).status == 204
    else:
        change = {"role": "guard"} if what == "lower" else {"disabled": True}
        path = f"/api/v1/accounts/{anna.id}"
        assert (await receiver.request("PATCH", path, json.dumps(change).encode())).status == 200
    assert await listener.event() is None
    await receiver.push(record())
    assert await other.event() is not None


async def test_beyond_so_many_streams_one_is_told_to_come_back_later(receiver: Running) -> None:
    receiver.desk.live.max_listeners = 1
    await Listener.open(receiver)
    refused = await Listener.open(receiver)
    assert refused.status == 503
    assert refused.headers["retry-after"] == "5"


async def test_a_listener_that_leaves_is_forgotten(receiver: Running) -> None:
    listener = await Listener.open(receiver)
    assert receiver.desk.live.listeners == 1
    await listener.close()
    await until(lambda: receiver.desk.live.listeners == 0)


async def test_one_that_does_not_read_is_cut_off(receiver: Running) -> None:
    live = receiver.desk.live
    await Listener.open(receiver)  # and nothing is read of it any more
    quick = await Listener.open(receiver)
    for number in range(200):
        groups = [{"id": str(n), "name": "x" * 500} for n in range(100)]
        user = {"name": "n", "user_id": "1", "groups": groups}
        await receiver.push(record(uuid=f"u-{number}", user=user))
        assert await quick.event() is not None
    assert live.listeners == 2
    await receiver.pass_time(61)
    await until(lambda: live.listeners == 1)
    await receiver.push(record(uuid="after"))
    event = await quick.event()
    assert event is not None
    assert event.data["uuid"] == "after"


async def test_a_stop_does_not_wait_for_streams(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    sender = await process.connect()
    head = f"GET /api/v1/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {process.token}\r\n\r\n"
    await sender.write(head.encode())
    await sender.reader.readuntil(b"id: 0\n\n")
    assert await process.stop(timeout=8.0) == 0
    await sender.ended()
    await sender.close()


async def test_what_another_receiver_on_the_same_database_stores_is_told_as_well(
    postgres_server: Postgres,
) -> None:
    url = postgres_server.create_with_store()
    settings = ReceiverSettings(database=url)
    with closing(PostgresStore.open(url)) as here, closing(PostgresStore.open(url)) as there:
        async with serving(here, settings) as one, serving(there, settings) as other:
            listener = await Listener.open(one)
            for number in range(10):
                await (one if number % 2 else other).push(record(uuid=f"u-{number}"))
            found = await listener.events(10)
            assert sorted(event.data["uuid"] for event in found) == [f"u-{n}" for n in range(10)]
    postgres_server.drop(url)
