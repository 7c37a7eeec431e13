"""The columns of an export: what each is called, and what stands in it.

The names are what ``columns=`` takes, in the order of the file: ``docs/how-to/events.md`` describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from gatepost.receiver.http.url_prefix import link
from gatepost.store.interface import AlarmRow, RecordRow
from gatepost.store.local_days import zone
from gatepost.wire.codes import (
    AbnormalType,
    AlarmCode,
    AlarmStatus,
    Code,
    EntryMode,
    Language,
    Mask,
    RecognitionType,
    UserType,
    VerificationMode,
    label,
)

__all__ = ["ALARM", "HOURS", "Cell", "Column", "RECORD", "Words", "chosen", "named", "offset"]

_TABLES: tuple[type[Code], ...] = (
    RecognitionType,
    EntryMode,
    AbnormalType,
    Mask,
    VerificationMode,
    UserType,
    AlarmCode,
)

Cell = str | int | float | datetime | None
"""A ``datetime`` has the offset of its place, to the second."""

HOURS = "0.00"
"""The number format of hours: a hundredth is 36 s."""

Row = TypeVar("Row")


class Words:
    """In which language and zone an export speaks."""

    def __init__(self, language: Language, *, timezone: str | None = None) -> None:
        """Raise :class:`~gatepost.store.local_days.UnknownZone` for a ``timezone`` that there is not."""
        self.language = language
        self._one = None if timezone is None else zone(timezone)
        self._zones: dict[str, ZoneInfo] = {}
        # There are dozens of codes and millions of rows; what a stranger made up is not remembered.
        self._known: dict[tuple[type[Code], int], str] = {
            (table, int(code)): code.label(language) for table in _TABLES for code in table
        }

    def word(self, table: type[Code], code: int | None) -> str:
        if code is None:
            return ""
        return self._known.get((table, code)) or label(table, code, self.language)

    def truth(self, value: bool | None) -> str:
        if value is None:
            return ""
        return ("是" if value else "否") if self.language == "zh" else ("yes" if value else "no")

    def zone(self, row: RecordRow | AlarmRow) -> ZoneInfo:
        """Return the zone that was asked for, or else the one of the row's terminal."""
        return self.of(row.timezone)

    def local(self, row: RecordRow | AlarmRow, at: datetime | None) -> datetime | None:
        """Return a moment as the clocks there showed it, to the second, with their offset."""
        return None if at is None else self.wall(at, self.zone(row))

    def of(self, name: str) -> ZoneInfo:
        """Return the zone that was asked for, or else the one of this name."""
        if self._one is not None:
            return self._one
        found = self._zones.get(name)
        if found is None:
            found = self._zones[name] = zone(name)
        return found

    @staticmethod
    def wall(at: datetime, where: ZoneInfo) -> datetime:
        """Return a moment as the clocks somewhere showed it, to the second, with their offset."""
        return at.astimezone(where).replace(microsecond=0)


class Column(Struct, Generic[Row], frozen=True):
    """One column."""

    name: str
    en: str
    zh: str
    cell: Callable[[Row, Words], Cell]
    width: int = 12
    """In a workbook, in characters."""
    number_format: str = ""
    """In a workbook, of numbers; empty: as it is."""

    def header(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


def chosen(columns: Sequence[Column[Row]], names: Sequence[str]) -> list[Column[Row]]:
    """Return the columns of these names, in the order asked for; all of them where none is named.

    Raises ``ValueError`` with a sentence.
    """
    known = {column.name: column for column in columns}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"there is no column {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] if names else list(columns)


def _person(name: str) -> Callable[[RecordRow, Words], Cell]:
    def cell(row: RecordRow, _: Words) -> Cell:
        return "" if row.person is None else getattr(row.person, name)

    return cell


def _code(table: type[Code], name: str) -> Callable[[Any, Words], Cell]:
    return lambda row, words: words.word(table, getattr(row, name))


def offset(at: datetime, where: ZoneInfo) -> str:
    """Return how far the clocks somewhere are from UTC at a moment, such as ``UTC+08:00``; it begins with no sign."""
    return f"UTC{at.astimezone(where).isoformat(timespec='seconds')[19:]}"


def _time(name: str) -> Callable[[Any, Words], Cell]:
    return lambda row, words: words.local(row, getattr(row, name))


def named(groups: Sequence[Mapping[str, object]]) -> str:
    """Return the names of groups in one cell."""
    return "; ".join(str(group.get("name") or group.get("id") or "") for group in groups)


RECORD: tuple[Column[RecordRow], ...] = (
    Column("id", "ID", "编号", lambda row, _: row.id, 10),
    Column("time", "Time", "时间", _time("at"), 19),
    Column("time_zone", "Time zone", "时区", lambda row, words: words.zone(row).key, 14),
    Column("utc_offset", "UTC offset", "UTC 偏移", lambda row, words: offset(row.at, words.zone(row)), 11),
    Column("terminal", "Terminal", "终端序列号", lambda row, _: row.serial or "", 16),
    Column("terminal_name", "Terminal name", "终端名称", lambda row, _: row.terminal_name or "", 16),
    Column("site", "Site", "站点", lambda row, _: row.site, 14),
    Column("user_id", "Person ID", "人员编号", _person("user_id")),
    Column("name", "Name", "姓名", _person("name"), 16),
    Column(
        "person_type",
        "Kind of person",
        "人员类型",
        lambda row, words: "" if row.person is None else words.word(UserType, row.person.type),
    ),
    Column("job_number", "Job number", "工号", _person("job_number")),
    Column("ic_number", "Card number", "IC卡号", _person("ic_number"), 14),
    Column("id_number", "Identity number", "证件号", _person("id_number"), 20),
    Column(
        "groups", "Groups", "分组", lambda row, _: "" if row.person is None else named(row.person.groups), 16
    ),
    Column("remark", "Remark", "备注", _person("remark"), 16),
    Column("recognition_type", "Recognised as", "识别类型", _code(RecognitionType, "recognition_type")),
    Column("passed", "Passed", "是否通行", lambda row, words: words.truth(row.passed), 8),
    Column("entry_mode", "Opened by", "开门方式", _code(EntryMode, "entry_mode"), 14),
    Column("abnormal_type", "Abnormal", "异常类型", _code(AbnormalType, "abnormal_type"), 18),
    Column("score", "Score", "识别分数", lambda row, _: row.score, 8),
    Column("temperature", "Temperature (°C)", "体温（℃）", lambda row, _: row.temperature, 10),
    Column("mask", "Mask", "口罩", _code(Mask, "mask"), 12),
    Column("mode", "Asked for", "验证模式", _code(VerificationMode, "mode"), 18),
    Column("received_at", "Received", "接收时间", _time("received_at"), 19),
    Column("uuid", "UUID", "UUID", lambda row, _: row.uuid or "", 36),
    Column(
        "image",
        "Image",
        "图片",
        lambda row, _: link(f"/api/v1/records/{row.id}/image") if row.has_image else "",
        30,
    ),
    Column("backfilled", "Back-filled", "历史补取", lambda row, words: words.truth(row.backfilled), 10),
)

_STATES = {
    "open": ("open", "未解除"),
    "clear_failed": (AlarmStatus.CLEAR_FAILED.en, AlarmStatus.CLEAR_FAILED.zh),
    "cleared": (AlarmStatus.CLEARED.en, AlarmStatus.CLEARED.zh),
}


def _description(row: AlarmRow, _: Words) -> Cell:
    return next((step.description for step in reversed(row.history) if step.description), "")


def _reporter(row: AlarmRow, _: Words) -> Cell:
    return next((str(step.user_id) for step in row.history if step.user_id is not None), "")


ALARM: tuple[Column[AlarmRow], ...] = (
    Column("id", "ID", "编号", lambda row, _: row.id, 10),
    Column("time", "Occurred", "发生时间", _time("first_at"), 19),
    Column("last_at", "Last report", "最近上报时间", _time("last_at"), 19),
    Column("time_zone", "Time zone", "时区", lambda row, words: words.zone(row).key, 14),
    Column(
        "utc_offset", "UTC offset", "UTC 偏移", lambda row, words: offset(row.first_at, words.zone(row)), 11
    ),
    Column("terminal", "Terminal", "终端序列号", lambda row, _: row.serial or "", 16),
    Column("terminal_name", "Terminal name", "终端名称", lambda row, _: row.terminal_name or "", 16),
    Column("site", "Site", "站点", lambda row, _: row.site, 14),
    Column("code", "Alarm", "告警", _code(AlarmCode, "code"), 22),
    Column("state", "State", "状态", lambda row, words: _STATES[row.state][words.language == "zh"], 14),
    Column("steps", "Reports", "上报次数", lambda row, _: len(row.history), 8),
    Column("description", "Description", "描述", _description, 24),
    Column("user_id", "Person ID", "人员编号", _reporter),
    Column(
        "acknowledged",
        "Acknowledged",
        "已确认",
        lambda row, words: words.truth(row.acknowledged_at is not None),
    ),
    Column("acknowledged_at", "Acknowledged at", "确认时间", _time("acknowledged_at"), 19),
    Column("acknowledged_by", "Acknowledged by", "确认人", lambda row, _: row.acknowledged_by or "", 14),
    Column("note", "Note", "备注", lambda row, _: row.note or "", 24),
    Column("closed_at", "Closed at", "关闭时间", _time("closed_at"), 19),
    Column("closed_by", "Closed by", "关闭人", lambda row, _: row.closed_by or "", 14),
    Column("closed_note", "Closing note", "关闭备注", lambda row, _: row.closed_note or "", 24),
    Column("trace_id", "Trace ID", "跟踪号", lambda row, _: row.trace_id, 36),
)
