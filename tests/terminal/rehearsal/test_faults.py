"""Faults as they are typed."""

from pathlib import Path

import pytest

from gatepost.errors import SettingsError
from gatepost.terminal.outbox.types import HistoryQuery
from gatepost.terminal.rehearsal.faults import (
    HISTORY,
    NAMES,
    REPLIES,
    Faults,
    asked_instead,
    item_instead,
    parse,
)

DOCS = Path(__file__).parents[3] / "docs/how-to"


def test_a_name_alone_has_a_value_of_its_own() -> None:
    faults = parse(["forget", "contested=2.5", "silent", "clock=-8", "reply=1001", "other-serial=GP2"])
    assert faults == Faults(
        forget=60.0, contested=2.5, silent=True, clock=-8.0, reply="1001", other_serial="GP2"
    )
    assert parse([]) == Faults()


def test_several_faults_of_the_history_go_together() -> None:
    assert parse(["history=no-uuid", "history=paths"]).history == ("no-uuid", "paths")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("explode", "knows no 'explode'; it knows forget"),
        ("forget=soon", "forget must be a number of seconds"),
        ("forget=0", "from 0.01"),
        ("slow=nan", "slow must be"),
        ("clock=1e9", "clock must be a number of hours"),
        ("reply", "reply must be one of 1000"),
        ("reply=200", "reply must be one of 1000"),
        ("history=late", "history must be one of no-uuid"),
        ("other-serial", "other-serial needs a serial"),
        ("other-serial=终端", "other-serial needs a serial"),
        ("silent=1", "silent takes no value"),
    ],
)
def test_what_cannot_be_read_is_said_by_name(option: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse([option])


def test_pages_that_repeat_are_read_from_elsewhere() -> None:
    query = HistoryQuery(offset=200, limit=100)
    assert asked_instead(query, Faults()) == query
    assert asked_instead(query, Faults(history=("repeat",))).offset == 0
    assert asked_instead(query, Faults(history=("overlap",))).offset == 199
    assert asked_instead(HistoryQuery(), Faults(history=("overlap",))).offset == 0


def test_an_item_loses_its_uuid_and_its_image() -> None:
    item = {"uuid": "u1", "timestamp": 1700000000, "rgb_image": "/9j/"}
    assert item_instead(item, Faults(history=("no-uuid", "paths"))) == {
        "timestamp": 1700000000,
        "rgb_image": "/userdata/capture/1700000000.jpg",
    }
    assert item_instead({"rgb_image": " "}, Faults(history=("paths",))) == {"rgb_image": " "}
    assert item["uuid"] == "u1"


@pytest.mark.parametrize("page", ["terminal.md", "terminal.zh.md"])
def test_every_fault_stands_in_the_how_to(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`{name}" in text, name
    for kind in (*REPLIES, *HISTORY):
        assert f"`{kind}`" in text, kind
