"""The page System, and what the API says of it."""

from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import astuple
from tests.console.kit import Desk
from tests.receiver.kit import record
from tests.store.events import arrival
from tests.store.events import record as stored
from tests.terminals import ensured

from gatepost import __version__
from gatepost.console import words as texts
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.interface import RecordQuery
from gatepost.store.maintenance.check_results import FILE, keep_check, last_check
from gatepost.store.maintenance.findings import Finding, Findings, Report
from gatepost.store.privacy.due import Due, due_until
from gatepost.store.privacy.retention import Limits

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


async def test_disk_journal_images_retention_and_versions_are_on_one_page(desk: Desk) -> None:
    await desk.running.push(record())
    page = await desk.get("/system")
    for words in (
        "Free space",
        "min_free_bytes",
        "Events that wait",
        "journal_max_bytes",
        "Retention looks next",
    ):
        assert words in page.words, words
    assert f"gatepost {__version__}" in page.words
    assert "SQLite 3" in page.words
    assert 'href="/settings#name-retention_records_days"' in page.html
    assert "It has not been run on this data folder yet." in page.words
    chinese = (await desk.get("/system", accept_language="zh")).words
    assert "可用空间" in chinese
    assert "下次清理时间" in chinese
    assert (await desk.get("/system", "operator")).status == 403


async def test_the_api_says_the_same(desk: Desk) -> None:
    await desk.running.push(record())
    state = (await desk.running.get("/api/v1/system")).json
    assert state["disk"]["free_bytes"] > 0
    assert state["journal"]["events"] == 0
    assert state["database_bytes"] > 0
    assert state["checked"] is None
    assert state["troubles"] == []
    assert {one["part"]: one["setting"] for one in state["parts"]}["alarms"] == "retention_records_days"


async def test_what_check_store_found_last_is_shown(desk: Desk, tmp_path: Path) -> None:
    folder = desk.running.desk._journal.path.parent
    finding = Finding(kind="images lost", advice="restore a backup", count=3)
    keep_check(folder, Report(where="x", events=9, images=6, findings=(finding,)), NOW)
    page = await desk.get("/system")
    assert "6 of 9 images are here and whole." in page.words
    assert "3 × images lost: restore a backup" in page.words
    (folder / FILE).write_text("{}")
    assert last_check(folder) is None
    keep_check(tmp_path / "nowhere", Report(where="x", events=0, images=0, findings=()), NOW)


def test_what_check_store_may_find_is_said_in_both_languages() -> None:
    told = [text for one in astuple(Findings()) for text in (one.kind, one.advice)]
    assert len(told) >= 22
    assert [one for one in told if texts.words("zh").why(one) == one] == []


async def test_what_is_due_is_counted_now_and_at_midnight(desk: Desk) -> None:
    terminal = ensured(desk.store, "SN-1", now_ms=0)
    for number, days in enumerate((40, 31, 30, 29)):
        at_ms = NOW_MS - days * DAY_MS
        desk.store.write([arrival(stored(number), terminal.id, received_at_ms=at_ms)])
    assert len(desk.store.records(RecordQuery(limit=9)).items) == 4
    midnight = datetime(2026, 3, 11, tzinfo=UTC)
    found = due_until(desk.store, Limits(records_days=30), now_ms=NOW_MS, until=midnight)
    assert found["records"] == Due(2, 1)
    assert found["audit"] == Due(0, 0)
    forever = due_until(desk.store, Limits(), now_ms=NOW_MS, until=midnight)
    assert forever["records"] == Due(0, 0)
