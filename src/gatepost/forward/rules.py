"""Decide which events people are told of, and in which words. Pure: no I/O, no clock, no randomness.

An event is told if a rule chooses it, outside the quiet hours, and not again within ``repeat_s`` where the same was
told before: the same rule, terminal, and code or person. What was left out is counted, and the next message says so.

Texts are in the language of the destination, with the time at the terminal, and with no more of a person than the rule
says. Flow: :meth:`Rules.decide` → a message → :meth:`Rules.note` once it is sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from gatepost.forward.destination import NotifyOptions, Rule
from gatepost.store.interface import AlarmStepRow, RecordRow
from gatepost.wire import AbnormalType, AlarmCode, AlarmStatus, RecognitionType, label

__all__ = ["MAX_TEXT", "Decision", "Rules"]

_IN_CHINESE = {
    int(AlarmStatus.OCCURRED): "发生",
    int(AlarmStatus.CLEAR_FAILED): "解除失败",
    int(AlarmStatus.CLEARED): "已解除",
}

Row = RecordRow | AlarmStepRow
Key = tuple[int, int, str]
"""Which rule, terminal, and code or person."""

MAX_TEXT = 1_800
"""Bytes of a message: the service with the least room takes some 2,000."""

MAX_REMEMBERED = 10_000

_STATES = {
    int(AlarmStatus.OCCURRED): "open",
    int(AlarmStatus.CLEAR_FAILED): "clear_failed",
    int(AlarmStatus.CLEARED): "cleared",
}


class Decision(Struct, frozen=True):
    """Hold what becomes of some events."""

    title: str
    lines: list[str]
    """One for each event that is told."""
    left_out: list[str]
    """Of each event why it is not told, empty where it is."""
    told: dict[Key, int]
    """When each was told, in milliseconds."""
    repeated: dict[Key, int]
    """How often each was left out because it was told before."""

    @property
    def text(self) -> str:
        """Return the message, cut to :data:`MAX_TEXT` bytes by whole lines."""
        kept, size = [], len(self.title.encode())
        for line in self.lines:
            size += len(line.encode()) + 1
            if size > MAX_TEXT - 40:
                break
            kept.append(line)
        more = len(self.lines) - len(kept)
        return "\n".join([self.title, *kept, *([f"… +{more}"] if more else [])])


class Rules:
    """The rules of one destination, and what was told of late."""

    def __init__(self, options: NotifyOptions) -> None:
        self._options = options
        self._told: OrderedDict[Key, int] = OrderedDict()
        self._repeated: dict[Key, int] = {}

    def decide(self, rows: Sequence[Row], now_ms: int) -> Decision:
        """Return which of some events are told now, and how. Nothing is noted by that."""
        lines: list[str] = []
        left_out: list[str] = []
        told: dict[Key, int] = {}
        repeated: dict[Key, int] = {}
        for row in rows:
            at = next((at for at, rule in enumerate(self._options.rules) if _fits(rule, row)), None)
            if at is None:
                left_out.append("no rule chooses it")
                continue
            if self._is_quiet(row):
                left_out.append("quiet hours")
                continue
            key = (at, row.terminal_id, _what(row))
            last = told.get(key, self._told.get(key))
            if last is not None and now_ms - last < self._options.repeat_s * 1000:
                repeated[key] = repeated.get(key, 0) + 1
                left_out.append(f"told less than {self._options.repeat_s:g} s ago")
                continue
            left_out.append("")
            told[key] = now_ms
            lines.append(self._line(row, self._options.rules[at]) + self._again(self._repeated.get(key, 0)))
        title = f"gatepost: {len(lines)} {'events' if len(lines) != 1 else 'event'}"
        if self._options.language == "zh":
            title = f"gatepost：{len(lines)} 个事件"
        return Decision(title, lines, left_out, told, repeated)

    def note(self, decision: Decision, *, is_sent: bool) -> None:
        """Note what became of the message. What was left out is settled also where it was not sent."""
        for key, at_ms in decision.told.items() if is_sent else ():
            self._told[key] = at_ms
            self._told.move_to_end(key)
            self._repeated.pop(key, None)
        for key, count in decision.repeated.items():
            self._repeated[key] = self._repeated.get(key, 0) + count
        while len(self._told) > MAX_REMEMBERED:
            key, _ = self._told.popitem(last=False)
            self._repeated.pop(key, None)

    def _is_quiet(self, row: Row) -> bool:
        quiet = self._options.quiet
        if quiet is None or (isinstance(row, AlarmStepRow) and not quiet.alarms):
            return False
        now = f"{_at(row).astimezone(ZoneInfo(row.timezone)):%H:%M}"
        if quiet.begin <= quiet.end:
            return quiet.begin <= now < quiet.end
        return now >= quiet.begin or now < quiet.end

    def _again(self, count: int) -> str:
        if not count:
            return ""
        return f"（此前另有 {count} 次）" if self._options.language == "zh" else f" (and {count} more before)"

    def _line(self, row: Row, rule: Rule) -> str:
        language = self._options.language
        at = _at(row).astimezone(ZoneInfo(row.timezone))
        where = plain(row.terminal_name or row.serial or f"#{row.terminal_id}")
        what = _alarm(row, language) if isinstance(row, AlarmStepRow) else _passage(row, rule, language)
        if language == "zh":
            return f"{at:%Y-%m-%d %H:%M:%S} {where}（{plain(row.site)}）：{what}"
        return f"{at:%Y-%m-%d %H:%M:%S} {where} ({plain(row.site)}): {what}"


def plain(text: str) -> str:
    """Return a text on one line, of at most 100 characters, in which nothing can hide."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:100].strip()


def _at(row: Row) -> datetime:
    return row.at if isinstance(row, RecordRow) else row.step.listed_at


def _fits(rule: Rule, row: Row) -> bool:
    if rule.terminals and not {row.serial, row.terminal_name, str(row.terminal_id)} & set(rule.terminals):
        return False
    if rule.sites and row.site not in rule.sites:
        return False
    if isinstance(row, AlarmStepRow):
        state = _STATES.get(row.step.status or 0)
        return (
            rule.event == "alarm"
            and (not rule.codes or row.step.code in rule.codes)
            and (not rule.states or state in rule.states)
        )
    user_id = None if row.person is None else row.person.user_id
    return (
        rule.event == "passage"
        and (not rule.codes or row.abnormal_type in rule.codes)
        and (not rule.recognition_types or row.recognition_type in rule.recognition_types)
        and (rule.passed is None or row.passed == rule.passed)
        and (not rule.users or user_id in rule.users)
    )


def _what(row: Row) -> str:
    if isinstance(row, AlarmStepRow):
        return f"alarm {row.step.code} {row.step.status}"
    person = "" if row.person is None else row.person.user_id
    return f"passage {row.recognition_type} {row.abnormal_type} {row.passed} {person}"


def _alarm(row: AlarmStepRow, language: str) -> str:
    code, status = row.step.code, row.step.status
    if language == "zh":
        return f"{label(AlarmCode, code, 'zh') or '未知告警'}，{_IN_CHINESE.get(status or 0, '状态未知')}"
    return f"alarm: {label(AlarmCode, code) or 'unknown'}, {label(AlarmStatus, status)}"


def _passage(row: RecordRow, rule: Rule, language: str) -> str:
    is_chinese = language == "zh"
    kind = label(RecognitionType, row.recognition_type, "zh" if is_chinese else "en")
    if row.passed is None:
        how = ""
    elif is_chinese:
        how = "已通过" if row.passed else "未通过"
    else:
        how = "passed" if row.passed else "refused"
    why = label(AbnormalType, row.abnormal_type, "zh" if is_chinese else "en") if row.abnormal_type else ""
    parts = [kind, _person(row, rule), how, why]
    return ("，" if is_chinese else ", ").join(filter(None, parts))


def _person(row: RecordRow, rule: Rule) -> str:
    person = row.person
    if person is None or rule.person == "none":
        return ""
    if rule.person == "name":
        return plain(person.name)
    return plain(" ".join(filter(None, (person.name, person.job_number, person.user_id))))
