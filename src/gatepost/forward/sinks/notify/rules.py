"""Decide which events people are notified of, and with which text. Pure: no I/O, no clock, no randomness.

An event is reported if a rule chooses it, outside the quiet hours, and not again within ``repeat_s`` after the same
rule, terminal, and code or person. Events that are left out are counted, and the next message has the count. An alarm
that was cleared is reported again at its next occurrence.

Texts are in the language of the destination, with the time at the terminal, and with no more of a person than the rule
allows. Flow: :meth:`Rules.decide` → a message → :meth:`Rules.note` once it is sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.forward.options.notify import NotifyOptions, Rule
from gatepost.store.fold import alike
from gatepost.store.interface import AlarmStepRow, Forwarded, Notice, NoticeKind, RecordRow
from gatepost.wire import AbnormalType, AlarmCode, AlarmStatus, RecognitionType, label

__all__ = ["Decision", "Rules", "check_sites"]

_IN_CHINESE = {
    int(AlarmStatus.OCCURRED): "发生",
    int(AlarmStatus.CLEAR_FAILED): "解除失败",
    int(AlarmStatus.CLEARED): "已解除",
}

Key = tuple[int, int, str]
"""Rule, terminal, and code or person."""

MAX_REMEMBERED = 10_000

_STATES = {
    int(AlarmStatus.OCCURRED): "open",
    int(AlarmStatus.CLEAR_FAILED): "clear_failed",
    int(AlarmStatus.CLEARED): "cleared",
}


class Fate(Struct, frozen=True):
    """The decision about one event."""

    left_out: str = ""
    """Why it is not reported; empty if it is."""
    key: Key | None = None
    """The key of a report, present or earlier."""
    ended: tuple[Key, ...] = ()
    """Keys that are reported again at their next event, because this event contradicts them."""


class Decision(Struct, frozen=True):
    """The decisions about some events."""

    title: str
    lines: list[str]
    """One line per reported event."""
    fates: list[Fate]
    """One per event."""
    at_ms: int

    @property
    def left_out(self) -> list[str]:
        """Return per event why it is not reported, empty if it is."""
        return [fate.left_out for fate in self.fates]


class _Memory:
    """Recent reports, and how often each was left out since."""

    def __init__(self) -> None:
        self.told: OrderedDict[Key, int] = OrderedDict()
        self.repeated: dict[Key, int] = {}

    def copy(self) -> _Memory:
        """Return a copy."""
        made = _Memory()
        made.told, made.repeated = self.told.copy(), self.repeated.copy()
        return made

    def take(self, fate: Fate, at_ms: int, *, is_sent: bool) -> None:
        """Note the decision about an event. Events that were left out are settled also if the message was not sent."""
        for key in fate.ended:
            self.told.pop(key, None)
        if fate.key is None:
            return
        if fate.left_out:
            self.repeated[fate.key] = self.repeated.get(fate.key, 0) + 1
        elif is_sent:
            self.told[fate.key] = at_ms
            self.told.move_to_end(fate.key)
            self.repeated.pop(fate.key, None)
        while len(self.told) > MAX_REMEMBERED:
            key, _ = self.told.popitem(last=False)
            self.repeated.pop(key, None)


class Rules:
    """The rules of one destination, and its recent reports."""

    def __init__(self, options: NotifyOptions) -> None:
        self._options = options
        self._memory = _Memory()

    def decide(self, rows: Sequence[Forwarded], now_ms: int, marks: Sequence[str] = ()) -> Decision:
        """Return which events are reported now, and how. Notes nothing.

        ``marks``: per event, why its person is marked, mostly empty; omitted: no person is marked.
        """
        memory = self._memory.copy()
        lines: list[str] = []
        fates: list[Fate] = []
        for row, mark in zip(rows, marks or [""] * len(rows), strict=True):
            at = next((at for at, rule in enumerate(self._options.rules) if _fits(rule, row, mark)), None)
            fate = self._fate(row, at, memory, now_ms)
            if at is not None and not fate.left_out:
                again = 0 if fate.key is None else memory.repeated.get(fate.key, 0)
                lines.append(self._line(row, self._options.rules[at], mark) + self._again(again))
            memory.take(fate, now_ms, is_sent=True)
            fates.append(fate)
        title = f"gatepost: {len(lines)} {'events' if len(lines) != 1 else 'event'}"
        if self._options.language == "zh":
            title = f"gatepost：{len(lines)} 个事件"
        return Decision(title, lines, fates, now_ms)

    def note(self, decision: Decision, is_sent: Sequence[bool]) -> None:
        """Note the result of a message. ``is_sent``: per line."""
        sent = iter(is_sent)
        for fate in decision.fates:
            self._memory.take(fate, decision.at_ms, is_sent=not fate.left_out and next(sent))

    def _fate(self, row: Forwarded, rule: int | None, memory: _Memory, now_ms: int) -> Fate:
        ended = self._ended(row)
        if rule is None:
            return Fate("no rule chooses it", ended=ended)
        if self._is_quiet(row):
            return Fate(f"rule {rule + 1}: quiet hours", ended=ended)
        key = (rule, row.terminal_id or 0, _what(row))
        last = memory.told.get(key)
        if last is not None and now_ms - last < self._options.repeat_s * 1000:
            return Fate(f"rule {rule + 1}: told shortly before", key, ended)
        return Fate("", key, ended)

    def _ended(self, row: Forwarded) -> tuple[Key, ...]:
        """Return the keys that a step of an alarm contradicts: a cleared alarm may occur again, and the reverse."""
        if not isinstance(row, AlarmStepRow):
            return ()
        over = (AlarmStatus.OCCURRED, AlarmStatus.CLEAR_FAILED)
        others = over if row.step.status == AlarmStatus.CLEARED else (AlarmStatus.CLEARED,)
        where, rules = row.terminal_id or 0, range(len(self._options.rules))
        return tuple((at, where, _alarm_key(row.step.code, int(one))) for at in rules for one in others)

    def _is_quiet(self, row: Forwarded) -> bool:
        quiet = self._options.quiet
        if quiet is None or (not isinstance(row, RecordRow) and not quiet.alarms):
            return False
        now = f"{_at(row):%H:%M}"
        if quiet.begin <= quiet.end:
            return quiet.begin <= now < quiet.end
        return now >= quiet.begin or now < quiet.end

    def _again(self, count: int) -> str:
        if not count:
            return ""
        return f"（此前另有 {count} 次）" if self._options.language == "zh" else f" (and {count} more before)"

    def _line(self, row: Forwarded, rule: Rule, mark: str) -> str:
        language = self._options.language
        at = _at(row)
        if isinstance(row, Notice):
            what = _notice(row, language)
            if row.terminal_id is None:
                return f"{at:%Y-%m-%d %H:%M:%S} {what}"
        else:
            what = (
                _alarm(row, language)
                if isinstance(row, AlarmStepRow)
                else _passage(row, rule, mark, language)
            )
        where = plain(row.terminal_name or row.serial or f"#{row.terminal_id}")
        if language == "zh":
            return f"{at:%Y-%m-%d %H:%M:%S} {where}（{plain(row.site or '')}）：{what}"
        return f"{at:%Y-%m-%d %H:%M:%S} {where} ({plain(row.site or '')}): {what}"


def check_sites(options: NotifyOptions, known: Collection[str]) -> None:
    """Raise :class:`~gatepost.errors.SettingsError` for a rule with an unknown site."""
    for at, rule in enumerate(options.rules):
        for name in rule.sites:
            if not _is_among((name,), *known):
                raise SettingsError(f"notify.rules[{at}].sites", f"cannot be {name}: there is no such site")


def plain(text: str) -> str:
    """Return a text on one line, of at most 100 characters, in which nothing can hide."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:100].strip()


def _at(row: Forwarded) -> datetime:
    """Return the time of an event at its terminal; of a notice without a terminal, in UTC."""
    at = row.step.listed_at if isinstance(row, AlarmStepRow) else row.at
    return at.astimezone(ZoneInfo(row.timezone or "UTC"))


def _fits(rule: Rule, row: Forwarded, mark: str) -> bool:
    if rule.terminals and not _is_among(rule.terminals, row.serial, row.terminal_name, row.terminal_id):
        return False
    if rule.sites and not _is_among(rule.sites, row.site):
        return False
    if isinstance(row, AlarmStepRow):
        state = _STATES.get(row.step.status or 0)
        return (
            rule.event == "alarm"
            and (not rule.codes or row.step.code in rule.codes)
            and (not rule.states or state in rule.states)
        )
    if isinstance(row, Notice):
        return rule.event == "notice" and (not rule.kinds or row.kind in rule.kinds)
    user_id = None if row.person is None else row.person.user_id
    return (
        rule.event == "passage"
        and (not rule.codes or row.abnormal_type in rule.codes)
        and (not rule.recognition_types or row.recognition_type in rule.recognition_types)
        and (rule.passed is None or row.passed == rule.passed)
        and (not rule.users or user_id in rule.users)
        and (bool(mark) or not rule.marked)
    )


def _is_among(named: tuple[str, ...], *names: str | int | None) -> bool:
    """Return whether one of these names is listed. Case, width and blanks are ignored."""
    return any(alike(str(name)) in _alike(named) for name in names if name is not None)


@lru_cache(maxsize=256)
def _alike(named: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(alike, named))


def _what(row: Forwarded) -> str:
    if isinstance(row, AlarmStepRow):
        return _alarm_key(row.step.code, row.step.status)
    if isinstance(row, Notice):
        return f"notice {row.kind} {row.subject}"
    person = "" if row.person is None else row.person.user_id
    return f"passage {row.recognition_type} {row.abnormal_type} {row.passed} {person}"


def _alarm_key(code: int | None, status: int | None) -> str:
    return f"alarm {code} {status}"


def _alarm(row: AlarmStepRow, language: str) -> str:
    code, status = row.step.code, row.step.status
    if language == "zh":
        return f"{label(AlarmCode, code, 'zh') or '未知告警'}，{_IN_CHINESE.get(status or 0, '状态未知')}"
    return f"alarm: {label(AlarmCode, code) or 'unknown'}, {label(AlarmStatus, status)}"


def _notice(row: Notice, language: str) -> str:
    """Return the text of a notice, with its numbers."""
    told = {name: plain(str(value)) for name, value in row.detail.items()}
    for name in ("silent_s", "error_s", "oldest_s"):
        if name in row.detail:
            told[name] = _span(abs(float(row.detail[name])), language)
    told.setdefault("name", plain(row.subject))
    told.setdefault("host", plain(row.subject))
    english, chinese = _NOTICES[row.kind]
    return (chinese if language == "zh" else english).format_map(_Told(told))


class _Told(dict[str, str]):
    """Stand in a text for a number that a notice does not have."""

    def __missing__(self, name: str) -> str:
        return "?"


def _span(seconds: float, language: str) -> str:
    """Return a span of time in its largest unit."""
    for length, english, chinese in ((86400, "d", "天"), (3600, "h", "小时"), (60, "min", "分钟")):
        if seconds >= length:
            return f"{seconds / length:.0f} {chinese if language == 'zh' else english}"
    return f"{seconds:.0f} {'秒' if language == 'zh' else 's'}"


_NOTICES: Mapping[NoticeKind, tuple[str, str]] = {
    "terminal.new": ("a new terminal waits for approval", "新终端等待批准"),
    "terminal.offline": ("nothing heard for {silent_s}", "已 {silent_s}没有消息"),
    "terminal.back": ("it is heard of again", "已恢复"),
    "terminal.clock_wrong": ("its clock is off by {error_s}", "时钟偏差 {error_s}"),
    "terminal.clock_right": ("its clock is right again", "时钟已恢复正确"),
    "terminal.contested": (
        "another tool sets where it pushes to: {to}",
        "推送地址被其他工具改为 {to}",
    ),
    "terminal.ours": ("it pushes here again", "已恢复向本接收端推送"),
    "terminal.stopped": ("its settings are looked at no more: {why}", "已停止检查其设置：{why}"),
    "terminal.managed": ("its settings are looked at again", "已恢复检查其设置"),
    "terminal.backfilled": ("records were fetched from its history", "已从终端历史中补取记录"),
    "journal.behind": (
        "{host}: {events} events are not listed yet, the oldest for {oldest_s}",
        "{host}：{events} 条事件尚未列出，最早的已等待 {oldest_s}",
    ),
    "journal.caught_up": ("{host}: everything is listed again", "{host}：事件已全部列出"),
    "disk.low": ("{host}: the disk is nearly full, pushes are refused", "{host}：磁盘空间不足，推送被拒绝"),
    "disk.enough": ("{host}: the disk has room again", "{host}：磁盘空间已恢复"),
    "login.locked": (
        "too many wrong passwords for the account {name}",
        "账号 {name} 的密码错误次数过多，暂停登录",
    ),
    "login.unlocked": ("the account {name} may log in again", "账号 {name} 可以重新登录"),
    "destination.closed": (
        "the destination {name} wants no more events; resume it when it does",
        "转发目标 {name} 已拒绝接收，恢复后请继续转发",
    ),
    "destination.resumed": ("the destination {name} is sent events again", "转发目标 {name} 已恢复"),
    "destination.broken": (
        "nothing can be sent to the destination {name}: its page in the console says why",
        "无法向转发目标 {name} 发送，原因见控制台中该目标的页面",
    ),
    "destination.repaired": (
        "the destination {name} can be sent events again",
        "转发目标 {name} 又可以发送了",
    ),
}


def _passage(row: RecordRow, rule: Rule, mark: str, language: str) -> str:
    is_chinese = language == "zh"
    kind = label(RecognitionType, row.recognition_type, "zh" if is_chinese else "en")
    if row.passed is None:
        how = ""
    elif is_chinese:
        how = "已通过" if row.passed else "未通过"
    else:
        how = "passed" if row.passed else "refused"
    why = label(AbnormalType, row.abnormal_type, "zh" if is_chinese else "en") if row.abnormal_type else ""
    parts = [kind, _person(row, rule), how, why, _mark(rule, mark, is_chinese=is_chinese)]
    return ("，" if is_chinese else ", ").join(filter(None, parts))


def _mark(rule: Rule, mark: str, *, is_chinese: bool) -> str:
    """Return that a person is marked, and why if the text may name the person."""
    if not mark:
        return ""
    if rule.person == "none":
        return "重点关注人员" if is_chinese else "a marked person"
    return f"重点关注：{plain(mark)}" if is_chinese else f"marked: {plain(mark)}"


def _person(row: RecordRow, rule: Rule) -> str:
    person = row.person
    if person is None or rule.person == "none":
        return ""
    if rule.person == "name":
        return plain(person.name)
    return plain(" ".join(filter(None, (person.name, person.job_number, person.user_id))))
