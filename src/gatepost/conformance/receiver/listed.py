"""Rules for receivers: acknowledged events are listed. They read the receiver's own API (``--api``).

A terminal sees only the acknowledgement. Only the API shows whether two passages became one, so without ``--api``
these rules are not tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gatepost.conformance.acknowledgement import acknowledged
from gatepost.conformance.raw_http import Answer
from gatepost.conformance.receiver.probe import Probe
from gatepost.conformance.rule import PAGE_PUSH, PAGE_TOP, Finding, NotTried, failed, passed, rule
from gatepost.conformance.sample_pushes import write

__all__ = ["listed_alarms", "listed_ids", "listed_once", "listed_values"]

_PLACEHOLDERS = ("00000000-0000-0000-0000-000000000000", "null", "0", "N/A", "undefined", "")
_COUNTER = ("1", "2", "3")


@rule(
    "listed-ids",
    en="Different passages are listed, whatever their ids",
    zh="不同的通行事件均列出，无论其标识是否重复",
    source=PAGE_PUSH,
    text="uuid String 记录事件唯一标识",
)
async def listed_ids(probe: Probe) -> Finding:
    """Push different passages whose ids repeat or are placeholders, and read them back (`--api`).

    They are of different people at different times: with placeholders for a `uuid`, with a counter that starts
    again, and two with the same UUID. Pass: each acknowledged one is listed once. Fail: one is not. It was
    acknowledged and is lost. Not tried: no `--api` was given, or nothing was acknowledged.
    """
    clone = probe.samples.uuid()
    names = [*_PLACEHOLDERS * 2, *_COUNTER, *_COUNTER, clone, clone]
    marks = []
    for number, name in enumerate(names):
        mark = probe.samples.mark()
        at = int(probe.samples.now()) - 60 * (number + 1)
        answer = await probe.push(
            probe.samples.record({"uuid": name, "timestamp": at}, user_id=mark, name=mark)
        )
        if acknowledged(answer):
            marks.append(mark)
    return _all_once(marks, Counter(await _people(probe)))


@rule(
    "listed-once",
    en="A record that was pushed twice is listed once",
    zh="重复推送的通行记录只列出一次",
    source=PAGE_TOP,
    text="没收到请求应答，设备将缓存该记录，待网络状态恢复后上传识别记录",
)
async def listed_once(probe: Probe) -> Finding:
    """Push one record twice, byte for byte, and read it back (`--api`).

    Once with a real `uuid`, once with a placeholder and once without any. Pass: each is listed once.
    Fail: one is listed twice, or not at all. Not tried: no `--api` was given, or nothing was acknowledged.
    """
    marks = []
    forms: tuple[dict[str, Any], ...] = ({}, {"uuid": _PLACEHOLDERS[0]}, {"uuid": ...})
    for changes in forms:
        mark = probe.samples.mark()
        body = write(probe.samples.record(changes, user_id=mark, name=mark))
        answers = [await probe.push(body), await probe.push(body)]
        if all(map(acknowledged, answers)):
            marks.append(mark)
    return _all_once(marks, Counter(await _people(probe)))


@rule(
    "listed-alarms",
    en="Different alarms are listed, whatever their trace_id",
    zh="不同的告警均列出，无论其流水号是否重复",
    source=PAGE_PUSH,
    text="trace_id string 必填 告警流水号，设备生成，告警的唯一标识号",
)
async def listed_alarms(probe: Probe) -> Finding:
    """Push alarms under one `trace_id` and read them back (`--api`).

    A door alarm that is cleared, then fire, then fire again an hour later. Pass: three alarms are listed, the last two
    open. Fail: one is missing. An acknowledged fire alarm is never shown. Not tried: no `--api` was given, or one
    of them was not acknowledged.
    """
    trace, now = probe.samples.mark(), int(probe.samples.now() * 1000)
    steps = ((10003, 1, 0), (10003, 3, 60_000), (20003, 1, 120_000), (20003, 1, 3_720_000))
    answers = []
    for code, status, after in steps:
        event = {"trace_id": trace, "code": code, "status": status, "event_time": now - 4_000_000 + after}
        answers.append(await probe.push(probe.samples.alarm(event)))
    _need(answers, len(steps))
    found = [item for item in await probe.listed("alarms") if item.get("trace_id") == trace]
    states = Counter((item.get("code"), item.get("state")) for item in found)
    if states != Counter({(10003, "cleared"): 1, (20003, "open"): 2}):
        said = ", ".join(f"{code} {state}" for code, state in states.elements()) or "none"
        return failed(
            f"listed: {said}; it should be 10003 cleared, 20003 open, 20003 open",
            f"列出的告警：{said}；应为 10003 cleared、20003 open、20003 open",
        )
    return passed("three alarms, the fire ones open", "列出三条告警，消防告警均未解除")


@rule(
    "listed-values",
    en="Values are what the terminal meant",
    zh="列出的值与终端的本意一致",
    source=PAGE_PUSH,
    text="记录事件字段属性",
)
async def listed_values(probe: Probe) -> Finding:
    """Push records with values in unusual forms, and read them back (`--api`).

    The person's number as a double and padded with NULs, `pass` in words, the time as a fraction, in microseconds and
    in ISO 8601. Pass: each acknowledged one is listed with that person, that refusal and that time. Fail: one is
    listed with other values: a refused person counts as present, or a backlog is on the wrong day. Not tried: no
    `--api` was given, or nothing was acknowledged.
    """
    at = int(probe.samples.now()) - 86_400 * 3
    iso = probe.samples.iso(at)
    cases: dict[str, tuple[dict[str, Any], str | None]] = {
        "user_id as a double": ({}, None),
        "NULs behind user_id": ({}, "\0\0\0"),
        'pass "False"': ({"pass": "False"}, None),
        "a fraction": ({"timestamp": float(at) + 0.25}, None),
        "microseconds": ({"timestamp": at * 1_000_000}, None),
        "ISO 8601": ({"timestamp": iso}, None),
    }
    marks: dict[str, tuple[str, str]] = {}
    for name, (changes, padding) in cases.items():
        number = probe.samples.rand.randrange(10**8, 10**9)
        value: Any = float(number) if name.startswith("user_id") else f"{number}{padding or ''}"
        fields: dict[str, Any] = {"timestamp": at, "pass": False, **changes}
        event = probe.samples.record(fields, user_id=value)
        if acknowledged(await probe.push(event)):
            marks[event["data"]["uuid"]] = (name, str(number))
    if not marks:
        raise NotTried("nothing was acknowledged", "没有得到确认的记录")
    wrong = []
    window = f"&since={probe.samples.iso(at - 60)}&until={probe.samples.iso(at + 60)}"
    items = {item.get("uuid"): item for item in await probe.listed("records", window)}
    for uuid, (name, person_id) in marks.items():
        item = items.get(uuid)
        if item is None:
            wrong.append(f"{name}: not listed")
            continue
        person = (item.get("person") or {}).get("user_id")
        seen = (person, item.get("passed"), str(item.get("recorded_at"))[:16])
        if seen != (person_id, False, probe.samples.iso(at)[:16]):
            wrong.append(f"{name}: {seen}")
    if wrong:
        return failed("; ".join(wrong), "；".join(wrong))
    return passed(f"{len(marks)} listed as they were meant", f"{len(marks)} 条记录的值均正确")


async def _people(probe: Probe) -> list[str]:
    items = await probe.listed("records", f"&since={probe.samples.iso(int(probe.samples.now()) - 7200)}")
    return [str((item.get("person") or {}).get("user_id")) for item in items]


def _need(answers: Sequence[Answer], count: int) -> None:
    if sum(map(acknowledged, answers)) < count:
        raise NotTried("one of them was not acknowledged", "其中有未得到确认的事件")


def _all_once(marks: Sequence[str], found: Counter[str]) -> Finding:
    if not marks:
        raise NotTried("nothing was acknowledged", "没有得到确认的记录")
    lost = sum(not found[mark] for mark in marks)
    twice = sum(found[mark] > 1 for mark in marks)
    if lost or twice:
        return failed(
            f"of {len(marks)} that were acknowledged, {lost} are not listed and {twice} are listed more than once",
            f"已确认的 {len(marks)} 条中，{lost} 条未列出，{twice} 条重复列出",
        )
    return passed(f"{len(marks)} listed, each once", f"{len(marks)} 条均列出一次")
