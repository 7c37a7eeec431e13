import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from tests.receiver.kit import Process, Running, Sender, body, receiving, record, until
from tests.receiver.tls import connect, trusting, write

from gatepost.receiver.http.server import Certificate

AUTHORITY = trustme.CA()


@contextlib.asynccontextmanager
async def over_tls(folder: Path, **settings: object) -> AsyncIterator[Running]:
    async with receiving(
        folder / "data", certificate=Certificate(*write(AUTHORITY, folder)), **settings
    ) as receiver:
        yield receiver


async def speak(port: int) -> Sender:
    return await connect(port, trusting(AUTHORITY))


def hello() -> bytes:
    """What a client says first."""
    to_server = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), to_server, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return to_server.read()


@pytest.mark.parametrize("said", [b"", hello()[:40], hello()], ids=["nothing", "half", "and no more"])
async def test_who_does_not_finish_the_handshake_counts_and_runs_out_of_time(
    tmp_path: Path, said: bytes
) -> None:
    async with over_tls(tmp_path, head_timeout_s=60) as receiver:
        guard = receiver.ingest.guard
        sender = await receiver.connect()
        await sender.write(said)
        await until(lambda: guard.connections == 1)
        await receiver.pass_time(59)
        assert guard.connections == 1
        await receiver.pass_time(2)
        await sender.ended()
        await until(lambda: guard.connections == 0)


async def test_a_connection_counts_once_before_and_after_its_handshake(tmp_path: Path) -> None:
    async with over_tls(tmp_path) as receiver:
        guard = receiver.ingest.guard
        senders = [await speak(receiver.port) for _ in range(3)]
        for sender in senders:
            assert (await sender.request("POST", "/Record", body(record()))).status == 200
        assert guard.connections == 3
        for sender in senders:
            await sender.close()
        await until(lambda: guard.connections == 0)


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
async def test_silent_connections_lock_nobody_out(tmp_path: Path, limit: str) -> None:
    async with over_tls(tmp_path, **{limit: 4}) as receiver:
        guard = receiver.ingest.guard
        silent = [await receiver.connect() for _ in range(4)]
        await until(lambda: guard.connections == 4)
        sender = await speak(receiver.port)
        assert (await sender.request("POST", "/Record", body(record()))).status == 200
        await silent[0].ended()
        assert guard.counts["shed"] == 1
        assert guard.connections <= 4
        await sender.close()


async def test_where_all_others_are_at_work_a_newcomer_is_turned_away(tmp_path: Path) -> None:
    async with over_tls(tmp_path, max_connections=1) as receiver:
        guard = receiver.ingest.guard
        sender = await speak(receiver.port)
        assert (await sender.request("GET", "/healthz")).status == 200
        (busy,) = guard._open
        busy.busy = True
        await (await receiver.connect()).ended()
        assert guard.counts["refused.503"] == 1
        busy.busy = False
        assert (await sender.request("GET", "/healthz")).status == 200
        await sender.close()


async def test_a_stop_does_not_wait_for_handshakes(tmp_path: Path) -> None:
    async with over_tls(tmp_path) as receiver:
        sender = await Sender.connect(receiver.port)
        await until(lambda: receiver.ingest.guard.connections == 1)
    await sender.ended()
    await sender.close()


async def test_when_the_system_has_no_file_left_it_goes_on_once_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    real, failed = loop.sock_accept, []

    async def full(listening: object) -> object:
        if len(failed) < 2:
            failed.append(True)
            raise OSError(24, "Too many open files")
        return await real(listening)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "sock_accept", full)
    async with over_tls(tmp_path) as receiver:
        sender = await speak(receiver.port)
        assert (await sender.request("GET", "/healthz")).status == 200
        assert len(failed) == 2
        await sender.close()


async def test_the_program_itself_keeps_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = write(AUTHORITY, tmp_path)
    monkeypatch.setenv("GATEPOST_CERTIFICATE_FILE", str(certificate))
    monkeypatch.setenv("GATEPOST_KEY_FILE", str(key))
    monkeypatch.setenv("GATEPOST_HEAD_TIMEOUT_S", "5")
    monkeypatch.setenv("GATEPOST_MAX_CONNECTIONS", "3")
    process = await Process.start(tmp_path / "data")
    silent = [await process.connect() for _ in range(6)]
    sender = await speak(process.port)
    assert (await sender.request("POST", "/Record", body(record()))).status == 200
    for each in silent:
        await each.ended()
    assert (await sender.request("GET", "/healthz")).status == 200
    await sender.close()
    assert await process.stop() == 0
