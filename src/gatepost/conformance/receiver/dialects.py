"""Rules for receivers: bodies as every version of the firmware writes them."""

from collections.abc import Awaitable, Callable

from gatepost.conformance.acknowledgement import JSON, all_taken
from gatepost.conformance.receiver.probe import Probe
from gatepost.conformance.rule import GUIDE, PAGE_PUSH, Finding, Rule, Words, rule
from gatepost.conformance.sample_pushes import DIALECTS, VARIANTS, write

__all__ = ["dialects", "names_utf8", "trailing_comma", "variants"]

_SAYS = {
    "1.3.0": ("entry_mode, abnormal_type and pin; the blacklist is user type 5", "today's page"),
    "1.2.1": (
        "identifiers are strings; uuid, id_number and groups; the headers sn, model, timestamp, account",
        "",
    ),
    "1.2.0": ("user_id is an integer; ic_number, job_number, remark and a visitor's times; no uuid", ""),
    "1.0": ("deviceSN, recognitionType and bodyTemperature; no uuid, no numbers", ""),
    "before 1.0": ("the serial is called TrackID, the scores livenessScore and recognizeStatus", ""),
}


def _dialect(version: str) -> Rule[Probe]:
    async def check(probe: Probe) -> Finding:
        event, headers = probe.samples.dialect(version)
        answer = await probe.push(event, headers=(JSON, *headers.items()))
        return all_taken(
            [("record", answer)],
            what=Words(f"records as API {version} sends them", f"API {version} 格式的记录"),
        )

    # A test reads the docstring of every rule, so these five are written from the table.
    check.__doc__ = (
        f"Pushes a record as firmware of API {version} sends it: {_SAYS[version][0]}. "
        "Pass: it is acknowledged. Fail: it is not, and that part of the fleet would deliver nothing."
    )
    made: Callable[[Callable[[Probe], Awaitable[Finding]]], Rule[Probe]] = rule(
        f"dialect-{version.replace(' ', '-')}",
        en=f"Records of API {version} are acknowledged",
        zh=f"API {version.replace('before ', '') + (' 之前' if 'before' in version else '')} 的通行记录得到确认",
        source=GUIDE,
        text=_SAYS[version][0],
    )
    return made(check)


dialects = tuple(_dialect(version) for version in DIALECTS)


@rule(
    "variants",
    en="What published examples show is acknowledged",
    zh="公开示例中的写法均得到确认",
    source=GUIDE,
    text="published examples: a stranger's null name, recognitionType 0, groups beside user, mode 10, …",
)
async def variants(probe: Probe) -> Finding:
    """Push records as published examples show them, against the tables of the page.

    A stranger whose user has `name` and `type` null, `recognitionType` 0, `groups` next to `user`, `mode` 10,
    `bodyTemperature` as an integer, the empty string for no image, a visitor's times, an `id_number` in base64.
    Pass: all are acknowledged. Fail: one is not.
    """
    cases = []
    for name, change in VARIANTS:
        event = probe.samples.record()
        event["data"].update(change)
        cases.append((name, await probe.push(event)))
    return all_taken(cases, what=Words("records as in published examples", "公开示例写法的记录"))


@rule(
    "trailing-comma",
    en="The trailing comma of the page's own example is understood",
    zh="能解析文档示例中多余的逗号",
    source=PAGE_PUSH + " › 返回示例",
    text='"alarm_photo":" ", }',
)
async def trailing_comma(probe: Probe) -> Finding:
    """Push an alarm written as in the page's example, with a comma before the closing brace.

    That is not JSON (RFC 8259), but the page shows it. Pass: it is acknowledged. Fail: it is not. Alarms of firmware
    that writes it this way are lost.
    """
    body = write(probe.samples.alarm()).removesuffix(b"}}") + b",\n    }\n}"
    return all_taken(
        [("alarm", await probe.push(body))], what=Words("alarms with a trailing comma", "带多余逗号的告警")
    )


@rule(
    "utf-8",
    en="Names in any script are taken",
    zh="支持任意文字的姓名（UTF-8）",
    source="RFC 8259, section 8.1",
    text="JSON text exchanged between systems MUST be encoded using UTF-8",
)
async def names_utf8(probe: Probe) -> Finding:
    """Push records of people with unusual names.

    Chinese (with a rare character beyond the basic plane), Arabic, with quotes and combining accents, escaped as
    `\\\\uXXXX`, 128 bytes long, and empty; once with `charset=utf-8` in the Content-Type. Pass: all are acknowledged.
    Fail: one is not.
    """
    names = ("欧阳𠮷子", "محمد", 'O\'Brien "Zoë" Núñez\u0301', "名" * 42, "")
    cases = [(name[:8] or "empty", await probe.push(probe.samples.record(name=name))) for name in names]
    escaped = write(probe.samples.record(name="王五")).replace("王五".encode(), b"\\u738b\\u4e94")
    cases.append(("escaped", await probe.push(escaped)))
    charset = ("Content-Type", "application/json; charset=utf-8")
    cases.append(("charset=utf-8", await probe.push(probe.samples.record(), headers=(charset,))))
    return all_taken(cases, what=Words("names", "姓名"))
