"""Rules for receivers: what the reply looks like, and which events are acknowledged."""

from gatepost.conformance.raw_http import Answer, Nothing
from gatepost.conformance.receiver.probe import JSON, Probe, acknowledged, all_taken, reply_of, why_not
from gatepost.conformance.rule import PAGE_PUSH, PAGE_TOP, Finding, Words, failed, passed, rule, warned
from gatepost.conformance.sample_pushes import ABSENT_ALARM, ABSENT_RECORD, ABSENT_USER, write

__all__ = [
    "absent_alarm",
    "absent_record",
    "alarm",
    "bad_json",
    "content_type",
    "duplicate_alarm",
    "duplicate_record",
    "no_login",
    "record",
    "reply_code",
    "reply_data",
    "reply_message",
    "reply_object",
    "status_200",
    "unknown_codes",
    "unknown_fields",
    "unknown_type",
]

_TABLE = "code int Y 返回码，200表示成功；其它表示失败；message string Y 返回信息；data Object Y 其他补充信息"


@rule(
    "record",
    en="A recognition record is acknowledged",
    zh="识别通行事件得到确认",
    source=PAGE_PUSH,
    text="type int Y 事件类型：0，表示识别通行事件",
    core=True,
)
async def record(probe: Probe) -> Finding:
    """Pushes the page's record, with a new `uuid` and today's time. Pass: HTTP 200 and `code` 200. Fail:
    anything else.
    """
    answer = await probe.push(probe.samples.record())
    return _taken(answer, "the page's record was acknowledged", "文档示例中的识别记录已确认")


@rule(
    "alarm",
    en="A device alarm is acknowledged",
    zh="设备告警事件得到确认",
    source=PAGE_PUSH,
    text="type int Y 事件类型：1，表示设备告警事件",
    core=True,
)
async def alarm(probe: Probe) -> Finding:
    """Pushes an alarm (`status` 1) and, with the same `trace_id`, that clearing it failed (2) and
    succeeded (3).

    Pass: all three are acknowledged. Fail: one is not; the terminal would push it for ever, and whoever
    watches the alarms would see one that never ends.
    """
    event = probe.samples.alarm()
    cases = []
    for status in (1, 2, 3):
        event["data"]["status"] = status
        if status != 1:
            event["data"].pop("code", None)
        cases.append((f"status {status}", await probe.push(event)))
    return all_taken(cases, what=Words("steps of an alarm", "告警的处理阶段"))


@rule("reply-object", en="The reply is a JSON object", zh="应答为 JSON 对象", source=PAGE_PUSH, text=_TABLE)
async def reply_object(probe: Probe) -> Finding:
    """Pushes a record. Pass: the body of the reply is one JSON object in UTF-8. Fail: it is empty, text,
    HTML or a list: a terminal takes that for no reply (没收到请求应答) and sends the event again, for ever.
    """
    answer = await probe.push(probe.samples.record())
    if reply_of(answer) is None:
        why = why_not(answer)
        return failed(why.en, why.zh)
    return passed("the reply is a JSON object", "应答为 JSON 对象")


@rule(
    "reply-code",
    en="`code` is the integer 200",
    zh="code 为整数 200",
    source=PAGE_PUSH,
    text="code int Y 返回码，200表示成功；其它表示失败",
)
async def reply_code(probe: Probe) -> Finding:
    """Pushes a record. Pass: `code` is the JSON integer 200. Fail: it is missing, a string, `200.0`,
    `true`, or 0 for success as other protocols have it.
    """
    answer = await probe.push(probe.samples.record())
    reply = reply_of(answer)
    if reply is None:
        why = why_not(answer)
        return failed(why.en, why.zh)
    if "code" not in reply:
        return failed("the reply has no `code`", "应答缺少 code")
    code = reply["code"]
    if type(code) is not int:
        return failed(f"`code` is {code!r}, not an integer", f"code 为 {code!r}，不是整数")
    if code != 200:
        return failed(f"`code` is {code}; success is 200", f"code 为 {code}，成功应为 200")
    return passed("`code` is 200", "code 为 200")


@rule(
    "reply-message",
    en='`message` is a string, "success" on success',
    zh="message 为字符串，成功时为 success",
    source=PAGE_PUSH,
    text="message string Y 返回信息-记录接口执行情况说明信息，success表示成功描述，其他表示失败",
)
async def reply_message(probe: Probe) -> Finding:
    """Pushes a record. Pass: `message` is the string "success". Warning: it is another string, for
    terminals are known to look at `code` alone, and the page asks for both. Fail: it is missing or no
    string.
    """
    reply = reply_of(await probe.push(probe.samples.record()))
    if reply is None or not isinstance(reply.get("message"), str):
        got = "none" if reply is None or "message" not in reply else repr(reply["message"])
        return failed(
            f"`message` is required and a string; got {got}", f"message 必填且为字符串；实际为 {got}"
        )
    if reply["message"] != "success":
        return warned(
            f'`message` is {reply["message"]!r}; the page says "success"',
            f"message 为 {reply['message']!r}；文档规定成功时为 success",
        )
    return passed('`message` is "success"', "message 为 success")


@rule(
    "reply-data",
    en="`data` is an object",
    zh="data 为对象",
    source=PAGE_PUSH,
    text="data Object Y 其他补充信息",
)
async def reply_data(probe: Probe) -> Finding:
    """Pushes a record. Pass: `data` is an object, such as `{}`. Warning: it is null. Fail: it is missing,
    or anything else.
    """
    reply = reply_of(await probe.push(probe.samples.record()))
    if reply is None or "data" not in reply:
        return failed("the reply has no `data`, which is required", "应答缺少必填的 data")
    data = reply["data"]
    if data is None:
        return warned(
            "`data` is null; the page says an object, such as {}", "data 为 null；文档规定为对象，例如 {}"
        )
    if not isinstance(data, dict):
        return failed(f"`data` is {data!r:.60}, not an object", f"data 为 {data!r:.60}，不是对象")
    return passed("`data` is an object", "data 为对象")


@rule(
    "status-200",
    en="The HTTP status of an acknowledgement is 200",
    zh="确认应答的 HTTP 状态码为 200",
    source="RFC 9110, section 15.3.1",
    text="200 (OK): the request has succeeded",
)
async def status_200(probe: Probe) -> Finding:
    """Pushes a record. Pass: HTTP 200. Fail: any other status, 201 and 204 included. The page speaks of
    `code` only, and a terminal that wants both will not forget an event for less.
    """
    answer = await probe.push(probe.samples.record())
    if isinstance(answer, Nothing):
        why = why_not(answer)
        return failed(why.en, why.zh)
    if answer.status != 200:
        return failed(f"HTTP {answer.status}", f"HTTP {answer.status}")
    return passed("HTTP 200", "HTTP 200")


@rule(
    "content-type",
    en="The reply is called application/json",
    zh="应答的 Content-Type 为 application/json",
    source="RFC 8259, section 11",
    text="The media type for JSON text is application/json",
)
async def content_type(probe: Probe) -> Finding:
    """Pushes a record. Pass: the reply's Content-Type is `application/json`, with or without a charset.
    Warning: it is another, or missing: HTTP libraries of some firmware then leave the body alone. Fail:
    there is no response at all.
    """
    answer = await probe.push(probe.samples.record())
    if isinstance(answer, Nothing):
        why = why_not(answer)
        return failed(why.en, why.zh)
    kind = answer.header("content-type")
    if kind.partition(";")[0].strip().lower() != "application/json":
        return warned(f"Content-Type is {kind or 'missing'}", f"Content-Type 为 {kind or '（缺失）'}")
    return passed(f"Content-Type is {kind}", f"Content-Type 为 {kind}")


@rule(
    "no-login",
    en="Events are taken without authentication",
    zh="事件接收接口不需要认证",
    source=PAGE_TOP + " › 提交配置",
    text="事件接收接口不需要认证",
)
async def no_login(probe: Probe) -> Finding:
    """Pushes a record without any credentials. Pass: the receiver does not ask for any. Fail: HTTP 401,
    403 or 407, or a redirection (to a page for logging in): a terminal has no credentials for a
    receiver, and follows no redirection. Not tried: HTTP 403 in the page's JSON that asks for the
    terminal's own address, which is no login.
    """
    answer = await probe.push(probe.samples.record())
    if isinstance(answer, Nothing):
        why = why_not(answer)
        return failed(why.en, why.zh)
    if answer.status in (401, 403, 407) or 300 <= answer.status < 400:
        return failed(f"HTTP {answer.status} without credentials", f"未提供认证时返回 HTTP {answer.status}")
    return passed("no credentials are asked for", "未要求认证")


@rule(
    "absent-record",
    en="Every field of a record may be absent",
    zh="识别记录的任一字段均可缺省",
    source=PAGE_PUSH,
    text="记录事件字段属性（各字段未标注必填）",
)
async def absent_record(probe: Probe) -> Finding:
    """Pushes a record once for each field of `data` and of `user`, without that field; firmware of every
    age leaves some out. Pass: all are acknowledged. Fail: one is not.
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
    """Pushes an alarm once for each optional field without it, and one of status 3 without `code`. Pass:
    all are acknowledged. Fail: one is not.
    """
    cases = [(name, await probe.push(probe.samples.alarm({name: ...}))) for name in ABSENT_ALARM]
    cases.append(("code, status 3", await probe.push(probe.samples.alarm({"code": ..., "status": 3}))))
    return all_taken(cases, what=Words("alarms with one field absent", "缺少单个字段的告警"))


@rule(
    "duplicate-record",
    en="A record pushed again is acknowledged again",
    zh="重复推送的识别记录再次得到确认",
    source=PAGE_TOP,
    text="没收到请求应答，设备将缓存该记录，待网络状态恢复后上传识别记录",
)
async def duplicate_record(probe: Probe) -> Finding:
    """Pushes the same record three times, as a terminal does that did not see the reply. Pass: all three
    are acknowledged. Fail: a repetition is refused: the terminal would push it for ever. Whether it was
    stored once only is for `listed-once`.
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
    """As `duplicate-record`, with an alarm. Pass: all three are acknowledged. Fail: one is not."""
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
    """Pushes a record and an alarm with fields of every JSON type that the page does not know, beside
    `type`, in `data` and in `user`. Pass: both are acknowledged. Fail: one is not: the next firmware
    would lose its events.
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
    """Pushes a record for each coded field with a code that no table has, and an alarm with an unknown
    `code`. Pass: all are acknowledged. Fail: one is not.
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
    """Pushes `{"type": 2, "data": {}}`. Pass: it is acknowledged, so that new firmware does not block its
    own queue. Warning: it is refused with the documented reply; the terminal will try some times and
    then give it up. Fail: HTTP 5xx, or no documented reply: the terminal takes the receiver for broken.
    """
    answer = await probe.push({"type": 2, "data": {"deviceSN": probe.samples.serial}})
    if acknowledged(answer):
        return passed("acknowledged", "已确认")
    reply = reply_of(answer)
    if (
        isinstance(answer, Nothing)
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
    """Pushes an empty body, half a record, text, a number and bytes that are no text. Pass: each gets the
    documented reply with a `code` other than 200. Warning: one is refused without that reply, or called
    a fault of the server (HTTP 5xx). Fail: one is acknowledged, so that a push damaged on its way would
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
        if isinstance(answer, Nothing):
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


def _taken(answer: Answer, en: str, zh: str) -> Finding:
    if acknowledged(answer):
        return passed(en, zh)
    why = why_not(answer)
    return failed(why.en, why.zh)
