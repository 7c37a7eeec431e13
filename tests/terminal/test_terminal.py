"""A terminal as a library, with and without an event loop."""

import asyncio
import random
import subprocess
import sys
import threading
import time
import typing
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs
from tests.faults import bad_receiver as bad
from tests.faults.bad_receiver import BadReceiver, until
from tests.terminal.outbox_kit import JPEG, Clock, alarm, record

from gatepost.errors import (
    DecodeError,
    NotSubscribed,
    OutboxFull,
    OutboxInUse,
    OutboxUnavailable,
    SettingsError,
)
from gatepost.settings import TerminalSettings
from gatepost.terminal import SyncTerminal, Terminal
from gatepost.terminal.push.pusher import Pusher
from gatepost.terminal.terminal import TerminalKeywords
from gatepost.wire import Record, Subscription


@pytest.fixture
async def receiver() -> AsyncIterator[BadReceiver]:
    async with BadReceiver(bad.good) as receiver:
        yield receiver


async def delivered(terminal: Terminal, count: int) -> None:
    async with asyncio.timeout(20):
        while (await terminal.status()).delivered < count:  # noqa: ASYNC110 - the receiver is on the other side
            await asyncio.sleep(0.002)


async def test_what_is_recorded_arrives_and_is_counted(tmp_path: Path, receiver: BadReceiver) -> None:
    async with Terminal("SN1", tmp_path) as terminal:
        await terminal.subscribe(receiver.url)
        await terminal.record(record(1, image=JPEG))
        await terminal.alarm(alarm("T-1", 1))
        await delivered(terminal, 2)
        status = await terminal.status()
        assert (status.accepted, status.pending, status.last_error) == (2, 0, None)
        assert terminal.pushing().failures == 0
    assert sorted(request.name() for request in receiver.stored) == ["T-1/1", "uuid-1"]
    assert receiver.stored[0].headers["sn"] == "SN1"


@pytest.mark.parametrize(("bytes_", "count"), [(310_000, 10), (100_000_000, 500)])
async def test_the_start_says_how_many_events_of_30_kb_there_is_room_for(
    tmp_path: Path, bytes_: int, count: int
) -> None:
    with capture_logs() as logs:
        async with Terminal("SN1", tmp_path, capacity=500, capacity_bytes=bytes_):
            pass
    (line,) = (line for line in logs if line["event"] == "terminal.open")
    assert (line["bytes"], line["events_of_30_kb"]) == (bytes_, count)


async def test_serial_time_and_uuid_are_filled_in_where_they_are_missing(tmp_path: Path) -> None:
    now = Clock(1_700_000_000.0)
    async with Terminal("SN1", tmp_path, now=now, rand=random.Random(1)) as terminal:
        await terminal.subscribe("http://127.0.0.1:9/Record", enabled=False)
        await terminal.record(Record(passed=True))
        await terminal.record(Record(passed=True))
        await terminal.record(
            Record(serial="OTHER", uuid="mine", recorded_at=datetime(2020, 1, 1, tzinfo=UTC))
        )
        first, second, third = [msgspec.json.decode(item.body)["data"] for item in await history(terminal)]
    assert (first["deviceSN"], first["timestamp"]) == ("SN1", 1_700_000_000)
    assert len({first["uuid"], second["uuid"]}) == 2
    assert (third["deviceSN"], third["uuid"], third["timestamp"]) == ("OTHER", "mine", 1_577_836_800)


async def history(terminal: Terminal) -> list[typing.Any]:
    page = await terminal.history()
    return sorted(page.items, key=lambda item: item.id)


async def test_the_backlog_and_the_subscription_are_there_after_a_restart(
    tmp_path: Path, receiver: BadReceiver
) -> None:
    await receiver.refuse()
    async with Terminal("SN1", tmp_path, drain_timeout_s=0, retry_first_s=0.01) as terminal:
        await terminal.subscribe(receiver.url)
        for number in range(5):
            await terminal.record(record(number))
    await receiver.listen()
    async with Terminal("SN1", tmp_path, retry_first_s=0.01) as terminal:
        assert await terminal.subscription() == Subscription(receiver.url, True)
        await delivered(terminal, 5)
    assert sorted(request.name() for request in receiver.stored) == [f"uuid-{number}" for number in range(5)]


async def test_nothing_is_recorded_before_anyone_subscribed(tmp_path: Path) -> None:
    async with Terminal("SN1", tmp_path) as terminal:
        with pytest.raises(NotSubscribed):
            await terminal.record(record())
        assert await terminal.subscription() is None


async def test_an_address_that_cannot_be_pushed_to_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    async with Terminal("SN1", tmp_path) as terminal:
        await terminal.subscribe("http://127.0.0.1:9/Record", enabled=False)
        with pytest.raises(DecodeError, match="event_dest"):
            await terminal.subscribe("ftp://127.0.0.1/Record")
        assert await terminal.subscription() == Subscription("http://127.0.0.1:9/Record", False)


async def test_a_pusher_that_ends_by_a_defect_is_replaced(
    tmp_path: Path, receiver: BadReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, runs = Pusher.run, []

    async def fails_once(self: Pusher) -> None:
        runs.append(self)
        if len(runs) == 1:
            raise ZeroDivisionError
        await run(self)

    monkeypatch.setattr(Pusher, "run", fails_once)
    with capture_logs() as logs:
        async with Terminal("SN1", tmp_path, retry_first_s=0.001) as terminal:
            await terminal.subscribe(receiver.url)
            await terminal.record(record())
            await delivered(terminal, 1)
    assert len(runs) == 2
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "terminal.pusher_failed",
        "terminal.pusher_restarted",
    ]


async def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    async with Terminal("SN1", tmp_path):
        with pytest.raises(OutboxInUse):
            await Terminal("SN2", tmp_path).__aenter__()


async def test_outside_of_with_it_says_what_to_do_and_close_is_idempotent(tmp_path: Path) -> None:
    terminal = Terminal("SN1", tmp_path)
    with pytest.raises(OutboxUnavailable, match="async with"):
        await terminal.record(record())
    with pytest.raises(OutboxUnavailable, match="async with"):
        terminal.pushing()
    async with terminal:
        await terminal.close()
        await terminal.close()
        with pytest.raises(OutboxUnavailable, match="closed"):
            await terminal.subscribe("http://127.0.0.1:9/Record")


async def test_it_can_be_entered_again(tmp_path: Path) -> None:
    terminal = Terminal("SN1", tmp_path)
    for number in (1, 2):
        async with terminal:
            await terminal.subscribe("http://127.0.0.1:9/Record", enabled=False)
            assert await terminal.record(record(number)) == number


@pytest.mark.parametrize(
    ("keywords", "setting"),
    [({"capacity": 0}, "capacity"), ({"overflow": "drop"}, "overflow"), ({"colour": 1}, "colour")],
)
def test_a_wrong_setting_is_named(tmp_path: Path, keywords: dict[str, typing.Any], setting: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Terminal("SN1", tmp_path, **keywords)
    assert caught.value.setting == setting


@pytest.mark.parametrize("serial", ["", "SN\r\n1", "序列号"])
def test_a_serial_that_fits_no_header_is_refused(tmp_path: Path, serial: str) -> None:
    with pytest.raises(SettingsError, match="serial"):
        Terminal(serial, tmp_path)


def test_settings_are_given_by_name_or_all_at_once_but_not_both(tmp_path: Path) -> None:
    assert Terminal("SN1", tmp_path, capacity=3).settings == TerminalSettings(capacity=3)
    assert Terminal("SN1", tmp_path, settings=TerminalSettings(capacity=3)).settings.capacity == 3
    with pytest.raises(SettingsError, match="given twice"):
        Terminal("SN1", tmp_path, settings=TerminalSettings(), capacity=3)


def test_every_setting_is_a_keyword_and_stands_in_the_docstring() -> None:
    names = list(TerminalSettings.__struct_fields__)
    assert list(TerminalKeywords.__annotations__) == names
    assert Terminal.__doc__ is not None
    assert [name for name in names if f"``{name}``" not in Terminal.__doc__] == []


def test_without_an_event_loop_the_same_holds(tmp_path: Path) -> None:
    with SyncTerminal("SN1", tmp_path, overflow="refuse-newest", capacity=2) as terminal:
        with pytest.raises(NotSubscribed):
            terminal.record(record())
        terminal.subscribe("http://127.0.0.1:9/Record", enabled=False)
        assert terminal.record(record()) == 1
        assert terminal.alarm(alarm()) == 2
        with pytest.raises(OutboxFull):
            terminal.record(record())
        assert terminal.status().pending == 2
        assert terminal.history().total == 1
        assert terminal.subscription() == Subscription("http://127.0.0.1:9/Record", False)
    terminal.close()
    with pytest.raises(OutboxUnavailable, match="with SyncTerminal"):
        terminal.record(record())


async def test_dead_letters_are_listed_pushed_again_and_given_up(tmp_path: Path) -> None:
    def refuses_some(request: bad.Request) -> tuple[int, bytes]:
        return (200, bad.SUCCESS) if request.name().startswith("good") else (200, b'{"code":500}')

    def firmware() -> None:
        with SyncTerminal("SN1", tmp_path, max_refusals=1, retry_first_s=0.01, retry_cap_s=0.05) as terminal:
            terminal.subscribe(receiver.url)
            refused = [terminal.record(Record(uuid=f"bad{n}")) for n in range(3)]
            for n in range(4):
                terminal.record(Record(uuid=f"good{n}"))
            wait(lambda: terminal.status().dead == 3)
            assert [letter.id for letter in terminal.dead_letters()] == refused
            assert [letter.id for letter in terminal.dead_letters(1, after=refused[0])] == [refused[1]]
            assert terminal.discard_dead([refused[0], 999]) == [refused[0]]
            receiver.behaviour = bad.good
            assert terminal.retry_dead() == refused[1:]
            wait(lambda: terminal.status().delivered == 6)
            assert terminal.status().dropped == 1
            assert terminal.history().total == 6
            assert terminal.dead_letters() == ()

    async with BadReceiver(bad.choose(refuses_some)) as receiver:
        await asyncio.to_thread(firmware)


def wait(condition: typing.Callable[[], bool]) -> None:
    """Wait until the condition holds, in a thread without an event loop."""
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.002)


def test_both_terminals_have_the_same_names() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Terminal) - public(SyncTerminal) == {"outbox", "pushing", "store"}
    assert public(SyncTerminal) - public(Terminal) == set()


async def test_without_an_event_loop_it_delivers_too(tmp_path: Path, receiver: BadReceiver) -> None:
    def firmware() -> None:
        with SyncTerminal("SN1", tmp_path) as terminal:
            terminal.subscribe(receiver.url)
            terminal.record(record())
            done.wait(20)

    done = threading.Event()
    running = asyncio.create_task(asyncio.to_thread(firmware))
    await until(lambda: receiver.stored)
    done.set()
    await running
    assert [request.name() for request in receiver.stored] == ["uuid-1"]


def test_several_threads_may_record_at_once(tmp_path: Path) -> None:
    with SyncTerminal("SN1", tmp_path) as terminal, ThreadPoolExecutor(8) as threads:
        terminal.subscribe("http://127.0.0.1:9/Record", enabled=False)
        numbers = list(threads.map(lambda number: terminal.record(record(number)), range(100)))
    assert sorted(numbers) == list(range(1, 101))


def test_a_start_that_fails_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_bytes(b"something else" * 100)
    before = threading.active_count()
    with pytest.raises(Exception, match="move that file away"):
        SyncTerminal("SN1", tmp_path).__enter__()
    assert threading.active_count() <= before


def test_importing_it_brings_nothing_of_the_receiver_and_no_http_framework() -> None:
    script = (
        "import sys; from gatepost.terminal import Terminal;"
        "print([name for name in sys.modules if name.split('.')[0] in {'aiohttp', 'cryptography', 'jwt', 'typer',"
        " 'litestar', 'uvicorn', 'sqlalchemy', 'alembic', 'PIL', 'psycopg', 'jinja2', 'nats', 'obstore'}"
        " or name.startswith(('gatepost.receiver', 'gatepost.store', 'gatepost.forward'))])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
