"""``gatepost alarms``."""

import json

import pytest
from tests.client.conftest import Run
from tests.receiver.kit import Running, alarm


async def test_alarms_are_listed_and_acknowledged(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await receiver.push(alarm(deviceSN="SN-1"))
    await receiver.push(alarm(trace_id="T-2", status=3))
    assert await run("alarms", "list", "--state", "open", "--unacknowledged") == 0
    (line,) = capsys.readouterr().out.splitlines()
    number = line.split()[0].removeprefix("#")
    assert line.endswith("device tampered with  open  not acknowledged")
    assert await run("alarms", "acknowledge", number, "--note", "a cat") == 0
    assert capsys.readouterr().out.strip().endswith("open  acknowledged")
    assert await run("alarms", "list", "--acknowledged", "--json") == 0
    assert json.loads(capsys.readouterr().out)["note"] == "a cat"


async def test_an_alarm_that_is_not_there_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("alarms", "acknowledge", "7") == 1
    assert capsys.readouterr().err == "gatepost: the receiver refused it (404): there is no such alarm\n"


async def test_an_alarm_is_closed_with_a_note(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await receiver.push(alarm(deviceSN="SN-1"))
    assert await run("alarms", "close", "1", "--note", "reset by hand") == 0
    assert capsys.readouterr().out.strip().endswith("closed by an operator  acknowledged")
    assert await run("alarms", "list", "--state", "open", "--terminal", "SN-1") == 0
    assert await run("alarms", "list", "--without-serial", "--state", "cleared") == 0
    assert capsys.readouterr().out == ""
    assert await run("alarms", "list", "--state", "cleared", "--json") == 0
    assert json.loads(capsys.readouterr().out)["closed_note"] == "reset by hand"


async def test_several_alarms_are_acknowledged_by_number_or_by_filters(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, code in enumerate((10003, 10003, 20003)):
        await receiver.push(alarm(trace_id=f"T-{number}", code=code, event_time=1_684_385_033_398 + number))
    assert await run("alarms", "list", "--code", "20003", "--json") == 0
    (fire,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert await run("alarms", "acknowledge-all", "--code", "10003", "--note", "drill", "--yes") == 0
    assert capsys.readouterr().out == "acknowledged: 2\n"
    assert await run("alarms", "acknowledge-all", "--code", "10003", "--json") == 0
    assert json.loads(capsys.readouterr().out)["alarms"] == 0
    assert await run("alarms", "acknowledge", str(fire["id"]), "999", "--json") == 0
    assert json.loads(capsys.readouterr().out)["alarms"] == 1
