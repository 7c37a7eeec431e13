"""Lines of the audit log in words: what changed from what to what, in the reader's language."""

import ast
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.console.kit import Desk

import gatepost
from gatepost.console.audit_words import SECRET, told
from gatepost.console.show import Show
from gatepost.console.words import table, words
from gatepost.forward.options.destination import Destination
from gatepost.receiver.api.access.views import ViewChange
from gatepost.receiver.api.people.schedules import schedule_item, told_holiday, told_schedule
from gatepost.receiver.api.terminals.values import TerminalChange
from gatepost.receiver.auth.audit_changes import changes
from gatepost.settings import ReceiverSettings
from gatepost.store.attendance.schedules import Schedule
from gatepost.store.attendance.stored_schedules import HolidayRow, ScheduleRow
from gatepost.wire.codes import Language

SCHEDULE = schedule_item(ScheduleRow(1, Schedule(name="x", start_min=0, end_min=60), 0))
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SITES = {1: "Head office", 2: "杭州"}


def in_words(detail: dict[str, Any], language: Language = "en") -> list[str]:
    found = told(detail, words(language), Show(words(language), "Asia/Shanghai", now=NOW), SITES)
    return [
        f"{one.name}: {one.before} -> {one.value}" if one.before is not None else f"{one.name}: {one.value}"
        for one in found
    ]


@pytest.mark.parametrize(
    ("detail", "english", "chinese"),
    [
        ({"was": 90, "now": 30}, ["value: 90 -> 30"], ["值: 90 -> 30"]),
        (
            {"role": "admin", "was_role": "viewer"},
            ["role: viewer -> administrator"],
            ["权限: 查看者 -> 管理员"],
        ),
        ({"sites": None, "was_sites": [2]}, ["sites: 杭州 -> every site"], ["站点: 杭州 -> 全部站点"]),
        ({"disabled": True, "was_disabled": False}, ["may not log in: no -> yes"], ["禁止登录: 否 -> 是"]),
        ({"site_id": 2, "was_site_id": 7}, ["site: #7 -> 杭州"], ["站点: #7 -> 杭州"]),
        ({"changed": ["role", "password"]}, ["changed: role, password"], ["修改项: 权限, 密码"]),
        ({"since": "2024-05-06T00:00:00Z"}, ["from: 2024-05-06 08:00:00"], ["起: 2024-05-06 08:00:00"]),
        ({"password": "x", "secret": "y", "unheard_of": 1}, ["unheard_of: 1"], ["unheard_of: 1"]),
        ({"host_before": "a", "host": "b"}, ["host: a -> b"], ["主机: a -> b"]),
        (
            {"weekdays": "1 2", "was_weekdays": "6"},
            ["days of the week: Sat -> Mon Tue"],
            ["工作日: 周六 -> 周一 周二"],
        ),
        ({"direction": "in", "was_direction": "both"}, ["direction: both ways -> in"], ["方向: 进出 -> 进"]),
        ({"name": "x", "was_name": None}, ["name: – -> x"], ["名称: – -> x"]),
    ],
)
def test_a_detail_is_told_in_words(detail: dict[str, Any], english: list[str], chinese: list[str]) -> None:
    assert in_words(detail) == english
    assert in_words(detail, "zh") == chinese


def test_only_what_differs_is_a_change() -> None:
    before, after = ReceiverSettings(), ReceiverSettings(repeat_s=3, allowed_networks=("10.0.0.0/8",))
    assert changes(before, after, ("repeat_s", "allowed_networks", "listen")) == {
        "repeat_s": 3.0,
        "was_repeat_s": 10.0,
        "allowed_networks": ["10.0.0.0/8"],
        "was_allowed_networks": [],
    }


def test_every_detail_that_is_noted_has_words() -> None:
    """Read every call that writes a line: what it calls a detail has a name in both languages."""
    of_line = {"now_ms", "actor", "address", "action", "subject", "detail", "event_id", "was"}
    found = {
        keyword.arg
        for file in Path(gatepost.__file__).parent.rglob("*.py")
        if "conformance" not in file.parts
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", getattr(call.func, "id", ""))
        in ("note", "note_again", "_note", "_noted")
        for keyword in call.keywords
        if keyword.arg is not None
    }
    assert len(found) > 25
    # What is told of a change as a whole.
    found |= set(TerminalChange.__struct_fields__) | set(told_schedule(SCHEDULE))
    found |= set(ViewChange.__struct_fields__) | set(Destination.__struct_fields__)
    found |= set(told_holiday(HolidayRow(1, date(2024, 5, 1), "x", None, False)))
    assert {name for name in found - of_line if f"detail.{name}" not in table()} == set()
    assert not {name for name in found if name in SECRET}


async def test_a_change_is_read_on_the_page_in_both_languages(desk: Desk) -> None:
    await desk.post("/settings/sites/1", name="Campus", timezone="Europe/Berlin")
    await desk.post("/settings/values", retention_audit_days="400")
    page = await desk.get("/audit")
    assert "time zone: from UTC to Europe/Berlin" in page.words
    assert "value: from 1,095 to 400" in page.words
    assert "由 UTC 改为 Europe/Berlin" in (await desk.get("/audit", accept_language="zh")).words
    viewer = next(one for one in desk.running.desk.access.doors.accounts.accounts() if one.name == "viewer")
    await desk.post(
        f"/settings/users/{viewer.id}", role="operator", every_site=1, password="quite long enough"
    )
    page = await desk.get("/audit?action=account.changed")
    assert "role: from viewer to operator" in page.words
    assert "quite long" not in page.html
