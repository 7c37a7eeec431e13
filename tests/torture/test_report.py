import json

import msgspec
import pytest

from gatepost.torture.judge import Judgement, PowerCuts
from gatepost.torture.report import Outcome, as_json, as_lines
from gatepost.torture.system.disks import Disks

GOOD = Outcome(
    seed=7,
    seconds=61.5,
    faults=40,
    happened={"pushes": 900, "resends": 12, "kill-terminal": 3},
    judgement=Judgement((), {"accepted": 880}),
    disks=Disks(True),
)
BAD = msgspec.structs.replace(GOOD, judgement=Judgement(("1 spurious: x",), {"accepted": 880}))
LIMITED = msgspec.structs.replace(GOOD, disks=Disks(False, why="may not mount"))
CUTS = PowerCuts("terminal", 1800, 78, 120, 1000, 58_000, ())
LOST = PowerCuts(
    "receiver", 1900, 176, 120, 1000, 51_000, ("after 5 operations: acknowledged, and not there: 1: y",)
)


def test_json_says_everything_and_whether_it_is_good() -> None:
    value = json.loads(as_json(GOOD, [CUTS]))
    assert value["ok"] is True
    assert (value["seed"], value["faults"], value["figures"]["accepted"]) == (7, 40, 880)
    assert list(value["happened"]) == sorted(value["happened"])
    assert value["power_cuts"][0]["cuts"] == 1000


@pytest.mark.parametrize(("outcome", "cuts"), [(BAD, []), (GOOD, [CUTS, LOST])])
def test_one_difference_anywhere_is_enough(outcome: Outcome, cuts: list[PowerCuts]) -> None:
    assert json.loads(as_json(outcome, cuts))["ok"] is False


def test_lines_say_what_differs_in_the_language_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    assert as_lines(GOOD, [CUTS])[-1] == "nothing was lost"
    lines = as_lines(GOOD, [CUTS, LOST])
    assert "terminal: 1000 power cuts, 58000 events that had to be there looked for" in lines
    assert "DIFFERENCE: receiver, after 5 operations: acknowledged, and not there: 1: y" in lines
    assert lines[-1] == "not as it should be"
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    assert as_lines(BAD)[-2:] == ["差异：1 spurious: x", "结果不符"]


def test_it_is_said_whether_disks_were_real_and_if_not_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(as_json(GOOD))["disks"] == {"real": True, "why": ""}
    assert json.loads(as_json(LIMITED))["disks"] == {"real": False, "why": "may not mount"}
    monkeypatch.setenv("GATEPOST_LANG", "en")
    assert "full and read-only disks were real ones (tmpfs): ENOSPC, EROFS" in as_lines(GOOD)
    assert any("RLIMIT_FSIZE" in line and line.endswith("may not mount") for line in as_lines(LIMITED))
