"""``gatepost terminals adopt | managed | verify | resume | release``, against real services."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.client.conftest import Run
from tests.fleet.double import ADMIN, Double
from tests.receiver.kit import Running, receiving

from gatepost.client.commands.terminals.fleet import PASSWORD


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    """A receiver that may talk to terminals on this machine."""
    async with receiving(tmp_path / "data", real_time=True, fleet_networks=("127.0.0.0/8",)) as running:
        yield running


@pytest.fixture
async def doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Double]]:
    """Two terminals, whose password is in the environment."""
    monkeypatch.setenv(PASSWORD, ADMIN.password)
    made = [await Double(tmp_path / serial, serial).open() for serial in ("SN-7", "SN-8")]
    yield made
    for double in made:
        await double.close()


async def test_one_is_adopted_verified_resumed_and_released(
    receiver: Running, run: Run, doubles: list[Double], capsys: pytest.CaptureFixture[str]
) -> None:
    address = doubles[0].address
    assert await run("terminals", "adopt", address, "--name", "Front door", "--yes") == 0
    said = capsys.readouterr().out
    assert "terminal SN-7 at" in said
    assert "SHA-256" in said
    assert "SN-7  Front door" in said
    assert "pushes here" in said

    for command in ("managed", "verify", "resume"):
        assert await run("terminals", command, *(["SN-7"] if command != "managed" else []), "--json") == 0
        shown = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (shown["serial"], shown["state"]) == ("SN-7", "ours")
    await doubles[0].happens("move")
    assert await run("terminals", "verify", "SN-7") == 1
    assert "cannot be reached" in capsys.readouterr().out
    assert await run("terminals", "release", "SN-7") == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert await run("terminals", "release", "SN-7", "--keep-address") == 0
    capsys.readouterr()
    assert await run("terminals", "managed") == 0
    assert "SN-7" not in capsys.readouterr().out


async def test_many_are_adopted_and_each_says_how_it_went(
    receiver: Running, run: Run, doubles: list[Double], capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = [double.address for double in doubles]
    assert await run("terminals", "adopt", *addresses) == 0
    said = capsys.readouterr().out
    assert [serial in said for serial in ("SN-7", "SN-8")] == [True, True]
    await doubles[1].close()

    assert await run("terminals", "adopt", *addresses, "--json") == 1

    told = [json.loads(one) for one in capsys.readouterr().out.splitlines() if one.startswith("{")]
    assert sorted(row["state"] for row in told) == ["adopted", "failed"]


async def test_it_asks_before_a_password_is_sent(
    receiver: Running, run: Run, doubles: list[Double], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("terminals", "adopt", doubles[0].address) == 1
    assert await doubles[0].terminal.subscription() is None
