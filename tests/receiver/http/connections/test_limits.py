import asyncio
from pathlib import Path

import pytest
from tests.receiver.kit import SUCCESS, Running, Sender, body, receiving, record, request, until

from gatepost.receiver.http.connections.limits import Request
from gatepost.store.interface import RefusedRow

HEAD = b"POST /Record HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\n"


async def arrived(receiver: Running, connections: int) -> None:
    await until(lambda: receiver.ingest.guard.connections == connections)


async def test_a_connection_that_says_nothing_is_closed_after_the_time_for_a_head(receiver: Running) -> None:
    sender = await receiver.connect()
    await arrived(receiver, 1)
    await receiver.pass_time(9.9)
    assert receiver.ingest.guard.connections == 1
    await receiver.pass_time(0.2)
    assert await sender.ended() == b""


async def test_a_head_that_takes_too_long_is_answered_408(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(HEAD)
    await until(lambda: any(c.state.name == "HEAD" for c in receiver.ingest.guard._open))
    await receiver.pass_time(10.1)
    answer = await sender.answer()
    assert (answer.status, answer.json["code"]) == (408, 408)


async def test_what_is_refused_before_its_head_came_is_counted_for_the_terminal_that_last_pushed_from_there(
    receiver: Running,
) -> None:
    for seen in (False, True):
        if seen:
            await receiver.push(record())
        sender = await receiver.connect()
        await sender.write(b"no HTTP at all\r\n\r\n")
        assert (await sender.answer()).status == 400
    await receiver.flush()
    assert receiver.store.stats().refusals == {"malformed": 1}
    assert receiver.store.terminals()[0].refused == 1


async def test_a_body_that_takes_too_long_is_answered_408_and_counted(receiver: Running) -> None:
    await receiver.push(record())
    sender = await receiver.connect()
    await sender.write(HEAD + b"sn: SN-1\r\nContent-Length: 1000\r\n\r\n{")
    await until(lambda: any(c.state.name == "BODY" for c in receiver.ingest.guard._open))
    await receiver.pass_time(60.1)
    assert (await sender.answer()).status == 408
    await receiver.flush()
    assert receiver.store.stats().refusals == {"slow": 1}
    assert receiver.store.terminals()[0].refused == 1


async def test_a_drip_of_bytes_buys_no_time(receiver: Running) -> None:
    sender = await receiver.connect()
    for number in range(11):
        await sender.write(b"POST /Record HTTP/1.1\r\n" if not number else b"x%d: y\r\n" % number)
        await until(lambda: any(c.state.name in ("HEAD", "REFUSED") for c in receiver.ingest.guard._open))
        await receiver.pass_time(1.0)
    assert b" 408 " in await sender.ended()


async def test_an_idle_connection_is_closed_after_its_time_and_not_before(receiver: Running) -> None:
    sender = await receiver.connect()
    for _ in range(3):
        assert (await sender.request("POST", "/Record", body(record()))).json == SUCCESS
        await receiver.pass_time(119.0)
    assert (await sender.request("POST", "/Record", body(record()))).json == SUCCESS
    await receiver.pass_time(121.0)
    assert await sender.ended() == b""


async def test_a_refused_sender_that_goes_on_sending_is_cut_off(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(HEAD + b"Content-Length: 99999999\r\n\r\n")
    assert (await sender.answer()).status == 413
    await receiver.pass_time(2.1)
    await arrived(receiver, 0)


async def test_the_longest_silent_connection_gives_way_to_a_newcomer(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", max_connections=10) as receiver:
        silent = []
        for number in range(10):
            silent.append(await receiver.connect())
            await arrived(receiver, number + 1)
        await receiver.pass_time(1.0)
        assert (await silent[0].request("POST", "/Record", body(record()))).json == SUCCESS
        newcomer = await receiver.connect()
        assert (await newcomer.request("POST", "/Record", body(record(uuid="u-2")))).json == SUCCESS
        assert await silent[1].ended() == b""
        assert (await silent[0].request("POST", "/Record", body(record()))).json == SUCCESS
        assert receiver.ingest.guard.counts["shed"] == 1


async def test_one_address_cannot_take_every_connection(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", max_connections_per_address=5) as receiver:
        other = await Sender.connect(receiver.port, source="127.0.0.2")
        same = []
        for number in range(8):
            same.append(await receiver.connect())
            await until(lambda count=number + 1: receiver.ingest.guard.counts["shed"] == max(0, count - 5))  # type: ignore[misc]
        assert receiver.ingest.guard.connections <= 6
        assert (await other.request("POST", "/Record", body(record()))).json == SUCCESS
        await other.close()


async def test_a_trusted_proxy_may_have_more_connections_than_one_address(tmp_path: Path) -> None:
    settings = {"max_connections_per_address": 2, "trusted_proxies": ("127.0.0.1",)}
    async with receiving(tmp_path / "data", **settings) as receiver:
        senders = [await receiver.connect() for _ in range(6)]
        await arrived(receiver, 6)
        assert receiver.ingest.guard.counts["shed"] == 0
        for sender in senders:
            await sender.close()


async def test_when_every_connection_is_at_work_a_newcomer_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving(tmp_path / "data", max_connections=2) as receiver:
        waiting: list[Request] = []
        monkeypatch.setattr(receiver.ingest.guard, "take", waiting.append)
        senders = [await receiver.connect() for _ in range(2)]
        for sender in senders:
            await sender.write(request("POST", "/Record", body(record())))
        await until(lambda: len(waiting) == 2)
        answer = await (await receiver.connect()).answer()
        assert (answer.status, answer.json["code"]) == (503, 503)
        assert int(answer.headers["retry-after"]) > 0
        for at_work in waiting:
            at_work.answer(200, b"{}")
        assert [(await sender.answer()).status for sender in senders] == [200, 200]


async def test_bodies_share_one_budget_and_the_largest_that_is_still_arriving_gives_way(
    tmp_path: Path,
) -> None:
    megabyte = 1024 * 1024
    settings = {"max_bodies_bytes": 3 * megabyte, "max_body_bytes": 3 * megabyte}
    async with receiving(tmp_path / "data", **settings) as receiver:
        guard = receiver.ingest.guard
        large = await receiver.connect()
        await large.write(HEAD + b"Content-Length: %d\r\n\r\n" % (3 * megabyte) + b" " * (2 * megabyte))
        await until(lambda: guard.bodies_bytes == 2 * megabyte)
        small = [await receiver.connect() for _ in range(4)]
        for sender in small:
            await sender.write(HEAD + b"Content-Length: %d\r\n\r\n" % megabyte + b" " * (megabyte // 2))
        assert (await large.answer()).status == 503
        await until(lambda: guard.bodies_bytes == 2 * megabyte)
        assert (await receiver.push(record())).json == SUCCESS
        for sender in small:
            await sender.close()
        await until(lambda: guard.bodies_bytes == 0)


async def test_memory_for_bodies_is_given_back_when_they_are_stored(receiver: Running) -> None:
    answers = await asyncio.gather(
        *(receiver.push(record(uuid=f"u-{n}", remark="x" * 9000)) for n in range(50))
    )
    assert {answer.status for answer in answers} == {200}
    assert receiver.ingest.guard.bodies_bytes == 0


async def test_the_head_of_a_request_is_bounded(receiver: Running) -> None:
    for head in (b"x: " + b"y" * 20_000, b"\r\n".join(b"x%d: y" % n for n in range(200))):
        sender = await receiver.connect()
        await sender.write(HEAD + head + b"\r\n\r\n")
        answer = await sender.answer()
        assert (answer.status, answer.json["code"]) == (431, 431)


async def test_a_head_without_an_end_is_cut_off_early(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(HEAD + b"x: ")
    for _ in range(40):
        await sender.write(b"y" * 1000)
    assert (await sender.answer()).status == 431


async def test_chunk_extensions_are_bounded(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", max_body_bytes=10_000) as receiver:
        sender = await receiver.connect()
        await sender.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;")
        for _ in range(100):
            await sender.write(b"x" * 1000)
        assert (await sender.answer()).status == 413


async def refused_row(receiver: Running) -> RefusedRow:
    await receiver.flush()
    (row,) = receiver.store.refused()
    return row


@pytest.mark.parametrize("later", [False, True])
async def test_a_body_that_is_too_large_is_listed_with_a_sample_of_what_came(
    receiver: Running, later: bool
) -> None:
    sender = await receiver.connect()
    head, text = HEAD + b"sn: SN-1\r\nContent-Length: 99999999\r\n\r\n", b'{"data":{"name":"x"'
    await sender.write(head if later else head + text)
    assert (await sender.answer()).status == 413
    if later:
        await sender.write(text)
        await until(lambda: bool(receiver.ingest.refused._samples))
    row = await refused_row(receiver)
    assert (row.status, row.reason, row.serial, row.path) == (413, "too large", "SN-1", "/Record")
    sample = receiver.store.refusal_sample(row.sample_id or 0)
    assert sample is not None
    assert sample.content == text


async def test_what_follows_another_request_is_no_sample(receiver: Running) -> None:
    secret = b"POST /Record/s3cr HTTP/1.1\r\nHost: r\r\nContent-Length: 99999999\r\n\r\n"
    sender = await receiver.connect()
    await sender.write(request("POST", "/Record", body(record())) + secret)
    assert (await sender.answer()).json == SUCCESS
    assert (await sender.answer()).status == 413
    assert (await refused_row(receiver)).sample_id is None


SMUGGLED = {
    "Content-Length is there twice": b"Content-Length: 4\r\nContent-Length: 4\r\n",
    "bare line feed": b"x: y\nContent-Length: 4\r\n",
    "both there": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "is no number": b"Content-Length: +4\r\n",
    "blank before the colon": b"Content-Length : 4\r\n",
}


@pytest.mark.parametrize("why", SMUGGLED)
async def test_a_request_that_two_readers_could_read_differently_is_told_what_was_wrong(
    receiver: Running, why: str
) -> None:
    sender = await receiver.connect()
    await sender.write(HEAD + SMUGGLED[why] + b"\r\nabcd")
    answer = await sender.answer()
    assert answer.status == 400
    assert why in answer.json["message"]
    row = await refused_row(receiver)
    assert (row.status, row.reason, row.peer, row.sample_id) == (400, "malformed", "127.0.0.1", None)
    assert row.detail == answer.json["message"]


async def test_tls_on_a_port_without_it_is_told_from_other_nonsense(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    await sender.answer()
    assert "TLS" in (await refused_row(receiver)).detail
