"""Rules for receivers: events that are unusual, repeated or broken, and the reply to each."""

from gatepost.conformance.acknowledgement import JSON, acknowledged, all_taken, reply_of, why_not
from gatepost.conformance.raw_http import NoResponse
from gatepost.conformance.receiver.probe import Probe
from gatepost.conformance.rule import PAGE_PUSH, PAGE_TOP, Finding, Words, failed, passed, rule, warned
from gatepost.conformance.sample_pushes import ABSENT_ALARM, ABSENT_RECORD, ABSENT_USER, write

__all__ = [
    "absent_alarm",
    "absent_record",
    "bad_json",
    "duplicate_alarm",
    "duplicate_record",
    "unknown_codes",
    "unknown_fields",
    "unknown_type",
]


@rule(
    "absent-record",
    en="Every field of a record may be absent",
    zh="通行记录的任一字段均可缺省",
    source=PAGE_PUSH,
    text="记录事件字段属性（各字段未标注必填）",
)
async def absent_record(probe: Probe) -> Finding:
    """Push a record once for each field of `data` and of `user`, without that field.

    Firmware of every version omits some. Pass: all are acknowledged. Fail: one is not.
    """
    cases = [(name, await probe.push(probe.samples.record({name: ...}))) for name in ABSENT_RECORD]
    for name in ABSENT_USER:
        cases.append((f"user.{name}", await probe.push(probe.samples.record(None, **{name: ...}))))
    return all_taken(cases, what=Words("records with one field absent", "缺少单个字段的识别记录"))


@rule(
    "absent-alarm",
    en="Every optional field of an alarm may be absent",
    zh="告警的任一非必填字段均可缺省",
    source=PAGE_PUSH,
    text="description、user_id、alarm_photo 非必填；code status为1时必填",
)
async def absent_alarm(probe: Probe) -> Finding:
    """Push an alarm once for each optional field, without it, and one of status 3 without `code`.

    Pass: all are acknowledged. Fail: one is not.
    """
    cases = [(name, await probe.push(probe.samples.alarm({name: ...}))) for name in ABSENT_ALARM]
    cases.append(("code, status 3", await probe.push(probe.samples.alarm({"code": ..., "status": 3}))))
    return all_taken(cases, what=Words("alarms with one field absent", "缺少单个字段的告警"))


@rule(
    "duplicate-record",
    en="A record pushed again is acknowledged again",
    zh="重复推送的通行记录再次得到确认",
    source=PAGE_TOP,
    text="没收到请求应答，设备将缓存该记录，待网络状态恢复后上传识别记录",
)
async def duplicate_record(probe: Probe) -> Finding:
    """Push the same record three times, as a terminal does that missed the reply.

    Pass: all three are acknowledged. Fail: a repetition is refused. The terminal would push it for ever. Whether
    it is stored only once is the subject of `listed-once`.
    """
    body = write(probe.samples.record())
    cases = [(f"push {count}", await probe.push(body)) for count in (1, 2, 3)]
    return all_taken(cases, what=Words("pushes of one record", "同一识别记录的推送"))


@rule(
    "duplicate-alarm",
    en="An alarm pushed again is acknowledged again",
    zh="重复推送的告警再次得到确认",
    source=PAGE_TOP,
    text="没收到请求应答，设备将缓存该记录，待网络状态恢复后上传识别记录",
)
async def duplicate_alarm(probe: Probe) -> Finding:
    """Push the same alarm three times, as in `duplicate-record`.

    Pass: all three are acknowledged. Fail: one is not.
    """
    body = write(probe.samples.alarm())
    cases = [(f"push {count}", await probe.push(body)) for count in (1, 2, 3)]
    return all_taken(cases, what=Words("pushes of one alarm", "同一告警的推送"))


@rule(
    "unknown-fields",
    en="Fields that the page does not know are no reason to refuse",
    zh="未知字段不影响接收",
    source="the maker's change log",
    text="fields were added in 1.2.0, 1.2.1 and 1.3.0",
)
async def unknown_fields(probe: Probe) -> Finding:
    """Push a record and an alarm with unknown fields of every JSON type, next to `type`, in `data` and in `user`.

    Pass: both are acknowledged. Fail: one is not. The events of the next firmware would be lost.
    """
    new = {"x_text": "新", "x_number": 1.5, "x_object": {"a": [1, None, True]}, "x_null": None}
    event = probe.samples.record(new, **new)
    cases = [
        ("record", await probe.push({**event, **new})),
        ("alarm", await probe.push(probe.samples.alarm(new))),
    ]
    return all_taken(cases, what=Words("events with unknown fields", "含未知字段的事件"))


@rule(
    "unknown-codes",
    en="Codes that no table knows are no reason to refuse",
    zh="未知编码不影响接收",
    source="the maker's change log",
    text="entry_mode and abnormal_type were added in 1.3.0; mode 10 is seen in the field",
)
async def unknown_codes(probe: Probe) -> Finding:
    """Push a record with an unknown code for each coded field, and an alarm with an unknown `code`.

    Pass: all are acknowledged. Fail: one is not.
    """
    names = ("recognitionType", "mask", "mode", "entry_mode", "abnormal_type")
    cases = [(f"{name} 99", await probe.push(probe.samples.record({name: 99}))) for name in names]
    cases.append(("user.type 99", await probe.push(probe.samples.record(type=99))))
    cases.append(("alarm code 29999", await probe.push(probe.samples.alarm({"code": 29999}))))
    return all_taken(cases, what=Words("events with unknown codes", "含未知编码的事件"))


@rule(
    "unknown-type",
    en="An event of an unknown `type` gets a reply",
    zh="未知 type 的事件得到规范的应答",
    source=PAGE_PUSH,
    text="type int Y 事件类型；code 200表示成功；其它表示失败",
)
async def unknown_type(probe: Probe) -> Finding:
    """Push `{"type": 2, "data": {}}`.

    Pass: it is acknowledged, so that new firmware does not block its own queue. Warning: it is refused with the
    documented reply. The terminal tries some times and then gives the event up. Fail: HTTP 5xx, or no documented
    reply. The terminal then takes the receiver for broken.
    """
    answer = await probe.push({"type": 2, "data": {"deviceSN": probe.samples.serial}})
    if acknowledged(answer):
        return passed("acknowledged", "已确认")
    reply = reply_of(answer)
    if (
        isinstance(answer, NoResponse)
        or answer.status >= 500
        or reply is None
        or type(reply.get("code")) is not int
    ):
        why = why_not(answer)
        return failed(why.en, why.zh)
    return warned(f"refused with code {reply['code']}", f"被拒绝，code 为 {reply['code']}")


@rule(
    "bad-json",
    en="What is no JSON object is refused with another `code`",
    zh="非 JSON 对象被以非 200 的 code 拒绝",
    source=PAGE_PUSH,
    text="code：200表示成功；其它表示失败",
)
async def bad_json(probe: Probe) -> Finding:
    """Push an empty body, half a record, text, a number and bytes that are no text.

    Pass: each gets the documented reply with a `code` other than 200. Warning: one is refused without that reply, or
    with HTTP 5xx, as if the server were at fault. Fail: one is acknowledged, so that a push damaged on its way would
    be lost; or it gets no response at all.
    """
    whole = write(probe.samples.record())
    cases = {
        "an empty body": b"",
        "half a record": whole[: len(whole) // 2],
        "text": b"type=0&data=1",
        "a number": b"42",
        "no text": bytes(range(128, 256)),
    }
    odd = []
    for name, body in cases.items():
        answer = await probe.push(body, headers=(JSON,))
        if acknowledged(answer):
            return failed(f"{name} was acknowledged", f"{name} 被当作成功确认")
        if isinstance(answer, NoResponse):
            return failed(f"{name}: {answer.why}", f"{name}：{answer.why}")
        reply = reply_of(answer)
        if (
            reply is None
            or type(reply.get("code")) is not int
            or reply["code"] == 200
            or answer.status >= 500
        ):
            odd.append((name, why_not(answer)))
    if odd:
        return warned(
            "refused, but not with the documented reply: "
            + "; ".join(f"{name}: {why.en}" for name, why in odd),
            "已拒绝，但应答不符合文档：" + "；".join(f"{name}：{why.zh}" for name, why in odd),
        )
    return passed(f"{len(cases)} of {len(cases)} refused with a code", f"{len(cases)} 项全部以 code 拒绝")
