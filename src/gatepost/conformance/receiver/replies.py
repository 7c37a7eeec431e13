"""Rules for receivers: what the reply to an event of the protocol page looks like."""

from gatepost.conformance.acknowledgement import acknowledged, all_taken, reply_of, why_not
from gatepost.conformance.raw_http import Answer, NoResponse
from gatepost.conformance.receiver.probe import Probe
from gatepost.conformance.rule import PAGE_PUSH, PAGE_TOP, Finding, Words, failed, passed, rule, warned

__all__ = [
    "alarm",
    "content_type",
    "no_login",
    "record",
    "reply_code",
    "reply_data",
    "reply_message",
    "reply_object",
    "status_200",
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
    """Push the page's record, with a new `uuid` and today's time.

    Pass: HTTP 200 and `code` 200. Fail: anything else.
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
    """Push an alarm (`status` 1) and, with the same `trace_id`, that clearing it failed (2) and succeeded (3).

    Pass: all three are acknowledged. Fail: one is not. The terminal would push it for ever, and the alarm would
    never end in the receiver.
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
    """Push a record.

    Pass: the body of the reply is one JSON object in UTF-8. Fail: it is empty, text, HTML or a list. A terminal
    takes that for no reply (没收到请求应答) and pushes the event for ever.
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
    """Push a record.

    Pass: `code` is the JSON integer 200. Fail: it is missing, a string, `200.0`, `true`, or 0, which means success
    in other protocols.
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
    """Push a record.

    Pass: `message` is the string "success". Warning: it is another string. Terminals are known to read `code`
    alone, but the page asks for both. Fail: it is missing or no string.
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
    """Push a record.

    Pass: `data` is an object, such as `{}`. Warning: it is null. Fail: it is missing, or anything else.
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
    """Push a record.

    Pass: HTTP 200. Fail: any other status, 201 and 204 included. The page speaks of `code` only, but a terminal
    that also reads the status keeps the event on any other.
    """
    answer = await probe.push(probe.samples.record())
    if isinstance(answer, NoResponse):
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
    """Push a record.

    Pass: the Content-Type of the reply is `application/json`, with or without a charset. Warning: it is another, or
    missing. The HTTP libraries of some firmware then do not read the body. Fail: there is no response at all.
    """
    answer = await probe.push(probe.samples.record())
    if isinstance(answer, NoResponse):
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
    """Push a record without any credentials.

    Pass: the receiver asks for none. Fail: HTTP 401, 403 or 407, or a redirection, to a login page for example. A
    terminal has no credentials for a receiver, and follows no redirection. Not tried: HTTP 403 with the page's JSON
    that asks for the terminal's own address, which is no login.
    """
    answer = await probe.push(probe.samples.record())
    if isinstance(answer, NoResponse):
        why = why_not(answer)
        return failed(why.en, why.zh)
    if answer.status in (401, 403, 407) or 300 <= answer.status < 400:
        return failed(f"HTTP {answer.status} without credentials", f"未提供认证时返回 HTTP {answer.status}")
    return passed("no credentials are asked for", "未要求认证")


def _taken(answer: Answer, en: str, zh: str) -> Finding:
    if acknowledged(answer):
        return passed(en, zh)
    why = why_not(answer)
    return failed(why.en, why.zh)
