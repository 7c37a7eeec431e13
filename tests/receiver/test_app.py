import asyncio
import signal
from pathlib import Path

import pytest
from tests.receiver.kit import SUCCESS, Process, Running, body, record, request, until

from gatepost.cli import run
from gatepost.errors import SettingsError
from gatepost.receiver.app import Receiver
from gatepost.receiver.serving import listen
from gatepost.settings import ReceiverSettings
from gatepost.store.sqlite import SqliteStore


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
    assert await process.stop() == 0
    store = SqliteStore.open(tmp_path / "data")
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
async def test_a_setting_that_cannot_be_is_named(
    tmp_path: Path, setting: str, value: tuple[str, ...]
) -> None:
    store = SqliteStore.open(tmp_path / "data")
    with pytest.raises(SettingsError, match=setting):
        Receiver(store, ReceiverSettings(**{setting: value}))  # type: ignore[arg-type]
    store.close()


async def test_the_api_answers_beside_the_ingest(receiver: Running) -> None:
    assert (await receiver.get("/healthz")).json == {"status": "ok"}
    assert (await receiver.get("/readyz")).json == {"status": "ok"}
    assert (await receiver.get("/api/v1/stats")).status == 200
    assert (await receiver.get("/api/v1/nothing")).status == 404


async def test_the_counts_of_refusals_reach_the_store_by_themselves(receiver: Running) -> None:
    await receiver.push(b"{")
    await until(lambda: receiver.store.stats().refused == 1)


async def test_a_change_of_a_terminal_by_another_process_is_seen(receiver: Running) -> None:
    await receiver.push(record())
    (terminal,) = receiver.store.terminals()
    receiver.store.update_terminal(terminal.id, state="retired")
    await receiver.receiver.keep()
    assert (await receiver.push(record(uuid="u-2"))).status == 403
