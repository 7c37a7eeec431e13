import asyncio
from pathlib import Path

import pytest
from tests.receiver.kit import SUCCESS, Running, body, receiving, record, request, until

HEAD = b"POST /Record HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\n"


async def test_a_connection_serves_one_push_after_the_other(receiver: Running) -> None:
    sender = await receiver.connect()
    for number in range(5):
        assert (await sender.request("POST", "/Record", body(record(uuid=f"u-{number}")))).json == SUCCESS
    assert receiver.ingest.guard.connections == 1
    await sender.close()
    await until(lambda: receiver.ingest.guard.connections == 0)


async def test_a_push_may_come_in_any_pieces(receiver: Running) -> None:
    sender = await receiver.connect()
    for byte in request("POST", "/Record", body(record())):
        await sender.write(bytes([byte]))
    assert (await sender.answer()).json == SUCCESS


async def test_a_chunked_push_is_put_together(receiver: Running) -> None:
    text = body(record())
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (text[:7], text[7:100], text[100:]))
    sender = await receiver.connect()
    await sender.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert (await sender.answer()).json == SUCCESS


async def test_pipelined_requests_are_answered_in_order(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(
        request("POST", "/Record", body(record(uuid="u-1")))
        + request("GET", "/healthz")
        + request("POST", "/Record", b"{")
        + request("POST", "/Record", body(record(uuid="u-2")))
    )
    answers = [await sender.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 400, 200]
    assert answers[1].json == {"status": "ok"}


async def test_thousands_of_pipelined_requests_that_are_refused_at_once_are_all_answered(
    receiver: Running,
) -> None:
    sender = await receiver.connect()
    writing = asyncio.create_task(sender.write(request("POST", "/Record", b"{") * 3000))
    for _ in range(3000):
        assert (await sender.answer()).status == 400
    await writing


async def test_the_answer_to_head_has_no_body_that_could_pass_for_the_next_answer(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(request("HEAD", "/Record") + request("GET", "/healthz"))
    async with asyncio.timeout(20):
        head = await sender.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"allow: POST" in head
    assert (await sender.answer()).json == {"status": "ok"}


async def test_a_malformed_request_does_not_overtake_the_reply_before_it(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(request("POST", "/Record", body(record())) + b"nonsense\r\n\r\n")
    assert (await sender.answer()).json == SUCCESS
    assert (await sender.answer()).status == 400
    assert await sender.ended() == b""


async def test_a_sender_that_asks_before_it_sends_is_told_to_continue(receiver: Running) -> None:
    text = body(record())
    sender = await receiver.connect()
    await sender.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(text))
    assert await sender.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await sender.write(text)
    assert (await sender.answer()).json == SUCCESS


async def test_a_sender_that_asks_for_too_much_is_told_before_it_sends(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert (await sender.answer()).status == 413


async def test_connection_close_is_honoured(receiver: Running) -> None:
    sender = await receiver.connect()
    answer = await sender.request("POST", "/Record", body(record()), {"Connection": "close"})
    assert (answer.json, answer.headers["connection"]) == (SUCCESS, "close")
    assert await sender.ended() == b""


async def test_http_1_0_is_served_once(receiver: Running) -> None:
    text = body(record())
    sender = await receiver.connect()
    await sender.write(b"POST /Record HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
    assert (await sender.answer()).json == SUCCESS
    assert await sender.ended() == b""


async def test_an_upgrade_is_ignored_and_the_connection_ends_with_the_reply(receiver: Running) -> None:
    sender = await receiver.connect()
    answer = await sender.request("GET", "/healthz", headers={"Connection": "upgrade", "Upgrade": "h2c"})
    assert answer.json == {"status": "ok"}
    assert await sender.ended() == b""


async def test_a_refusal_is_read_by_a_sender_that_sends_everything_first(receiver: Running) -> None:
    sender = await receiver.connect()
    size = receiver.ingest.settings.max_body_bytes + 1
    await sender.write(HEAD + b"Content-Length: %d\r\n\r\n" % size)
    await sender.write(b" " * size)
    answer = await sender.answer()
    assert (answer.status, answer.json["code"], answer.headers["connection"]) == (413, 413, "close")


async def test_a_trailer_does_not_pass_for_a_header(receiver: Running) -> None:
    text = body(record())
    sender = await receiver.connect()
    await sender.write(
        HEAD
        + b"Transfer-Encoding: chunked\r\nTrailer: sn\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\nsn: FORGED\r\n\r\n" % (len(text), text)
        + b"Transfer-Encoding: chunked\r\nTrailer: sn\r\n\r\n%x\r\n%b\r\n0\r\nsn: FORGED\r\n\r\n"
        % (len(text), text)
    )
    assert (await sender.answer()).json == SUCCESS
    assert [row.serial for row in receiver.records()] == ["SN-1"]


async def test_a_sender_that_ends_its_side_after_a_push_is_still_answered(receiver: Running) -> None:
    for number in range(5):
        sender = await receiver.connect()
        await sender.write(request("POST", "/Record", body(record(uuid=f"u-{number}"))))
        sender.writer.write_eof()
        assert (await sender.answer()).json == SUCCESS
        assert await sender.ended() == b""


async def test_a_body_that_is_cut_short_reaches_nobody(receiver: Running) -> None:
    text = body(record())
    sender = await receiver.connect()
    await sender.write(HEAD + b"Content-Length: %d\r\n\r\n" % (len(text) + 1) + text)
    sender.writer.write_eof()
    assert b" 200 " not in await sender.ended()
    assert receiver.ingest.group_commit.committed == 0


async def test_a_client_that_does_not_read_its_reply_is_cut_off(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", body_timeout_s=30.0) as receiver:
        for number in range(40):
            await receiver.push(record(uuid=f"u-{number}", **{f"field-{n}": "x" * 1000 for n in range(50)}))
        allowed = {"Authorization": f"Bearer {receiver.token}"}
        sender = await receiver.connect()
        sender.writer.transport.pause_reading()
        for _ in range(20):
            await sender.write(request("GET", "/api/v1/records?limit=1000&include=original", headers=allowed))
        guard = receiver.ingest.guard
        await until(lambda: any(connection.flow.write_paused for connection in guard._open))
        await receiver.pass_time(31)
        await until(lambda: guard.connections == 0)
        await sender.close()


@pytest.mark.parametrize("target", ["/Record", "/healthz"])
async def test_a_stop_answers_what_was_accepted_and_ends_the_rest(receiver: Running, target: str) -> None:
    idle = await receiver.connect()
    assert (await idle.request("GET", target)).status in (200, 405)
    for connection in list(receiver.ingest.guard._open):
        connection.shutdown()
    assert await idle.ended() == b""


async def test_a_head_within_its_limit_reaches_the_api_and_a_stranger_says_nothing_of_its_origin(
    receiver: Running,
) -> None:
    """The ingest adds to the head of a request that it hands to the desk."""
    limits = receiver.ingest.guard.limits
    origin = '{"scheme":"https","client":["192.0.2.1",1],"server":null}'
    headers = {"Authorization": f"Bearer {receiver.token}", "X-Gatepost-Origin": origin}
    headers |= {f"X-{number}": "x" for number in range(limits.header_count - len(headers) - 4)}
    sender = await receiver.connect()
    assert (await sender.request("GET", "/api/v1/stats", headers=headers)).status == 200
    padding = "x" * (limits.head_bytes - 400)
    answer = await sender.request(
        "GET", "/api/v1/stats", headers={**dict(list(headers.items())[:2]), "X": padding}
    )
    assert answer.status == 200
    assert "strict-transport-security" not in answer.headers  # it did not come over TLS
