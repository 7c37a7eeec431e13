"""What a stranger costs at most: memory, disk, terminals, replies. Each attack is made for real, and measured.

The bounds are listed in docs/decisions/limits.md.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import (
    SUCCESS,
    Process,
    Running,
    Sender,
    alarm,
    body,
    receiving,
    record,
    request,
    until,
)

from gatepost.receiver.http.connections.connection import MAX_PIPELINED, GuardedProtocol
from gatepost.receiver.http.connections.limits import Request
from gatepost.receiver.ingest.commit.disk import reserved_bytes
from gatepost.wire import SUCCESS as TAKEN

MEGABYTE = 1024 * 1024


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """A receiver of its own."""
    running = await Process.start(tmp_path / "data")
    yield running
    await running.kill()


async def test_no_more_requests_of_a_connection_wait_than_are_allowed_and_none_is_lost(
    receiver: Running,
) -> None:
    guard, taken = receiver.ingest.guard, list[Request]()
    guard.take = taken.append
    sender = await receiver.connect()
    many = 5000
    pushes = b"".join(request("POST", "/Record", body({"type": n})) for n in range(many))
    writing = asyncio.create_task(sender.write(pushes))
    await until(lambda: any(one.flow.read_paused for one in guard._open if isinstance(one, GuardedProtocol)))
    (connection,) = guard._open
    assert isinstance(connection, GuardedProtocol)
    most, counted, answered = 0, 0, 0
    while answered < many:
        await until(lambda: bool(taken))
        most = max(most, len(connection._pipelined))
        counted = max(counted, guard.bodies_bytes)
        assert len(taken) == 1
        assert taken[0].body == body({"type": answered})
        taken.pop().answer(200, TAKEN)
        answered += 1
    for _ in range(many):
        assert (await sender.answer()).json == SUCCESS
    await writing
    assert MAX_PIPELINED - 2 <= most <= 16
    assert 16_384 < counted < MEGABYTE
    assert guard.bodies_bytes == 0


@pytest.mark.parametrize("answered", [0, 3])
async def test_what_waits_of_a_sender_who_leaves_is_not_counted_any_more(
    receiver: Running, answered: int
) -> None:
    guard, taken = receiver.ingest.guard, list[Request]()
    guard.take = taken.append
    sender = await receiver.connect()
    await sender.write(request("POST", "/Record", b"{}") * 500)
    await until(lambda: guard.bodies_bytes > 0)
    for _ in range(answered):
        await until(lambda: bool(taken))
        taken.pop().answer(200, TAKEN)
    sender.writer.transport.abort()
    await until(lambda: bool(taken))
    while guard.connections:  # that it left shows when it is written to
        await asyncio.sleep(0)
        for waiting in taken:
            waiting.answer(200, TAKEN)
    assert guard.bodies_bytes == 0


async def test_requests_that_wait_share_the_budget_of_all_bodies(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", max_bodies_bytes=MEGABYTE, max_body_bytes=8192) as receiver:
        guard, taken = receiver.ingest.guard, list[Request]()
        guard.take = taken.append
        senders = [await receiver.connect() for _ in range(40)]
        for sender in senders:
            await sender.write(request("POST", "/Record") * 500)
        await until(lambda: guard.counts["refused.503"] > 0)
        assert guard.bodies_bytes < 1.5 * MEGABYTE
        guard.take = receiver.ingest.pushes.take
        while taken:
            taken.pop().answer(200, TAKEN)
        sender = await receiver.connect()
        while (answer := await sender.request("POST", "/Record", body(record()))).status == 503:
            sender = await receiver.connect()
        assert answer.json == SUCCESS


async def test_who_reads_no_replies_is_sent_no_more_of_them(receiver: Running) -> None:
    sender = await receiver.connect()
    sender.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sender.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: receiver.ingest.guard.connections == 1)
    (connection,) = receiver.ingest.guard._open
    assert isinstance(connection, GuardedProtocol)
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    many = 4000
    writing = asyncio.create_task(sender.write(request("POST", "/Record", b"{") * many))
    await until(lambda: connection.flow.write_paused)
    assert connection.flow.read_paused
    for _ in range(1000):
        await asyncio.sleep(0)
        assert connection.transport.get_write_buffer_size() < MEGABYTE // 4  # type: ignore[attr-defined]
    sender.reader._transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(many):
        assert (await sender.answer()).status == 400
    await writing


@pytest.mark.parametrize("path", ["/Record", "/api/v1/records"])
async def test_two_hundred_connections_that_pipeline_take_no_memory(process: Process, path: str) -> None:
    method = "POST" if path == "/Record" else "GET"
    smallest = f"{method} {path} HTTP/1.1\r\nHost:r\r\n\r\n".encode()
    flood = smallest * (MEGABYTE // len(smallest))
    senders = [await Sender.connect(process.port) for _ in range(200)]
    writing = [asyncio.create_task(sender.write(flood)) for sender in senders]
    peak = 0
    try:
        for number in range(5):
            honest = await process.connect()
            await honest.write_push(record(uuid=f"{number}"))
            assert (await honest.answer(timeout=100)).status in (200, 503)
            peak = max(peak, process.resident_bytes())
    finally:
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        for sender in senders:
            sender.writer.transport.abort()
    assert peak < 350 * MEGABYTE


@pytest.mark.parametrize(
    ("disk", "reserve"),
    [(10**9, 64 * MEGABYTE), (10**10, 5 * 10**8), (10**12, 1024 * MEGABYTE)],
    ids=["small", "middling", "large"],
)
def test_of_every_disk_some_room_stays_free(disk: int, reserve: int) -> None:
    assert reserved_bytes(disk) == reserve


async def test_below_the_reserve_nothing_is_taken_and_everything_that_makes_room_works(
    tmp_path: Path,
) -> None:
    async with receiving(tmp_path / "data") as receiver:
        await receiver.push(record())
        await receiver.push({"type": 9, "data": {}})
        assert len(receiver.records()) == 1
    async with receiving(tmp_path / "data", min_free_bytes=1 << 62) as receiver:
        receiver.ingest.group_commit.tend()
        await until(lambda: receiver.ingest.group_commit.is_full)
        refused = await receiver.push(record(uuid="second"))
        assert (refused.status, refused.json["code"]) == (503, 503)
        assert int(refused.headers["retry-after"]) > 0
        ready = await receiver.get("/readyz")
        assert ready.status == 503
        assert "min_free_bytes" in ready.json["detail"]
        doors = receiver.desk.access.doors
        doors.accounts.create("anna", "admin", doors.hash("correct horse battery"), now_ms=0)
        login = {"name": "anna", "password": "correct horse battery"}
        assert (await receiver.request("POST", "/api/v1/session", body(login))).status in (200, 201)
        (held,) = (await receiver.get("/api/v1/quarantine")).json["items"]
        discarded = await receiver.request("POST", "/api/v1/quarantine/discard", body({"ids": [held["id"]]}))
        assert discarded.json == {"discarded": 1}
        (person,) = (await receiver.get("/api/v1/people")).json["items"]
        erased = await receiver.request("POST", f"/api/v1/people/{person['id']}/erase", b"{}")
        assert erased.json["records"] == 1
        await asyncio.to_thread(receiver.desk.keeper.once)


async def test_what_nobody_approved_has_a_quota_and_what_is_approved_has_none(tmp_path: Path) -> None:
    async with receiving(
        tmp_path / "data", unapproved_events_per_minute=20, unapproved_terminals_per_address=2
    ) as receiver:
        noon = 1_700_000_000.0 // 86_400 * 86_400 + 43_200
        receiver.ingest._arrivals._now = lambda: noon

        async def flood(serial: str, pushes: int) -> list[int]:
            answers = [await receiver.push(record(deviceSN=serial, uuid=f"{n}")) for n in range(pushes)]
            return [answer.status for answer in answers]

        assert await flood("STRANGER", 25) == [200] * 20 + [503] * 5
        refused = await receiver.push(record(deviceSN="STRANGER", uuid="more"))
        assert refused.json["code"] == 503
        assert "unapproved_events_per_minute" in refused.json["message"]
        assert int(refused.headers["retry-after"]) > 0
        assert await flood("OTHER", 25) == [200] * 20 + [503] * 5
        assert await flood("THIRD", 1) == [503]
        stranger = next(row for row in receiver.store.terminals() if row.serial == "STRANGER")
        assert (await receiver.request("POST", f"/api/v1/terminals/{stranger.id}/approve")).status == 200
        assert await flood("STRANGER", 50) == [200] * 50
        assert len(receiver.records()) == 50 + 20
        noon += 60
        assert await flood("OTHER", 21) == [200] * 20 + [503]


async def test_only_so_many_terminals_introduce_themselves_in_an_hour(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", max_new_terminals_per_hour=3) as receiver:
        made = await receiver.request("POST", "/api/v1/terminals", body({"serial": "KNOWN", "token": False}))
        assert made.status == 201
        noon = 1_700_000_000.0 // 86_400 * 86_400 + 43_200
        receiver.ingest.directory._now = lambda: noon
        answers = [await receiver.push(record(deviceSN=f"NEW-{n}")) for n in range(5)]
        assert [answer.status for answer in answers] == [200] * 3 + [503] * 2
        refused = answers[-1]
        assert "max_new_terminals_per_hour" in refused.json["message"]
        assert int(refused.headers["retry-after"]) > 0
        assert (await receiver.push(record(deviceSN="KNOWN"))).json == SUCCESS
        assert (await receiver.push(record(deviceSN="NEW-0", uuid="again"))).json == SUCCESS
        noon += 3600
        assert (await receiver.push(record(deviceSN="NEW-4"))).json == SUCCESS


async def test_retired_terminals_leave_room_for_new_ones(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", max_terminals=2) as receiver:
        answers = [await receiver.push(record(deviceSN=f"SN-{n}")) for n in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 403]
        first = receiver.store.terminals()[0]
        assert (await receiver.request("POST", f"/api/v1/terminals/{first.id}/retire")).status == 200
        assert (await receiver.push(record(deviceSN="SN-2"))).json == SUCCESS
        assert (await receiver.push(record(deviceSN="SN-3"))).status == 403


async def test_a_reply_has_so_many_bytes_however_much_was_pushed(tmp_path: Path) -> None:
    def large(uuid: str) -> dict[str, Any]:
        # Just below the length from which on a text is kept elsewhere.
        return {f"field-{n}": "x" * 900 for n in range(1000)} | {"uuid": uuid}

    async with receiving(tmp_path / "data") as receiver:
        for number in range(12):
            assert (await receiver.push(record(**large(f"u-{number}")))).json == SUCCESS
            assert (await receiver.push(alarm(trace_id=f"t-{number}", **large("")))).json == SUCCESS
            assert (await receiver.push({"type": 9, "data": large(f"q-{number}")})).json == SUCCESS
        for path in (
            "records?",
            "records?order=received&",
            "alarms?",
        ):
            seen, cursor, most = [], "", 0
            while cursor is not None:
                answer = await receiver.get(
                    f"/api/v1/{path}include=original&limit=1000" + (f"&cursor={cursor}" if cursor else "")
                )
                most = max(most, len(answer.body))
                items, cursor = answer.json["items"], answer.json["next_cursor"]
                seen += [item["id"] for item in items]
                if not items:
                    break
            assert len(seen) == len(set(seen)) == 12
            assert most < 6 * MEGABYTE
        quarantined = await receiver.get("/api/v1/quarantine?limit=1000")
        assert quarantined.json["next_cursor"] is not None
        assert len(quarantined.json["items"]) < 12
