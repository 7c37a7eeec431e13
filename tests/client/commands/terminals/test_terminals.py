"""``gatepost terminals``."""

import json
import time
from pathlib import Path

import msgspec
import pytest
from tests.client.conftest import Run
from tests.receiver.kit import Running, record

from gatepost.client.commands.terminals.lines import terminal_line
from gatepost.items import TerminalItem


async def test_a_terminal_is_made_with_an_address_that_works_and_renamed(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("terminals", "create", "--name", "gate", "--network", "127.0.0.0/8", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["networks"] == ["127.0.0.0/8"]
    path = made["address"].partition(f":{receiver.port}")[2]
    assert (await receiver.push(record(deviceSN=None), path)).status == 200
    assert await run("terminals", "rename", str(made["id"]), "back door") == 0
    assert await run("terminals", "list") == 0
    (line,) = capsys.readouterr().out.splitlines()[-1:]
    assert "back door  approved  online" in line
    assert line.endswith("1 records")


async def test_an_address_is_shown_once_and_replaced(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("terminals", "create", "--serial", "SN-9") == 0
    first = capsys.readouterr().out.splitlines()[-1].split()[-1]
    assert await run("terminals", "rotate", "SN-9") == 0
    second = capsys.readouterr().out.splitlines()[-1].split()[-1]
    assert first.startswith("http://127.0.0.1:")
    assert second != first
    assert await run("terminals", "list") == 0
    assert "http" not in capsys.readouterr().out
    path = first.partition(f":{receiver.port}")[2]
    assert (await receiver.push(record(), path)).status != 200


async def test_a_terminal_is_retired_and_taken_back_by_nobody_but_an_administrator(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await receiver.push(record())
    assert await run("terminals", "approve", "SN-1") == 0
    assert "approved" in capsys.readouterr().out
    assert await run("terminals", "retire", "SN-1") == 0
    assert await run("terminals", "approve", "SN-1") == 1
    assert "administrator" in capsys.readouterr().err


async def test_a_serial_of_digits_is_a_serial_before_it_is_a_number(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await receiver.push(record())
    await receiver.push(record(deviceSN="1", uuid="u-2"))
    assert await run("terminals", "rename", "1", "digits", "--json") == 0
    assert json.loads(capsys.readouterr().out)["serial"] == "1"
    assert await run("terminals", "rename", "7", "nothing") == 1
    assert "there is no terminal 7" in capsys.readouterr().err


async def test_refused_pushes_are_listed_by_sender_and_reason(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await receiver.push(b"{", headers={"sn": "SN-1"})
    await receiver.push(record(deviceSN="SN-2"), "/record")
    await receiver.flush()
    capsys.readouterr()  # the receiver writes its log there
    assert await run("terminals", "refusals") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert await run("terminals", "refusals", "--status", "404") == 0
    (told,) = capsys.readouterr().out.splitlines()
    assert "404  path  127.0.0.1  SN-2  /record  ×1" in told
    assert await run("terminals", "refusals", "--serial", "SN-1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "no JSON"


async def test_a_terminal_that_is_late_is_not_called_as_a_late_person_is(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record())
    (item,) = (await receiver.get("/api/v1/terminals")).json["items"]
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    assert "  上报延迟  " in terminal_line(msgspec.convert({**item, "presence": "late"}, TerminalItem))


async def test_why_nothing_arrives_is_told_step_by_step_and_what_to_do_next(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.store.create_terminal(now_ms=0, serial="SN-5", state="held")
    assert await run("terminals", "why", "SN-5") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "bad  The terminal waits for approval: what it sends is stored and not shown."
    assert told[-1] == "Do this next: Approve it; what it sent meanwhile is shown then."
    await receiver.push(record(timestamp=int(time.time())))
    assert await run("terminals", "why", "SN-1") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Do this next: Approve it if it is yours")
    assert await run("terminals", "approve", "SN-1") == 0
    assert await run("terminals", "why", "SN-1") == 0
    told = capsys.readouterr().out.splitlines()
    assert any(one.startswith("ok  It pushed 2") for one in told)
    assert told[-1] == "Nothing has to be done."
    assert await run("terminals", "why", "--address", "127.0.0.9", "--json") == 0
    assert json.loads(capsys.readouterr().out)["next"]["code"] == "unknown"
    assert await run("terminals", "why") == 1
    assert "give either a terminal or an address" in capsys.readouterr().err


async def test_several_are_approved_moved_named_directed_retired_and_deleted(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in (1, 2):
        await receiver.push(record(deviceSN=f"SN-{number}", uuid=f"u-{number}"))
    assert await run("terminals", "approve", "SN-1", "SN-2") == 0
    assert capsys.readouterr().out.count("approved") == 2
    assert await run("terminals", "approve", "SN-1", "SN-9") == 1
    assert "there is no terminal SN-9" in capsys.readouterr().err

    names = tmp_path / "names.csv"
    names.write_text("SN-1,Front door\nSN-9,Nowhere\n")
    assert await run("terminals", "names", str(names)) == 1
    assert "line 2  SN-9  Nowhere  there is no such terminal" in capsys.readouterr().out
    names.write_text("SN-1,Front door\nSN-2,Back door\n")
    assert await run("terminals", "names", str(names), "--check") == 0
    assert await run("terminals", "names", str(names)) == 0
    assert await run("terminals", "move", "SN-1", "SN-2", "--site", "4321") == 1
    assert await run("terminals", "move", "SN-1", "SN-2", "--site", "1") == 0
    assert "Back door" in capsys.readouterr().out
    assert await run("terminals", "direction", "SN-1", "SN-2", "up") == 1
    assert "direction" in capsys.readouterr().err
    assert await run("terminals", "direction", "SN-1", "SN-2", "in", "--json") == 0
    assert capsys.readouterr().out.count('"direction":"in"') == 2

    assert await run("terminals", "delete", "SN-1", "SN-2", "--yes") == 1
    assert "not retired" in capsys.readouterr().err
    assert await run("terminals", "retire", "SN-1", "SN-2") == 0
    assert await run("terminals", "delete", "SN-1", "SN-2", "--yes") == 0
    assert "deleted: 2 records" in capsys.readouterr().out
