import io
import json
import stat
import sys
from pathlib import Path

import pytest

from gatepost import wire
from gatepost.terminal.cli_output import letter, letter_line, outbox_lines, status_lines, write_lines
from gatepost.terminal.outbox.outbox import Outbox, State
from gatepost.terminal.outbox.reader import Reader
from gatepost.terminal.outbox.types import ALARMS, RECORDS, Stored

STATUS: dict[str, object] = {
    "serial": "GP1",
    "running": True,
    "accepted": 50_500,
    "delivered": 0,
    "pending": 50_000,
    "dead": 0,
    "dropped": 500,
    "oldest_pending_s": 7300.0,
    "bytes": 1_500_000_000,
    "file_bytes": 1_600_000_000,
    "pending_records": 49_999,
    "pending_alarms": 1,
    "in_flight": 8,
    "capacity": 50_000,
    "capacity_bytes": 1_500_000_000,
    "last_error": "connection refused",
    "last_error_at": 1_700_000_000.0,
    "last_success_at": None,
    "backoff_s": 12.4,
    "storage_error": None,
    "subscription": {"event_dest": "http://192.0.2.1/Record", "enabled": False},
    "drops": [
        {
            "reason": "capacity",
            "lane": "records",
            "count": 500,
            "first_id": 1,
            "last_id": 500,
            "first_dropped_at": 1_700_000_000.0,
            "last_dropped_at": 1_700_000_100.0,
        }
    ],
}


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")


def figures(lines: list[str]) -> dict[str, str]:
    return {name.strip(): value.strip() for name, _, value in (line.partition("  ") for line in lines)}


def test_the_status_shows_no_credentials() -> None:
    subscription = {"event_dest": "https://door:secret@192.0.2.1/Record", "enabled": True}
    lines = status_lines({**STATUS, "subscription": subscription})
    assert figures(lines)["pushes to"] == "https://***@192.0.2.1/Record"
    assert "secret" not in "".join(lines)


def test_the_status_has_the_ledger_and_what_is_wrong() -> None:
    shown = figures(status_lines(STATUS))
    assert shown["terminal"] == "GP1 running"
    assert shown["pushes to"] == "http://192.0.2.1/Record (disabled: only keeping)"
    assert (shown["accepted"], shown["pending"], shown["dropped"]) == ("50,500", "50,000", "500")
    assert shown["oldest pending"] == "2 h"
    assert shown["last error"].endswith("connection refused")
    assert shown["next attempt in"] == "12 s"


def test_a_full_disk_is_shown() -> None:
    assert (
        figures(status_lines({**STATUS, "storage_error": "the disk is full"}))["disk"] == "the disk is full"
    )


def test_what_was_dropped_is_never_silent() -> None:
    assert outbox_lines(STATUS)[-1].startswith("dropped 500 records (1–500)")


def test_chinese_columns_line_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    lines = status_lines(STATUS)
    assert "已接收      50,500" in lines
    assert "最早待推送  2 小时" in lines


def test_a_dead_letter_is_told_without_what_happened_at_the_door() -> None:
    head, tail = wire.encode_parts(wire.Record(user=wire.User(name="王五")))
    stored = Stored(7, State.DEAD, RECORDS, head, b"IMG", tail, 10, 10, 1e9, 10**9, 1e9 + 5, "code 500")
    about = letter(stored)
    assert (about["id"], about["type"], about["refusals"], about["reason"]) == (7, 0, 10, "code 500")
    assert "王五" not in json.dumps(about, ensure_ascii=False)
    assert letter_line(about).endswith("record  refused 10 times: code 500")
    assert letter(Stored(8, State.DEAD, ALARMS, head, None, tail, 1, 1, 1.0, 1, 2.0, ""))["type"] == 1


async def test_an_export_is_whole_json_lines_that_only_the_owner_reads(tmp_path: Path) -> None:
    outbox = await Outbox.open(tmp_path / "outbox")
    await outbox.subscribe(wire.Subscription("http://192.0.2.1/Record", enabled=False))
    for number in range(100):
        await outbox.put(wire.Record(uuid=str(number), image=b"IMG"))
    reader = Reader(tmp_path / "outbox")
    target = tmp_path / "events.jsonl"
    assert write_lines(str(target), reader, {State.PENDING}) == 100
    await outbox.close()
    bodies = [json.loads(line) for line in target.read_bytes().splitlines()]
    assert [body["data"]["uuid"] for body in bodies] == [str(number) for number in range(100)]
    assert {body["data"]["rgb_image"] for body in bodies} == {"SU1H"}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


async def test_an_export_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    class Broken:
        def step(self, states: object, after: int) -> list[Stored]:
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_lines(str(tmp_path / "events.jsonl"), Broken(), {State.PENDING})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_dash_is_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        def step(self, states: object, after: int) -> list[Stored]:
            return []

    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    assert write_lines("-", Empty(), {State.PENDING}) == 0  # type: ignore[arg-type]


def test_damage_that_was_set_aside_is_counted_and_not_mentioned_without() -> None:
    damage = {"set_aside": 3, "set_aside_bytes": 12_000, "set_aside_gone": 2}
    shown = figures(outbox_lines({**STATUS, **damage}))
    assert shown["damage set aside"] == "3 files damaged-*, 12,000 bytes; 2 older ones deleted"
    none = dict.fromkeys(damage, 0)
    assert "damage set aside" not in figures(outbox_lines({**STATUS, **none}))
