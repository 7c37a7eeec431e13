"""``gatepost terminals discover | scan | import``."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import Run
from tests.fleet.double import ADMIN, Double
from tests.fleet.finding.test_announcements import ANNOUNCED
from tests.receiver.kit import Running, receiving

from gatepost import cli
from gatepost.client.commands.terminals.finding import announced, found_line, scanned
from gatepost.fleet.finding.discovery import Take
from gatepost.fleet.finding.finder import Finder
from gatepost.fleet_items import DiscoveryItem, FoundItem, ScanItem

HEAD = "address,name,site,username,password\n"


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    networks = ("127.0.0.0/8", "192.168.0.0/16")
    async with receiving(tmp_path / "data", real_time=True, fleet_networks=networks) as running:
        yield running


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[Double]:
    made = await Double(tmp_path / "door").open()
    yield made
    await made.close()


def found(serial: str, **more: Any) -> FoundItem:
    values: dict[str, Any] = {
        "address": "https://192.168.1.7:8000",
        "serial": serial,
        "model": "M",
        "certificate": None,
        "clock_error_s": None,
        "terminal_id": None,
        "managed_address": None,
    }
    return FoundItem(**(values | more))


class Script:
    """A client that returns what a test wrote down: here the loops around it are tested."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.ended = False

    def discover(self) -> DiscoveryItem:
        return DiscoveryItem(listening_s=30, elsewhere=0, items=self.replies.pop(0))

    def begin_scan(self, networks: list[str]) -> ScanItem:
        return self.scan()

    def scan(self) -> ScanItem:
        item: ScanItem = self.replies.pop(0)
        return item

    def end_scan(self) -> None:
        self.ended = True


def test_each_terminal_is_told_once_for_as_long_as_it_is_listened() -> None:
    at, waits = [0.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        at[0] += seconds

    one, other = found("SN-1"), found("SN-2")
    client: Any = Script([], [one], [other, one])
    assert list(announced(client, 0.75, monotonic=lambda: at[0], sleep=sleep)) == [one, other]
    assert waits == [0.5, 0.25]


def test_a_scan_that_is_left_early_ends() -> None:
    running = ScanItem(state="running", total=9, asked=1, others=0, items=[])
    client: Any = Script(running, ScanItem(state="over", total=9, asked=9, others=0, items=[]))
    assert [one.state for one in scanned(client, ["x"], sleep=lambda s: None)] == ["running", "over"]
    assert not client.ended

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    client = Script(running)
    with pytest.raises(KeyboardInterrupt):
        list(scanned(client, ["x"], sleep=interrupted))
    assert client.ended


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (found("SN-1"), "https://192.168.1.7:8000  SN-1  M  not adopted"),
        (found("SN-1", clock_error_s=-28_800.0), "SN-1  M  clock -480 min  not adopted"),
        (found("SN-1", terminal_id=4, managed_address="https://192.168.1.7:8000"), "adopted as #4"),
        (
            found("SN-1", terminal_id=4, managed_address="https://192.168.1.9:8000"),
            "adopted as #4 at https://192.168.1.9:8000",
        ),
        (found("SN\x1b[2J"), "SN\ufffd[2J"),
    ],
)
def test_a_line_tells_what_is_known(item: FoundItem, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    assert words in found_line(item)


async def test_what_is_announced_is_listed(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def packets(take: Take) -> AsyncIterator[None]:
        take(ANNOUNCED, "192.168.1.50")
        yield

    # Multicast does not come through loopback: what is heard here is a recorded packet.
    finder = Finder(receiver.desk.fleet.around.egress, packets=packets)
    receiver.desk._parts["finder"] = finder
    try:
        assert await run("terminals", "discover", "--seconds", "0") == 0
        assert "https://192.168.1.7:8000  AB  M  not adopted" in capsys.readouterr().out
        assert await run("terminals", "discover", "--seconds", "0", "--json") == 0
        assert json.loads(capsys.readouterr().out)["serial"] == "AB"
    finally:
        await finder.close()


async def test_a_network_is_scanned(
    receiver: Running, run: Run, double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    place = double.address.removeprefix("https://")
    assert await run("terminals", "scan", place, "127.0.0.1:9", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["serial"] == "SN-7"
    assert "2 of 2 addresses asked: 1 terminals, 0 other services" in printed.err
    assert await run("terminals", "scan", "10.0.0.0/8") == 1
    assert "scan a part of them at a time" in capsys.readouterr().err


async def test_a_file_is_checked_and_adopted(
    receiver: Running, run: Run, double: Double, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "terminals.csv"
    file.write_text(HEAD + f"{double.address},Gate 1,,{ADMIN.username},{ADMIN.password}\n")
    assert await run("terminals", "import", str(file), "--check") == 0
    printed = capsys.readouterr()
    assert f"{double.address}  Gate 1  -  admin" in printed.out
    assert "1 terminals, no problem" in printed.err
    assert await double.terminal.subscription() is None

    assert await run("terminals", "import", str(file)) == 0
    printed = capsys.readouterr()
    assert f"{double.address}  SN-7  Gate 1  adopted" in printed.out
    assert "1 of 1 terminals adopted" in printed.err
    [managed] = (await receiver.get("/api/v1/fleet")).json["items"]
    assert (managed["serial"], managed["name"]) == ("SN-7", "Gate 1")
    assert ADMIN.password not in printed.out + printed.err


async def test_a_terminal_that_cannot_be_adopted_makes_the_import_fail(
    receiver: Running, run: Run, double: Double, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "terminals.csv"
    file.write_text(HEAD + f"{double.address},,,{ADMIN.username},wrong\n")
    assert await run("terminals", "import", str(file), "--json") == 1
    printed = capsys.readouterr()
    row = json.loads(printed.out)
    assert row["state"] == "failed"
    assert "password" in row["reason"]
    assert "0 of 1 terminals adopted" in printed.err


async def test_a_file_with_problems_is_told_line_by_line(
    receiver: Running, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "terminals.csv"
    file.write_text(HEAD + "192.168.1.7,,Nowhere,admin,x\n,,,admin,x\n")
    assert await run("terminals", "import", str(file)) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.partition("  ")[0] for line in told[-2:]] == ["line 2", "line 3"]
    assert (await receiver.get("/api/v1/fleet/adoptions")).json["items"] == []


def test_a_template_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "terminals.csv"
    assert cli.run(["terminals", "import", str(file), "--template"]) == 0
    assert file.read_text("utf-8-sig").startswith("address,name,site,username,password")
    assert cli.run(["terminals", "import", str(file), "--template"]) == 2
    assert "is there already" in capsys.readouterr().err


async def test_a_file_that_is_not_there_is_told(
    receiver: Running, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("terminals", "import", str(tmp_path / "none.csv")) == 2
    assert "No such file" in capsys.readouterr().err
