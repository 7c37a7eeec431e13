"""Rules for receivers: how firmware in the field breaks the protocol, one class of faults per rule.

Each rule pushes every form of one class of ``gatepost.dialect_faults``. Well-formed JSON with the page's types has to
be acknowledged. For the rest a refusal is a warning, because the page allows a receiver to refuse it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from msgspec import Struct

from gatepost.conformance.acknowledgement import JSON, acknowledged, why_not
from gatepost.conformance.raw_http import Answer, Header, NoResponse
from gatepost.conformance.receiver.probe import Probe
from gatepost.conformance.rule import PAGE_PUSH, Finding, Rule, failed, passed, rule, warned
from gatepost.conformance.sample_pushes import write
from gatepost.dialect_faults.classes import CLASSES, MOST
from gatepost.dialect_faults.faults import Body, FaultClass
from gatepost.dialect_faults.writing import joined

__all__ = ["field"]

_FIELD = "public bug reports of this field"
_CACHED = "没收到请求应答，设备将缓存该记录，待网络状态恢复后上传识别记录"


class _Said(Struct, frozen=True):
    """The texts of one class: titles, what is pushed, what a refusal costs, and the source."""

    en: str
    zh: str
    pushes: str
    costs: str
    source: str = _FIELD
    text: str = ""
    demanded: bool = False
    """The body is JSON with the page's types, so a refusal is a failure."""


_SAID: dict[str, _Said] = {
    "trailing-bytes": _Said(
        "NUL and blanks behind the JSON are no reason to refuse",
        "JSON 之后的 NUL 与空白不影响接收",
        "with the NUL of a C string, a whole buffer of them, CR LF and blanks behind the JSON",
        "firmware that counts the NUL of its string delivers nothing",
        text="the NUL of the C string counted in Content-Length",
    ),
    "byte-order-mark": _Said(
        "A byte order mark before the JSON is no reason to refuse",
        "JSON 之前的字节顺序标记（BOM）不影响接收",
        "with the byte order mark of UTF-8 in front",
        "firmware that writes one delivers nothing",
        source="RFC 8259, section 8.1",
        text="implementations that parse JSON texts MAY ignore the presence of a byte order mark",
    ),
    "control-characters": _Said(
        "Raw control characters in strings are no reason to refuse",
        "字符串中未转义的控制字符不影响接收",
        "with a raw TAB, LF, CR LF and U+0001 in a remark, a name or a description",
        "the passages of one person with such a remark never arrive, and hold up the queue",
        text="hand-built JSON: what an operator typed goes into it as it is",
    ),
    "unknown-escapes": _Said(
        "Escapes that JSON does not know are no reason to refuse",
        "JSON 不支持的转义不影响接收",
        r"with `C:\docs`, `\x41` and `O\'Brien` in a remark, a name or a description",
        "the passages of one person with such a remark never arrive, and hold up the queue",
        text="hand-built JSON: backslashes are not doubled",
    ),
    "no-numbers": _Said(
        "What printf writes for no number is no reason to refuse",
        "非数值字面量（NaN、Infinity 等）不影响接收",
        "with `NaN`, `nan`, `-nan`, `Infinity`, `inf`, `1.#QNAN`, `-1.#IND` and their like as `recognizeScore`",
        "a passage without a comparison, such as by card, never arrives",
        text="one bare NaN and the whole message is refused",
    ),
    "cut-text": _Said(
        "Text that was cut inside a character is no reason to refuse",
        "在字符中间截断的文本不影响接收",
        "with a name of 128 bytes and a remark that end inside a character",
        "the passages of people with a long name never arrive",
        text="name, ic_number, id_number, job_number 128 bytes, remark 256 bytes",
    ),
    "other-charset": _Said(
        "Text in another charset is no reason to refuse",
        "其他字符集的文本不影响接收",
        "in GBK and in Latin-1, with the charset in the Content-Type and without",
        "everybody whose name is not ASCII is lost",
        text="names in GBK; Content-Type: application/json; charset=gbk",
    ),
    "other-content-type": _Said(
        "JSON under another Content-Type is no reason to refuse",
        "以其他 Content-Type 发送的 JSON 不影响接收",
        "as text/plain, text/json, application/x-www-form-urlencoded, application/octet-stream, misspelt, and "
        "without any Content-Type",
        "firmware with another HTTP library delivers nothing",
        text="JSON sent with the HTTP library's default Content-Type",
    ),
    "several-events": _Said(
        "Several events in one body are no reason to refuse",
        "一个请求体包含多条事件不影响接收",
        "as a list of one and of three, and three in lines (NDJSON)",
        "firmware that sends its backlog in batches never gets it across",
        text="a backlog as a JSON array, or one event a line",
    ),
    "doubles": _Said(
        "Whole numbers as doubles are no reason to refuse",
        "以浮点数书写的整数不影响接收",
        'through a JSON library without integers: `206.0`, `2.06E2`, `"type": 0.0`',
        "firmware with such a library delivers nothing",
        text="gson: integers become doubles",
    ),
    "times": _Said(
        "Times in other forms are no reason to refuse",
        "其他写法的时间不影响接收",
        "with the time as a fraction, as text, in microseconds and nanoseconds, in ISO 8601 with and without a zone, "
        "and 0",
        "a terminal whose clock library writes otherwise delivers nothing",
        text="1764300000.5, 16 and 19 digits, 2025-11-28T11:20:00+08:00",
    ),
    "booleans": _Said(
        "Booleans in words are no reason to refuse",
        "以文字书写的布尔值不影响接收",
        'with `pass` as "True", "TRUE", "yes", 1.0 and 1, and the opposites',
        "firmware that writes so delivers nothing",
        text='"pass": "False", "TRUE", 1.0',
    ),
    "padding": _Said(
        "Padded fields are no reason to refuse",
        "带填充字符的字段不影响接收",
        "with NULs (as `\\\\u0000`) or blanks around serial, numbers and name, as from a buffer of fixed size",
        "firmware with such buffers delivers nothing",
        text='ljust(24, b"\\x00")',
        demanded=True,
    ),
    "base64": _Said(
        "Other spellings of base64 are no reason to refuse",
        "其他写法的 Base64 不影响接收",
        "with blanks for `+`, url-safe, percent-encoded, with a NUL behind and in lines",
        "every passage with an image is lost",
        text="the + of base64 became a blank; url-safe alphabet; %2B",
    ),
    "key-case": _Said(
        "Keys in another case are no reason to refuse",
        "键名大小写不同不影响接收",
        "with every key begun with a capital, in capitals, and without any",
        "firmware whose JSON library renames the fields delivers nothing",
        text="DeviceSN, DEVICESN, devicesn",
    ),
    "picture-format": _Said(
        "Images in other formats are no reason to refuse",
        "其他格式的图片不影响接收",
        "with a PNG, a BMP and a WebP where the page has a JPEG",
        "every passage with an image is lost",
        text="PNG, WebP, BMP in rgb_image",
    ),
    "placeholder-ids": _Said(
        "Placeholders for an id are no reason to refuse",
        "占位的事件标识不影响接收",
        "with the nil UUID, the max UUID, the empty string, `null`, `0`, `N/A`, `undefined` and `none` as `uuid`. "
        "Whether each is listed is for `listed-ids`",
        "firmware without a source of UUIDs delivers nothing",
        source=PAGE_PUSH,
        text="uuid String 记录事件唯一标识",
        demanded=True,
    ),
    "repeated-ids": _Said(
        "An id that repeats is no reason to refuse",
        "重复的事件标识不影响接收",
        "that bear one `uuid` although they are different passages: a counter that begins again, and a clone. Whether "
        "each is listed is for `listed-ids`",
        "a terminal whose counter restarts delivers nothing any more",
        source=PAGE_PUSH,
        text="uuid String 记录事件唯一标识",
        demanded=True,
    ),
    "reused-trace-ids": _Said(
        "A trace_id that repeats is no reason to refuse",
        "重复的告警流水号不影响接收",
        "that are different alarms under one `trace_id`, one of them fire. Whether each is listed is for "
        "`listed-alarms`",
        "a terminal whose counter restarts raises no alarm any more",
        source=PAGE_PUSH,
        text="trace_id string 必填 告警流水号，设备生成，告警的唯一标识号",
        demanded=True,
    ),
}

_PUSHES = 2
"""Pushes of each form of a class of ids. The second one repeats the id."""


def _of(found: FaultClass) -> Rule[Probe]:
    said = _SAID[found.name]

    async def check(probe: Probe) -> Finding:
        cases = [(name, await _push(probe, body)) for name, body in _bodies(probe, found)]
        return _graded(cases, said)

    consequence = f"{'Fail' if said.demanded else 'Warning'}: one is refused; {said.costs}."
    unheard = "" if said.demanded else " Fail: one gets no response."
    # A test reads the docstring of every rule, so these are written from the table.
    check.__doc__ = f"Pushes events {said.pushes}. Pass: all are acknowledged. {consequence}{unheard}"
    made: Callable[[Callable[[Probe], Awaitable[Finding]]], Rule[Probe]] = rule(
        found.name, en=said.en, zh=said.zh, source=said.source, text=said.text or _CACHED
    )
    return made(check)


def _bodies(probe: Probe, found: FaultClass) -> list[tuple[str, Body]]:
    """Return every form of a class as a record and as an alarm, where it applies to them."""
    many = _PUSHES if found.name.endswith("-ids") else 1
    picture = {"rgb_image": probe.samples.picture()}
    bodies = []
    for variant in found.variants:
        for _ in range(many):
            for kind, event in (
                ("record", probe.samples.record(picture, user_id="206")),
                ("alarm", probe.samples.alarm({"code": 20003})),
            ):
                written = variant.write(write(event), probe.samples.rand)
                if written is not None:
                    bodies.append((f"{kind}, {variant.name}", written))
    if found.name == "several-events":
        three = [write(probe.samples.record(user_id=f"{number}")) for number in range(MOST)]
        more = [write(probe.samples.alarm()), write(probe.samples.record())]
        bodies += [("a list of three", joined(three)), ("lines", joined(more, lines=True))]
    if found.name == "doubles":
        event = probe.samples.alarm({"trace_id": float(probe.samples.rand.randrange(10**9, 10**10))})
        bodies.append(("alarm, trace_id", Body(json.dumps(event).encode())))
    return bodies


async def _push(probe: Probe, body: Body) -> Answer:
    kind = body.content_type
    headers: tuple[Header, ...] = (JSON,) if kind is None else (("Content-Type", kind),) if kind else ()
    return await probe.push(body.content, headers=headers)


def _graded(cases: list[tuple[str, Answer]], said: _Said) -> Finding:
    broken = [(name, answer, why_not(answer)) for name, answer in cases if not acknowledged(answer)]
    if not broken:
        return passed(f"{len(cases)} of {len(cases)} acknowledged", f"{len(cases)} 项全部得到确认")
    unheard = any(isinstance(answer, NoResponse) for _, answer, _ in broken)
    few = broken[:3]
    more = len(broken) - len(few)
    en = "; ".join(f"{name}: {why.en}" for name, _, why in few) + (f"; and {more} more" if more else "")
    zh = "；".join(f"{name}：{why.zh}" for name, _, why in few) + (f"；另有 {more} 项" if more else "")
    say = failed if said.demanded or unheard else warned
    return say(
        f"{len(broken)} of {len(cases)} not acknowledged: {en}",
        f"{len(cases)} 项中 {len(broken)} 项未得到确认：{zh}",
    )


field = tuple(map(_of, CLASSES))
