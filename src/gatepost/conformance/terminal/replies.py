"""Rules for terminals: which replies are an acknowledgement, which are a refusal, and which are neither."""

from collections.abc import Sequence

from gatepost.conformance.rule import (
    PAGE_PUSH,
    PAGE_SET,
    PAGE_TOP,
    Finding,
    NotTried,
    failed,
    passed,
    rule,
    warned,
)
from gatepost.conformance.terminal.fake_receiver import ReplyFault
from gatepost.conformance.terminal.session import TerminalSession, code_of

__all__ = [
    "address_change",
    "proxy_pages",
    "refused_by_all",
    "refused_one",
    "reply_framing",
    "reply_status",
    "reply_wrapping",
    "resent_after_400",
]

OTHERS = 3
"""Events that are accepted while one is refused."""

REFUSALS = 12
"""Refusals of one event by a receiver that accepts nothing. Firmware that counts gives up after ten."""

_CODE = "code int Y 返回码，200表示成功；其它表示失败"
_CACHED = "当接收服务器断开，网络异常或者没收到请求应答，设备将缓存该记录，待网络状态恢复后上传识别记录"


@rule(
    "resent-after-400",
    en="An event that is refused with HTTP 400 is pushed again",
    zh="以 HTTP 400 拒绝的事件会重新推送",
    source=PAGE_PUSH,
    text=_CODE,
)
async def resent_after_400(session: TerminalSession) -> Finding:
    """Refuse the first push of an event with HTTP 400 and the page's JSON.

    Pass: it is pushed again, and then acknowledged. Fail: it is not. One refusal loses the event.
    """
    return await session.disturbed(ReplyFault.REFUSED_400)


@rule(
    "proxy-pages",
    en="A proxy's page does not cost the event",
    zh="代理服务器的错误页面不会导致事件丢失",
    source=PAGE_TOP,
    text=_CACHED,
)
async def proxy_pages(session: TerminalSession) -> Finding:
    """Reply to one event with HTML, as a proxy, a firewall or a portal does.

    With HTTP 403, 404, 405, 413 and 502, one after the other. Pass: it is pushed again after each, and then
    acknowledged. Fail: it is not. Any proxy in front of the receiver can make the terminal drop events.
    """
    return await session.disturbed(
        ReplyFault.PAGE_403,
        ReplyFault.PAGE_404,
        ReplyFault.PAGE_405,
        ReplyFault.PAGE_413,
        ReplyFault.PAGE_502,
    )


@rule(
    "reply-status",
    en="HTTP 201 and 202 with code 200 are acknowledgements",
    zh="HTTP 201 与 202 且 code 为 200 视为确认",
    source=PAGE_PUSH,
    text=_CODE,
)
async def reply_status(session: TerminalSession) -> Finding:
    """Acknowledge events with HTTP 201 and 202 and the page's JSON.

    Pass: they are not pushed again. Fail: one is. The page defines only `code`, and such a terminal pushes the
    same event for ever. Not tried: no event came, or refused events are not pushed again either.
    """
    again = await session.not_understood((ReplyFault.CREATED, ReplyFault.ACCEPTED))
    return failed(*_repeated(again)) if again else _understood(2)


@rule(
    "reply-wrapping",
    en="The reply is understood however its JSON is wrapped",
    zh="无论 JSON 如何封装均能理解应答",
    source=PAGE_PUSH,
    text=_CODE,
)
async def reply_wrapping(session: TerminalSession) -> Finding:
    """Acknowledge events with JSON after a byte order mark, in UTF-16, with a message in GBK, and padded.

    The padding is NULs after the JSON and blanks around it. Pass: no event is pushed again. Warning: one is. With such
    a receiver, this terminal pushes it for ever. Not tried: no event came, or refused events are not pushed again
    either.
    """
    forms = (
        ReplyFault.BOM,
        ReplyFault.UTF_16,
        ReplyFault.GBK,
        ReplyFault.NULS,
        ReplyFault.BLANKS,
    )
    again = await session.not_understood(forms)
    return warned(*_repeated(again)) if again else _understood(len(forms))


@rule(
    "reply-framing",
    en="The reply is understood with bare LF and with a repeated length",
    zh="行尾仅为 LF 或长度重复时仍能理解应答",
    source="RFC 9112, sections 2.2 and 6.3",
    text="a recipient MAY recognize a single LF as a line terminator; identical repeated Content-Length",
)
async def reply_framing(session: TerminalSession) -> Finding:
    """Acknowledge events with line ends of LF alone, and with two equal Content-Length headers.

    Pass: no event is pushed again. Warning: one is. With such a receiver, this terminal pushes it for ever.
    Not tried: no event came, or refused events are not pushed again either.
    """
    forms = (ReplyFault.BARE_LF, ReplyFault.TWO_LENGTHS)
    again = await session.not_understood(forms)
    return warned(*_repeated(again)) if again else _understood(len(forms))


@rule(
    "refused-one",
    en="An event that is refused holds up no other",
    zh="被拒绝的事件不阻塞其他事件",
    source=PAGE_PUSH,
    text=_CODE,
)
async def refused_one(session: TerminalSession) -> Finding:
    """Refuse one event again and again, and cause three more, which are accepted.

    Pass: the three arrive while the first is still refused. Warning: they do not arrive in time (`--resend`). They wait
    for the refused one. Not tried: no event came, or it is not known whether another one happened.
    """
    try:
        victim = await session.victim(*[ReplyFault.REFUSED] * 10_000)
        await session.cause(OTHERS)

        def others() -> int:
            at = next(n for n, push in enumerate(session.receiver.arrived) if push.name == victim)
            return len({push.name for push in session.receiver.arrived[at:] if push.answered == "ok"})

        await session.receiver.wait(lambda: others() >= OTHERS, timeout_s=session.timeouts.resend_s)
    finally:
        session.receiver.misbehave()
    arrived = others()
    if not arrived and not session.certain:
        raise session.none_came(session.timeouts.resend_s)
    if arrived < OTHERS:
        return warned(
            f"{arrived} of {OTHERS} arrived while another event was refused: they wait behind it",
            f"另一事件被拒绝期间，{OTHERS} 条中仅送达 {arrived} 条：其余排在其后等待",
        )
    return passed(f"{arrived} arrived meanwhile", f"期间送达 {arrived} 条")


@rule(
    "refused-by-all",
    en="A receiver that accepts nothing does not cost an event",
    zh="接收端拒绝一切时不丢失事件",
    source=PAGE_TOP,
    text=_CACHED,
)
async def refused_by_all(session: TerminalSession) -> Finding:
    """Refuse every push until one event was refused twelve times or `--resend` is over.

    Then everything is accepted again. Pass: the event is pushed again. Fail: it is not. A wrong setting of the receiver
    makes the terminal lose its events. Not tried: no event came.
    """
    timeouts = session.timeouts
    session.receiver.everything = ReplyFault.REFUSED
    try:
        name = (await session.event()).name
        await session.receiver.wait(
            lambda: len(session.pushes(name)) >= REFUSALS, timeout_s=timeouts.resend_s
        )
    finally:
        session.receiver.everything = None
    refusals = len(session.pushes(name))
    if not await session.receiver.wait(
        lambda: session.pushes(name)[-1].answered == "ok", timeout_s=timeouts.resend_s
    ):
        return failed(
            f"after {refusals} refusals it was not pushed again within {timeouts.resend_s:g} s: it is lost",
            f"被拒绝 {refusals} 次后，{timeouts.resend_s:g} 秒内未重新推送：该事件已丢失",
        )
    return passed(f"accepted after {refusals} refusals", f"被拒绝 {refusals} 次后送达")


@rule(
    "address-change",
    en="What waits is pushed to the new address",
    zh="等待中的事件推送到新地址",
    source=PAGE_SET,
    text="event_dest 指定事件接收的地址",
)
async def address_change(session: TerminalSession) -> Finding:
    """Set another path while an event waits because the receiver fails (HTTP 503).

    Pass: the event arrives at the new path. Fail: it arrives at the old one, or not at all. Not tried: no
    event came, or the address cannot be changed.
    """
    new = session.event_dest + "/moved"
    path = "/" + new.split("/", 3)[3]
    session.receiver.everything = ReplyFault.HTTP_ERROR
    try:
        name = (await session.event()).name
        answer = await session.subscribe(new)
        if code_of(answer) != 200:
            raise NotTried("the address cannot be changed", "无法更改推送地址")
        # A push under way when the address changed may still arrive at the old one. It fails, and does not count.
        await session.receiver.quiet(session.timeouts.quiet_s, timeout_s=session.timeouts.quiet_s)
        before = len(session.pushes(name))
        session.receiver.everything = None
        arrived = await session.receiver.wait(
            lambda: len(session.pushes(name)) > before, timeout_s=session.timeouts.resend_s
        )
    finally:
        session.receiver.everything = None
        await session.subscribe()
    if not arrived:
        limit = session.timeouts.resend_s
        return failed(f"not pushed again within {limit:g} s", f"{limit:g} 秒内未重新推送")
    where = session.pushes(name)[before].path
    if where != path:
        return failed(f"pushed to {where}, which was replaced", f"仍推送到已替换的地址 {where}")
    return passed("pushed to the new address", "已推送到新地址")


def _repeated(again: Sequence[ReplyFault]) -> tuple[str, str]:
    names = ", ".join(again)
    return f"pushed again after: {names}", f"以下应答之后重新推送：{names}"


def _understood(count: int) -> Finding:
    return passed(f"{count} of {count} understood", f"{count} 种均能理解")
