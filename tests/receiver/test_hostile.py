"""What a stranger may send: each kind of it, and that the receiver neither stores nonsense, nor fails, nor stops.

Every test ends with an honest push: whatever came before, the line stays open.
"""

import asyncio
import contextlib
import gzip
import json
import resource
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import (
    JPEG,
    SUCCESS,
    UUID,
    Process,
    Running,
    Sender,
    alarm,
    base64,
    body,
    receiving,
    record,
    request,
    until,
)

from gatepost.journal.streams import Position
from gatepost.journal.writer import Writer
from gatepost.receiver.ingest.push.decoding import MAX_VALUES, VALUES_AT_ONCE

HEAD = b"POST /Record HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\n"

NASTY = [
    "../../etc/passwd",
    "..\\..\\windows\\system32",
    "/etc/passwd",
    "file:///etc/passwd",
    "%2e%2e%2fetc%2fpasswd",
    "'; DROP TABLE records; --",
    "' OR '1'='1",
    '"); DELETE FROM terminals; --',
    "1; ATTACH DATABASE '/tmp/x' AS y",
    "$1 %s ? :name {0}",
    "<script>alert(1)</script>",
    "\x00",
    "before\x00after",
    "\u202eabc",
    "a" * 100_000,
]


async def honest(receiver: Running) -> None:
    """The line is open, and knows its own."""
    answer = await receiver.push(record(uuid="honest", deviceSN="HONEST", rgb_image=base64(JPEG)))
    assert answer.json == SUCCESS
    (row,) = receiver.records(terminal="HONEST")
    assert receiver.store.image(row.id) == JPEG


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
async def test_tricks_in_serial_and_uuid_are_text_and_nothing_else(
    receiver: Running, tmp_path: Path, nasty: str
) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    assert (await receiver.push(record(deviceSN=nasty, uuid=nasty, rgb_image=base64(JPEG)))).json == SUCCESS
    assert (await receiver.push(alarm(trace_id=nasty))).json == SUCCESS
    assert {path.name for path in tmp_path.iterdir()} == before
    assert len(receiver.records()) == 1
    assert len(receiver.alarms()) == (1 if nasty.strip("\0") else 0)  # padding alone names no alarm
    await honest(receiver)


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
async def test_tricks_in_any_field_are_text_and_nothing_else(receiver: Running, nasty: str) -> None:
    plain = record()["data"]
    for name in plain:
        push = record(**{name: nasty, "uuid": nasty if name == "uuid" else f"u-{name}"})
        assert (await receiver.push(push)).json == SUCCESS
    for name in plain["user"]:
        push = record(user={**plain["user"], name: nasty}, uuid=f"u-user-{name}")
        assert (await receiver.push(push)).json == SUCCESS
    assert len(receiver.records()) == len(plain) + len(plain["user"])
    tables = {row.serial for row in receiver.store.terminals()}
    assert "SN-1" in tables
    await honest(receiver)


@pytest.mark.parametrize("nasty", [name for name in NASTY if len(name) < 1000], ids=str)
async def test_tricks_in_headers_and_path_are_text_and_nothing_else(receiver: Running, nasty: str) -> None:
    text = nasty.encode("utf-8")
    if b"\x00" not in text:
        sender = await receiver.connect()
        await sender.write(HEAD + b"sn: " + text + b"\r\nmodel: " + text + b"\r\ntimestamp: " + text)
        await sender.write(b"\r\nContent-Length: %d\r\n\r\n" % len(body(record())) + body(record()))
        assert (await sender.answer()).json == SUCCESS
    answer = await receiver.push(record(), "/Record/" + "".join(f"%{byte:02x}" for byte in text))
    assert answer.status == 404
    assert answer.json["code"] == 404
    await honest(receiver)


async def test_lone_surrogates_are_stored_as_something_that_can_be_read(receiver: Running) -> None:
    text = body(record()).replace("王五".encode(), b"\\ud800").replace(UUID.encode(), b"\\udfff-1")
    assert (await receiver.push(text)).json == SUCCESS
    assert (await receiver.push(text)).json == SUCCESS
    (item,) = json.loads((await receiver.get("/api/v1/records")).body)["items"]
    assert (item["uuid"], item["person"]["name"]) == ("\ufffd-1", "\ufffd")
    assert item["problems"]
    await honest(receiver)


@pytest.mark.parametrize(
    "value",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"9" * 400,
        b"-" + b"9" * 30,
        b"1e-999",
        b"0.1e400",
    ],
)
async def test_numbers_that_are_none_or_huge_make_no_failure(receiver: Running, value: bytes) -> None:
    for field in (
        b'"recognizeScore": 0.93',
        b'"timestamp": 1685343715',
        b'"mode": 3',
        b'"recognitionType": 1',
    ):
        name = field.split(b":")[0]
        text = body(record(uuid=name.decode())).replace(field, name + b": " + value)
        answer = await receiver.push(text)
        assert answer.status == 200
        assert answer.json["code"] == answer.status
    page = await receiver.get("/api/v1/records")
    assert page.status == 200
    json.loads(page.body, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    await honest(receiver)


async def test_duplicate_keys_are_one_value_and_the_original_keeps_both(receiver: Running) -> None:
    text = body(record()).replace(b'"deviceSN": "SN-1"', b'"deviceSN": "SN-1", "deviceSN": "SN-2"')
    assert (await receiver.push(text)).json == SUCCESS
    (row,) = receiver.records()
    assert row.serial in ("SN-1", "SN-2")
    assert (row.original or b"").count(b"deviceSN") == 2
    await honest(receiver)


async def test_a_string_that_is_begun_a_million_times_and_never_ends_holds_nobody_up(
    receiver: Running,
) -> None:
    answer = await receiver.push(b'{"type":0,' + b'"\\' * 1_000_000)
    assert (answer.status, answer.json["code"]) == (400, 400)
    await honest(receiver)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"type":0,"data":{"user":'])
async def test_a_hundred_thousand_levels_are_refused(receiver: Running, opening: bytes) -> None:
    closing = {b"[": b"]"}.get(opening, b"}")
    answer = await receiver.push(opening * 100_000 + b"1" + closing * 100_000)
    assert (answer.status, answer.json["code"]) == (400, 400)
    await honest(receiver)


async def test_a_gzip_bomb_is_refused_and_never_inflated(receiver: Running) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    for coding in ("gzip", "deflate", "br", "x-gzip", "gzip, gzip"):
        answer = await receiver.push(bomb, headers={"Content-Encoding": coding})
        assert (answer.status, answer.json["code"]) == (415, 415)
    assert (await receiver.push(bomb)).status == 400
    await honest(receiver)


async def test_a_body_over_the_limit_is_refused_by_its_announced_length(receiver: Running) -> None:
    await receiver.push(record())
    sender = await receiver.connect()
    await sender.write(HEAD + b"sn: SN-1\r\nContent-Length: %d\r\n\r\n" % (8 * 1024 * 1024 + 1))
    answer = await sender.answer()
    assert (answer.status, answer.json["code"]) == (413, 413)
    await receiver.flush()
    assert receiver.store.terminals()[0].refused == 1
    await honest(receiver)


async def test_a_body_over_the_limit_is_refused_when_it_comes_in_chunks(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(9):
        await sender.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
    answer = await sender.answer()
    assert (answer.status, answer.json["code"]) == (413, 413)
    assert receiver.ingest.guard.bodies_bytes == 0
    await honest(receiver)


async def test_a_body_of_exactly_the_limit_is_taken(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", max_body_bytes=20_000) as receiver:
        short = body(record(x=""))
        assert (await receiver.push(body(record(x="y" * (20_000 - len(short)))))).json == SUCCESS
        assert (
            await receiver.push(body(record(uuid=UUID[::-1], x="y" * (20_001 - len(short)))))
        ).status == 413


SMUGGLING = {
    "length and chunked": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n",
    "the same length twice": b"Content-Length: 4\r\nContent-Length: 4\r\n",
    "a list of lengths": b"Content-Length: 4, 5\r\n",
    "a signed length": b"Content-Length: +4\r\n",
    "a negative length": b"Content-Length: -4\r\n",
    "a hexadecimal length": b"Content-Length: 0x4\r\n",
    "a length with an underscore": b"Content-Length: 1_0\r\n",
    "an endless length": b"Content-Length: " + b"9" * 40 + b"\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n",
    "two codings": b"Transfer-Encoding: gzip, chunked\r\n",
    "a coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "a coding and identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "chunked, misspelt": b"Transfer-Encoding: chunked, x\r\n",
    "a space before the colon": b"Content-Length : 4\r\n",
    "a folded line": b"Transfer-Encoding:\r\n chunked\r\n",
    "a bare carriage return": b"x: y\rTransfer-Encoding: chunked\r\n",
    "a NUL in a value": b"x: y\x00\r\n",
    "a NUL in a name": b"x\x00: y\r\n",
    "a second host": b"Host: other\r\n",
    "a line without a colon": b"nonsense\r\n",
    "a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
}


@pytest.mark.parametrize("shape", SMUGGLING)
async def test_shapes_in_which_two_readers_could_disagree_are_refused(receiver: Running, shape: str) -> None:
    sender = await receiver.connect()
    hidden = request("POST", "/Record", body(record(uuid="smuggled")))
    await sender.write(HEAD + SMUGGLING[shape] + b"\r\n" + b"0\r\n\r\n" + hidden)
    answer = await sender.answer()
    assert 400 <= answer.status < 500
    assert answer.json["code"] == answer.status
    assert await sender.ended() == b""
    await honest(receiver)
    assert [row.uuid for row in receiver.records()] == ["honest"]


CHUNKS = [
    b"zz\r\nabcd\r\n0\r\n\r\n",
    b"-1\r\n\r\n",
    b"4\r\nabcdX\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\n",
    b"0x4\r\nabcd\r\n",
    b"4 4\r\n",
]


@pytest.mark.parametrize("chunks", CHUNKS, ids=range(len(CHUNKS)))
async def test_chunks_that_are_none_are_refused(receiver: Running, chunks: bytes) -> None:
    sender = await receiver.connect()
    await sender.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    answer = await sender.answer()
    assert answer.status in (400, 413)
    assert await sender.ended() == b""
    await honest(receiver)


NO_REQUESTS = [
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /Record HTTP/9.9\r\n\r\n",
    b"POST /Record\r\n\r\n",
    b"\x00" * 100,
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /Record HTTP/1.1\r\n\r\n",
    b"G\x00T / HTTP/1.1\r\n\r\n",
    b"POST /\xff\xfe HTTP/1.1\r\nHost: r\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: r\r\n\r\n",
    b"POST http://[::1/Record HTTP/1.1\r\nHost: r\r\n\r\n",
]


@pytest.mark.parametrize("text", NO_REQUESTS, ids=range(len(NO_REQUESTS)))
async def test_what_is_no_request_is_answered_and_goes_nowhere(receiver: Running, text: bytes) -> None:
    sender = await receiver.connect()
    await sender.write(text)
    answer = await sender.answer()
    assert 400 <= answer.status < 500 or answer.status == 505
    await honest(receiver)


async def test_a_forged_x_forwarded_for_is_not_believed_without_a_trusted_proxy(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", allowed_networks=("10.0.0.0/8",)) as receiver:
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Client-IP"):
            answer = await receiver.push(record(), headers={name: "10.0.0.1"})
            assert answer.status == 403
        assert receiver.store.terminals() == []


async def test_behind_a_trusted_proxy_the_sender_is_who_the_proxy_saw(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"trusted_proxies": ("127.0.0.1",), "allowed_networks": ("10.0.0.0/8",)}
    async with receiving(tmp_path / "data", **settings) as receiver:
        forwarded = {"X-Forwarded-For": "10.9.9.9, 192.0.2.66"}
        assert (await receiver.push(record(), headers=forwarded)).status == 403
        forwarded = {"X-Forwarded-For": "192.0.2.66, 10.9.9.9"}
        assert (await receiver.push(record(), headers=forwarded)).json == SUCCESS
        assert receiver.records()[0].peer == "10.9.9.9"
        assert (await receiver.push(record())).status == 403


def stuffed(values: int, **data: Any) -> bytes:
    """A record with nothing in it but so many empty objects."""
    return body(record(**data, strange=[])).replace(
        b'"strange": []', b'"strange":[' + b"{}," * (values // 2) + b"0]"
    )


async def test_a_body_with_more_values_than_any_terminal_sends_is_refused_and_counted(
    receiver: Running,
) -> None:
    await honest(receiver)
    text = stuffed(2_000_000, deviceSN="HONEST")
    answer = await receiver.push(text, headers={"sn": "HONEST"})
    assert (answer.status, answer.json["code"], answer.json["data"]) == (400, 400, {})
    assert (await receiver.push(text, "/wrong")).status == 404
    assert [row.uuid for row in receiver.records()] == ["honest"]
    await receiver.flush()
    assert receiver.store.terminals()[0].refused == 1
    assert receiver.store.stats().refusals == {"too many values": 1}


async def test_a_large_image_a_history_and_a_body_at_the_limit_are_taken(receiver: Running) -> None:
    image = base64(JPEG + bytes(1_500_000))
    items = [record(uuid=f"{n}", rgb_image=image[:28_000])["data"] for n in range(200)]
    pushes = [
        body(record(uuid="image", rgb_image=image)),
        body(alarm(alarm_photo=image)),
        body(record(uuid="text", remark="{[," * 20_000)),
        body({"code": 200, "data": {"items": items, "total": 200}}),
        stuffed(MAX_VALUES - 100, uuid="stuffed"),
    ]
    assert [(await receiver.push(push)).json for push in pushes] == [SUCCESS] * 5
    assert {row.uuid for row in receiver.records()} == {"image", "text", "stuffed"}
    assert receiver.store.stats().quarantined == 1


async def test_many_bodies_full_of_values_share_a_budget_and_hold_nobody_up(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await honest(receiver)
    gate, append = threading.Event(), Writer.append_with_images

    def wait(writer: Writer, *what: Any) -> Position:
        gate.wait(20)
        return append(writer, *what)

    monkeypatch.setattr(Writer, "append_with_images", wait)
    size = MAX_VALUES - 1000
    fit = VALUES_AT_ONCE // MAX_VALUES
    pushes = [
        asyncio.ensure_future(receiver.push(stuffed(size, uuid=f"{n}"), headers={"sn": "SN-1"}))
        for n in range(3 * fit)
    ]
    await until(lambda: sum(push.done() for push in pushes) >= 2 * fit)
    refused = [push.result() for push in pushes if push.done()]
    assert {(answer.status, answer.json["code"]) for answer in refused} == {(503, 503)}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    usual = asyncio.ensure_future(receiver.push(record(uuid="usual")))
    await until(lambda: receiver.ingest.group_commit.waiting > 0)
    gate.set()
    assert (await usual).json == SUCCESS
    answers = await asyncio.gather(*pushes)
    assert sorted(answer.status for answer in answers) == [200] * fit + [503] * (2 * fit)
    again = [await receiver.push(stuffed(size, uuid=f"again-{n}")) for n in range(fit + 1)]
    assert [answer.status for answer in again] == [200] * (fit + 1)


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """A receiver of its own, with short time-outs."""
    settings = tmp_path / "gatepost.toml"
    settings.write_text("head_timeout_s = 2.0\nbody_timeout_s = 2.0\nidle_timeout_s = 60.0\n")
    running = await Process.start(tmp_path / "data", "--config", str(settings))
    yield running
    await running.kill()


async def push(process: Process, uuid: str) -> None:
    """An honest push, answered soon."""
    async with asyncio.timeout(5):
        assert (await process.request("POST", "/Record", body(record(uuid=uuid)))).json == SUCCESS


@pytest.mark.parametrize("attack", ["-H", "-B"], ids=["slow heads", "slow bodies"])
async def test_slow_senders_are_ended_in_time_and_hold_nobody_up(process: Process, attack: str) -> None:
    attacker = await asyncio.create_subprocess_exec(
        "slowhttptest", attack, "-c", "400", "-r", "400", "-i", "1", "-l", "20", "-x", "24", "-p", "3",
        "-s", "8192", "-t", "POST", "-u", f"http://127.0.0.1:{process.port}/Record",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    number = 0
    while attacker.returncode is None and number < 400:
        await push(process, f"u-{number}")
        number += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(attacker.wait()), 0.1)
    assert attacker.stdout is not None
    told = (await attacker.stdout.read()).decode(errors="replace")
    assert "No open connections left" in told
    assert number > 5
    await push(process, "last")


async def test_five_thousand_idle_connections_hold_nobody_up(process: Process) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle: list[Sender] = []
    try:
        for start in range(0, 5000, 250):
            idle += await asyncio.gather(*(Sender.connect(process.port) for _ in range(250)))
            await push(process, f"u-{start}")
        assert process.resident_bytes() < 250 * 1024 * 1024
        await push(process, "last")
        assert len(await process.everything()) == 21
    finally:
        for sender in idle:
            sender.writer.transport.abort()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("each", [800, pytest.param(20_000, marks=pytest.mark.soak)])
async def test_thousands_of_hostile_requests_leave_no_memory_behind(process: Process, each: int) -> None:
    """Refusals, quarantine, broken details, made-up serials and paths: what grows is bounded."""
    kinds = [
        lambda n: request("POST", "/Record", b"{" * 50),
        lambda n: request("POST", f"/wrong/{n}", body(record())),
        lambda n: request("POST", f"/Record/{n}", body(record())),
        lambda n: request("POST", "/Record", body(record()), {"Content-Type": "multipart/form-data"}),
        lambda n: request("GET", "/Record"),
        lambda n: request("POST", "/Record", b"x" * 20_000),
    ]
    sizes = []
    for round_ in range(6):
        sender = await process.connect()
        for number in range(each):
            await sender.write(kinds[number % len(kinds)](round_ * each + number))
            assert (await sender.answer()).status in (400, 404, 405, 415)
        sizes.append(process.resident_bytes())
    # Caches fill in the first rounds, and the collector lets garbage gather: what must not be is growth for good.
    assert sizes[-1] - sizes[1] < 24 * 1024 * 1024
    assert sizes[-1] < 250 * 1024 * 1024
    await push(process, "last")
