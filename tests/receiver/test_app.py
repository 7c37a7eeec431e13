import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.receiver.kit import (
    SUCCESS,
    Process,
    Running,
    alarm,
    body,
    opened,
    receiving,
    record,
    request,
    serving,
    until,
)

from gatepost.cli import run
from gatepost.errors import SettingsError, StoreUnavailable
from gatepost.journal.places import Image, Place
from gatepost.journal.streams import Position
from gatepost.journal.writer import Writer
from gatepost.receiver.http.server import listen
from gatepost.receiver.program import run as serve
from gatepost.settings import ReceiverSettings
from gatepost.store.postgres.store import PostgresStore


async def test_a_stop_answers_what_was_accepted_and_exits_0(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    senders = [await process.connect() for _ in range(30)]
    first = await asyncio.gather(
        *(s.request("POST", "/Record", body(record(uuid=f"a-{n}"))) for n, s in enumerate(senders))
    )
    assert [answer.json for answer in first] == [SUCCESS] * 30
    for number, sender in enumerate(senders):
        await sender.write(request("POST", "/Record", body(record(uuid=f"b-{number}"))))
    process.process.send_signal(signal.SIGTERM)
    acknowledged = 0
    for sender in senders:
        told = await sender.ended()
        acknowledged += told.count(b'{"code":200,')
        await sender.close()
    async with asyncio.timeout(30):
        assert await process.process.wait() == 0
    store = opened(tmp_path / "data")
    assert store.stats().records >= 30 + acknowledged
    store.close()


async def test_a_stop_does_not_wait_for_connections_that_are_idle(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    idle = [await process.connect() for _ in range(20)]
    await idle[0].write(b"POST /Record HTTP/1.1\r\n")
    process.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await process.process.wait() == 0
    for sender in idle:
        await sender.close()


async def test_a_second_receiver_on_the_same_folder_says_so_and_touches_nothing(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    with pytest.raises(AssertionError, match="is in use by process"):
        await Process.start(tmp_path / "data")
    assert (await process.request("POST", "/Record", body(record()))).json == SUCCESS
    await process.stop()


async def test_an_address_that_is_taken_is_one_sentence_that_names_the_setting(
    receiver: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    address = f"127.0.0.1:{receiver.port}"
    assert run(["serve", "--data", str(tmp_path / "other"), "--listen", address]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"gatepost: setting 'listen' cannot be {address}: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize("address", ["8080", "127.0.0.1", "127.0.0.1:x", ":8080", "127.0.0.1:99999"])
def test_what_is_no_address_names_the_setting(address: str) -> None:
    with pytest.raises(SettingsError, match="listen"):
        listen(address)


async def test_everywhere_means_every_family_that_the_machine_has() -> None:
    addresses = Path("/proc/net/if_inet6")  # lists ::1 where the kernel speaks IPv6
    speaks_6 = addresses.exists() and "00000000000000000000000000000001" in addresses.read_text()
    (bound,) = listen("[::]:0" if speaks_6 else "0.0.0.0:0")
    port = bound.getsockname()[1]
    for host in ("127.0.0.1", "::1") if speaks_6 else ("127.0.0.1",):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        await writer.wait_closed()
    bound.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("allowed_networks", ("the office",)),
        ("trusted_proxies", ("10.0.0.0/99",)),
        ("ingest_paths", ("Record",)),
        ("ingest_paths", ("/",)),
    ],
)
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, setting: str, value: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=setting):
        serve(ReceiverSettings(**{setting: value}), tmp_path / "data")  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()


async def test_the_api_answers_beside_the_ingest(receiver: Running) -> None:
    assert (await receiver.get("/healthz")).json == {"status": "ok"}
    assert (await receiver.get("/readyz")).json == {"status": "ok"}
    assert (await receiver.get("/api/v1/stats")).status == 200
    assert (await receiver.get("/api/v1/nothing")).status == 404


async def test_the_counts_of_refusals_reach_the_store_by_themselves(receiver: Running) -> None:
    await receiver.push(b"{")
    await until(lambda: receiver.store.stats().refused == 1)


async def test_the_journal_is_looked_after_while_the_store_hangs(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hanging(*_: object, **__: object) -> None:
        entered.set()
        assert leave.wait(30)

    tended: list[bool] = []
    with monkeypatch.context() as patched:
        patched.setattr(receiver._store, "note_refused", hanging)
        assert (await receiver.push(record(), "/Record/wrong")).status == 404
        await until(entered.is_set)
        patched.setattr(receiver.ingest.group_commit, "tend", lambda: tended.append(True))
        await until(lambda: len(tended) > 1)
        leave.set()


async def test_a_change_of_a_terminal_by_another_process_is_seen(receiver: Running) -> None:
    await receiver.push(record())
    (terminal,) = receiver.store.terminals()
    receiver.store.update_terminal(terminal.id, state="retired")
    await receiver.desk.housekeeping.keep()
    assert (await receiver.push(record(uuid="u-2"))).status == 403


@pytest.mark.parametrize(("is_away", "level"), [(False, "warning"), (True, "debug")])
async def test_that_the_store_is_away_is_said_by_the_housekeeping_only_where_the_projector_does_not_say_it(
    receiver: Running, monkeypatch: pytest.MonkeyPatch, is_away: bool, level: str
) -> None:
    def fail() -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(receiver._store, "terminals", fail)
    monkeypatch.setattr(receiver.desk.projector, "is_away", is_away)
    with capture_logs() as logged:
        await receiver.desk.housekeeping.keep()
    said = [(line["step"], line["log_level"]) for line in logged if "step" in line]
    assert said == [("refresh", level)]


async def test_whose_an_address_is_by_another_process_is_seen_and_so_is_what_it_learns_later(
    postgres_store_url: str,
) -> None:
    stores = [PostgresStore.open(postgres_store_url) for _ in range(2)]
    try:
        async with serving(stores[0]) as one, serving(stores[1]) as other:
            for number, (here, there) in enumerate([(one, other), (other, one)]):
                await here.push(record(deviceSN=f"SN-{number}", uuid=f"u-{number}"))
                here.settle()
                await there.desk.housekeeping.keep()
                assert (await there.push(alarm(trace_id=f"T-{number}"))).json == SUCCESS
            # The second serial makes the address one that tells nothing.
            assert {(row.trace_id, row.serial) for row in one.alarms()} == {("T-0", "SN-0"), ("T-1", None)}
    finally:
        for store in stores:
            store.close()


async def test_how_deep_a_push_may_nest_is_a_setting(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", max_json_depth=8) as receiver:
        deep: object = "bottom"
        for depth, status in ((4, 200), (16, 400)):
            for _ in range(depth):
                deep = {"more": deep}
            assert (await receiver.push(record(uuid=f"u-{depth}", strange=deep))).status == status


async def test_how_long_a_connection_may_be_silent_between_requests_is_a_setting(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", idle_timeout_s=30) as receiver:
        sender = await receiver.connect()
        assert (await sender.request("GET", "/healthz")).status == 200
        await receiver.pass_time(29)
        assert (await sender.request("GET", "/healthz")).status == 200
        await receiver.pass_time(31)
        assert await sender.ended() == b""


async def test_how_long_a_session_lasts_is_a_setting_and_so_is_how_long_it_may_rest(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", session_hours=3, session_idle_hours=1) as receiver:
        doors = receiver.desk.access.doors
        assert doors.session_s == 3 * 3600
        sessions = receiver.desk.access.doors.accounts

        def log_in() -> tuple[bytes, int]:
            anna = sessions.create("anna", "viewer", doors.hash("correct horse"), now_ms=0)
            return doors.open_session(anna, address="::1").secret.encode(), doors.now_ms()

        secret, now_ms = await asyncio.to_thread(log_in)
        headers = {"cookie": f"gatepost_session={secret.decode()}"}
        for hours, known in ((0.9, True), (1.8, True), (2.9, False)):
            doors._now = lambda hours=hours: now_ms / 1000 + hours * 3600
            assert (doors.authenticate("GET", headers, host="") is not None) is known


async def test_how_many_may_wait_for_the_disk_and_how_many_share_a_sync_are_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving(tmp_path / "data", max_queue_events=5, max_batch_events=2) as receiver:
        await receiver.push(record(uuid="first"))
        sizes: list[int] = []
        gate, begun = threading.Event(), threading.Event()
        real = Writer.append_with_images

        def append(
            writer: Writer, images: Sequence[Image], encode: Callable[[Sequence[Place]], Sequence[bytes]]
        ) -> Position:
            def measured(places: Sequence[Place]) -> Sequence[bytes]:
                bodies = encode(places)
                sizes.append(len(bodies))
                return bodies

            begun.set()
            gate.wait(20)
            return real(writer, images, measured)

        monkeypatch.setattr(Writer, "append_with_images", append)
        waiting = [asyncio.ensure_future(receiver.push(record(uuid="0")))]
        await until(begun.is_set)
        waiting += [asyncio.ensure_future(receiver.push(record(uuid=str(n)))) for n in range(1, 6)]
        await until(lambda: receiver.ingest.group_commit.waiting >= 5)
        full = await receiver.push(record(uuid="one too many"))
        assert (full.status, full.json["code"]) == (503, 503)
        gate.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 6
        assert sizes[0] == 1
        assert max(sizes) == 2
