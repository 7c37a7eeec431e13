import asyncio
import re
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.packing import packing
from tests.ports import free_port
from tests.receiver.kit import JPEG, SUCCESS, Process, base64, body, record, until
from tests.terminals import ensured

from gatepost.errors import GatepostError, SettingsError
from gatepost.process_tree import gone, members, signal_all
from gatepost.receiver.program import run
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import Arrival
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import Record, digest

LARGE = b"\xff\xd8" + bytes(32 * 1024 * 1024)
"""More than the buffers of a connection hold."""


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN_PASSWORD", "MAX_CONNECTIONS", "STOP_TIMEOUT_S"):
        monkeypatch.delenv(f"GATEPOST_{name}", raising=False)


def limited(soft: int, hard: int) -> Sequence[str]:
    """Starts a program that may have so many files open."""
    return ("sh", "-c", f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"', "sh")


def open_files(process: Process) -> tuple[int, int]:
    """How many files it may have open: the limit that holds, and the one up to which it may raise it."""
    limits = Path(f"/proc/{process.process.pid}/limits").read_text()
    found = re.search(r"^Max open files +(\d+) +(\d+)", limits, re.MULTILINE)
    assert found is not None
    return int(found[1]), int(found[2])


async def said_after_its_start(process: Process) -> str:
    """Ends it, and answers what else it wrote to standard output."""
    assert await process.stop() == 0
    assert process.process.stdout is not None
    return (await process.process.stdout.read()).decode()


async def opens(process: Process, password: str) -> bool:
    """Whether one can log in with it."""
    sender = await process.connect()
    answer = await sender.request("POST", "/api/v1/session", body({"name": "admin", "password": password}))
    return answer.status == 200


def is_closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionError:
        return True
    return False


def has_ended(process: Process, number: signal.Signals) -> bool:
    """Whether it has; if not it is told again."""
    if process.process.returncode is None:
        process.process.send_signal(number)
    return process.process.returncode is not None


async def test_ctrl_c_stops_it_in_order(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    assert (await process.request("POST", "/Record", body(record()))).json == SUCCESS
    process.process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        assert await process.process.wait() == 0
    log = process.errors.read_text()
    assert "event=ingest.stopped drained=true committed=1\n" in log
    assert "event=desk.stopped listed=true\n" in log
    store = SqliteStore.open(tmp_path / "data")
    assert store.stats().records == 1
    store.close()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_waits_for_replies_and_the_second_ends_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: signal.Signals
) -> None:
    monkeypatch.setenv("GATEPOST_STOP_TIMEOUT_S", "600")
    store = SqliteStore.open(tmp_path / "data")
    ensured(store, "SN-1", now_ms=0)
    event = Record(serial="SN-1", uuid="u-1", image=LARGE)
    now_ms = int(time.time() * 1000)
    arrival = Arrival(terminal_id=1, key=digest("u:u-1"), event=event, received_at_ms=now_ms, original=b"{}")
    (stored,) = packing(store).write([arrival])
    store.close()
    process = await Process.start(tmp_path / "data")
    reader = await process.connect()
    head = (
        f"GET /api/v1/records/{stored.id}/image HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {process.token}"
    )
    await reader.write(head.encode() + b"\r\n\r\n")
    assert b" 200 " in await reader.reader.readline()
    process.process.send_signal(signal.SIGTERM)
    await until(lambda: is_closed(process.port))
    await reader.reader.readexactly(len(LARGE) // 2)
    assert process.process.returncode is None
    await until(lambda: has_ended(process, second), 5)
    assert process.process.returncode == -second
    assert "Traceback" not in process.errors.read_text()
    await reader.close()


async def test_what_a_killed_export_left_is_deleted_at_the_next_start(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "data")
    ensured(store, "SN-1", now_ms=0)
    now_ms = int(time.time() * 1000)
    for first in range(0, 6000, 2000):
        store.write(
            [
                Arrival(
                    terminal_id=1,
                    key=digest(f"u:{number}"),
                    event=Record(
                        serial="SN-1", uuid=f"u-{number}", recorded_at=datetime.fromtimestamp(number, UTC)
                    ),
                    received_at_ms=now_ms,
                    original=b"{}",
                )
                for number in range(first, first + 2000)
            ]
        )
    store.close()
    process = await Process.start(tmp_path / "data")
    temporary = tmp_path / "data" / "temporary"
    reader = await process.connect()
    head = (
        f"GET /api/v1/records/export?format=xlsx HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {process.token}"
    )
    await reader.write(head.encode() + b"\r\n\r\n")
    await until(lambda: any(temporary.glob("gatepost-export-*/*")))
    killed = members(process.process.pid)
    signal_all(killed, signal.SIGKILL)
    await process.process.wait()
    await gone(killed)
    await reader.close()
    left = list(temporary.glob("gatepost-export-*"))
    assert left
    assert temporary.stat().st_mode & 0o777 == 0o700
    process = await Process.start(tmp_path / "data")
    assert list(temporary.iterdir()) == []
    assert await process.stop() == 0


async def test_a_signal_for_a_new_certificate_changes_nothing_where_there_is_none(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    process.process.send_signal(signal.SIGHUP)
    assert (await process.request("POST", "/Record", body(record()))).json == SUCCESS
    assert await process.stop() == 0
    assert "certificate" not in process.errors.read_text()


async def test_the_password_that_was_made_up_is_told_at_the_first_start_only_and_opens(
    tmp_path: Path,
) -> None:
    first = await Process.start(tmp_path / "data")
    assert first.process.stdout is not None
    async with asyncio.timeout(30):
        line = (await first.process.stdout.readline()).decode()
    found = re.search(r"with the password (\S+)", line)
    assert found is not None
    assert await opens(first, found[1])
    assert await said_after_its_start(first) == ""
    second = await Process.start(tmp_path / "data")
    assert await opens(second, found[1])
    assert await said_after_its_start(second) == ""
    assert found[1] not in second.errors.read_text()


async def test_a_password_that_was_given_opens_and_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_ADMIN_PASSWORD", "correct horse")
    process = await Process.start(tmp_path / "data")
    assert await opens(process, "correct horse")
    assert await said_after_its_start(process) == ""
    assert "correct horse" not in process.errors.read_text()


async def test_on_one_address_the_prefix_stands_before_the_paths_of_pushes_too(tmp_path: Path) -> None:
    config = tmp_path / "gatepost.toml"
    config.write_text('path_prefix = "/gate/"\n')
    process = await Process.start(tmp_path / "data", "--config", str(config))
    there = f"http://127.0.0.1:{process.port}/gate"
    assert process.announced == f"gatepost: listening on {there}; terminals push to {there}/Record\n"
    for path in ("/gate/Record", "/Record"):
        assert (await process.request("POST", path, body(record()))).json == SUCCESS
    assert await process.stop() == 0


async def test_what_it_makes_is_for_its_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    (tmp_path / "above").mkdir(mode=0o700)
    umask = ("sh", "-c", 'umask 0; exec "$@"', "sh")
    process = await Process.start(tmp_path / "above" / "data", before=umask)
    pushed = body(record(rgb_image=base64(JPEG)))
    assert (await process.request("POST", "/Record", pushed)).json == SUCCESS
    assert await process.stop() == 0
    made = [tmp_path / "above", *(tmp_path / "above").rglob("*")]
    assert any(path.parent.name == "packs" for path in made)
    for path in made:
        if path != tmp_path / "above" / "data.log":
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_it_opens_as_many_files_as_it_may_and_says_nothing_where_they_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_MAX_CONNECTIONS", "64")
    process = await Process.start(tmp_path / "data", before=limited(300, 400))
    assert open_files(process) == (400, 400)
    assert await process.stop() == 0
    assert "few_files" not in process.errors.read_text()


async def test_where_files_are_few_it_says_how_many_connections_it_takes_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_MAX_CONNECTIONS", "64")
    process = await Process.start(tmp_path / "data", before=limited(260, 260))
    assert "event=receiver.few_files files=260 connections=4\n" in process.errors.read_text()
    silent = [await process.connect() for _ in range(4)]
    assert (await process.request("POST", "/Record", body(record()))).json == SUCCESS
    assert await silent[0].ended() == b""
    assert await process.stop() == 0


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"certificate_file": "here.pem"}, "key_file"),
        ({"key_file": "here.pem"}, "certificate_file"),
        ({"certificate_file": "here.pem", "key_file": "there.pem"}, "certificate_file"),
        ({"listen": "everywhere"}, "listen"),
        ({"listen": "127.0.0.1:0", "image_keys": ("short",)}, "image_keys"),
    ],
)
def test_a_setting_that_cannot_be_is_named_before_anything_is_made(
    tmp_path: Path, given: dict[str, object], name: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        run(ReceiverSettings(**given), tmp_path / "data")  # type: ignore[arg-type]
    assert raised.value.setting == name
    assert not (tmp_path / "data").exists()


async def test_where_it_cannot_start_it_lets_go_of_its_address_and_tells_nobody_that_it_listens(
    tmp_path: Path,
) -> None:
    address = ("127.0.0.1", free_port())
    store = SqliteStore.open(tmp_path / "data")
    with pytest.raises(AssertionError, match=r"did not start: '' gatepost: .* is in use by process"):
        await Process.start(tmp_path / "data", port=address[1])
    socket.create_server(address).close()
    store.close()


async def test_a_password_that_is_too_short_is_refused_before_anybody_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_ADMIN_PASSWORD", "short")
    with pytest.raises(AssertionError, match=r"did not start: '' gatepost: .*GATEPOST_ADMIN_PASSWORD"):
        await Process.start(tmp_path / "data")
    SqliteStore.open(tmp_path / "data").close()  # it let go of the folder


def test_a_folder_for_temporary_files_with_too_long_a_path_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(GatepostError, match="set TMPDIR to a shorter one"):
        run(ReceiverSettings(listen="127.0.0.1:0"), tmp_path / "data")
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "without",
    [
        {},
        {
            "ingest_listen": "127.0.0.1:0",
            "ingest_tls": False,
            "certificate_file": "c.pem",
            "key_file": "k.pem",
        },
    ],
)
def test_client_certificates_need_tls_where_terminals_push(tmp_path: Path, without: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"client_ca_file.*TLS"):
        run(ReceiverSettings(client_ca_file="clients.pem", **without), tmp_path / "data")
