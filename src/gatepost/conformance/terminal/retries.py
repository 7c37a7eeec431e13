"""Rules for terminals: what they do when a push fails."""

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any

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
from gatepost.conformance.terminal.pushes import seen
from gatepost.conformance.terminal.session import TerminalSession, code_of

__all__ = [
    "duplicates",
    "order",
    "outage",
    "resent_after_hang",
    "resent_after_http_error",
    "resent_after_no_reply",
    "resent_after_refusal",
    "resent_after_reset",
    "same_again",
    "switched_off",
]

_CACHED = "当接收服务器断开，网络异常或者没收到请求应答，设备将缓存该记录，待网络状态恢复后上传识别记录"


@rule(
    "resent-after-refusal",
    en="A refused event is pushed again",
    zh="被拒绝的事件会重新推送",
    source=PAGE_PUSH,
    text="code：200表示成功；其它表示失败",
    core=True,
)
async def resent_after_refusal(session: TerminalSession) -> Finding:
    """Reply to the first push of an event with HTTP 200 and `code` 500.

    Pass: it is pushed again, and then acknowledged. Fail: it is not pushed again in time (`--resend`). The terminal
    takes any HTTP 200 for success, and the event is lost.
    """
    return await session.disturbed(ReplyFault.REFUSED)


@rule(
    "resent-after-http-error",
    en="After HTTP 503 an event is pushed again",
    zh="HTTP 503 后重新推送",
    source=PAGE_TOP,
    text=_CACHED,
)
async def resent_after_http_error(session: TerminalSession) -> Finding:
    """Reply to the first push of an event with HTTP 503.

    Pass: it is pushed again, and then acknowledged. Fail: it is not.
    """
    return await session.disturbed(ReplyFault.HTTP_ERROR)


@rule(
    "resent-after-no-reply",
    en="After a page of HTML an event is pushed again",
    zh="收到 HTML 页面后重新推送",
    source=PAGE_TOP,
    text="没收到请求应答，设备将缓存该记录",
)
async def resent_after_no_reply(session: TerminalSession) -> Finding:
    """Reply to the first push of an event with HTTP 200 and HTML, as proxies and portals do.

    Pass: it is pushed again, and then acknowledged. Fail: it is not. Any server that replies 200 makes the event lost.
    """
    return await session.disturbed(ReplyFault.NO_REPLY)


@rule(
    "resent-after-hang",
    en="After a receiver that hangs an event is pushed again",
    zh="接收端无响应后重新推送",
    source=PAGE_TOP,
    text="没收到请求应答，设备将缓存该记录",
)
async def resent_after_hang(session: TerminalSession) -> Finding:
    """Read the first push of an event, and never reply.

    Pass: it is pushed again, and then acknowledged. Fail: it is not. The terminal waits for ever, or gave the event up.
    """
    return await session.disturbed(ReplyFault.HANG)


@rule(
    "resent-after-reset",
    en="After a reset connection an event is pushed again",
    zh="连接被重置后重新推送",
    source=PAGE_TOP,
    text="网络异常……设备将缓存该记录",
)
async def resent_after_reset(session: TerminalSession) -> Finding:
    """Read the first push of an event and reset the connection.

    Pass: it is pushed again, and then acknowledged. Fail: it is not.
    """
    return await session.disturbed(ReplyFault.RESET)


@rule(
    "outage",
    en="Events of an outage are delivered after it",
    zh="断网期间的事件在恢复后送达",
    source=PAGE_TOP,
    text=_CACHED + "，设备最大离线缓存50000条记录",
)
async def outage(session: TerminalSession) -> Finding:
    """Stop listening for `--outage`, cause three events meanwhile, listen again, and wait for the backlog.

    Pass: all three arrive. Fail: fewer do. Not tried: none does, and it is not known whether a passage happened.
    """
    count, timeouts = session.timeouts.outage_events, session.timeouts
    await session.ready()
    before = session.receiver.names()
    await session.receiver.close()
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(session.cause(count))
            both.create_task(asyncio.sleep(timeouts.outage_s))
    finally:
        await session.receiver.open()
    ends = timeouts.resend_s
    await session.receiver.wait(lambda: len(session.receiver.names() - before) >= count, timeout_s=ends)
    await session.receiver.quiet(timeouts.quiet_s, timeout_s=ends)
    arrived = len(session.receiver.names() - before)
    if not arrived and not session.certain:
        raise session.none_came(ends)
    if arrived < count:
        return failed(
            f"{arrived} of {count} arrived within {ends:g} s after {timeouts.outage_s:g} s of outage",
            f"断网 {timeouts.outage_s:g} 秒恢复后，{ends:g} 秒内 {count} 条中仅送达 {arrived} 条",
        )
    return passed(
        f"{arrived} arrived after {timeouts.outage_s:g} s of outage",
        f"断网 {timeouts.outage_s:g} 秒后送达 {arrived} 条",
    )


@rule(
    "switched-off",
    en="While pushing is disabled, nothing is pushed",
    zh="关闭推送后不再推送",
    source=PAGE_SET,
    text="enabled 是否启用，HTTP事件推送服务",
)
async def switched_off(session: TerminalSession) -> Finding:
    """Set `enabled` to false, cause an event, wait (`--quiet`), and enable again.

    Pass: nothing was pushed meanwhile. Fail: something was. Images then go to an unknown receiver. Not tried: it is not
    known whether an event happened meanwhile (no `--cause`, and none came after enabling either).
    """
    answer = await session.subscribe(enabled=False)
    if code_of(answer) != 200:
        return failed("it cannot be disabled", "无法关闭")
    await session.receiver.quiet(session.timeouts.quiet_s, timeout_s=session.timeouts.resend_s)
    before = len(session.receiver.arrived)
    try:
        await session.cause()
        await session.receiver.quiet(session.timeouts.quiet_s, timeout_s=session.timeouts.quiet_s)
        pushed = len(session.receiver.arrived) - before
    finally:
        await session.subscribe()
    if pushed:
        return failed(f"{pushed} pushed while disabled", f"关闭期间推送了 {pushed} 条")
    if not session.certain and not await session.receiver.wait(
        lambda: len(session.receiver.arrived) > before, timeout_s=session.timeouts.event_s
    ):
        raise session.none_came(session.timeouts.event_s)
    return passed("nothing was pushed", "未推送")


@rule(
    "same-again",
    en="An event that is pushed again is the same",
    zh="重新推送的事件内容不变",
    source=PAGE_PUSH,
    text="uuid 记录事件唯一标识；trace_id 告警的唯一标识号",
)
async def same_again(session: TerminalSession) -> Finding:
    """Compare every push with earlier ones of the same `uuid`, or of the same `trace_id` and `status`.

    Pass: something was pushed twice, and the bodies are the same. Fail: they differ. A receiver would store the event
    twice, or the wrong one. Not tried: nothing was pushed twice.
    """
    first: dict[str, Any] = {}
    again = 0
    for push in await seen(session):
        if push.name in first:
            again += 1
            if first[push.name] != push.event:
                return failed(f"{push.name}: the bodies differ", f"{push.name}：两次内容不同")
        first.setdefault(push.name, push.event)
    if not again:
        raise NotTried(
            "nothing was pushed twice; run the rule resent-after-refusal before it",
            "没有重复推送，无法比较；请先运行规则 resent-after-refusal",
        )
    return passed(f"{again} repetitions, each the same", f"重复 {again} 次，内容均相同")


@rule(
    "duplicates",
    en="An acknowledged event is not pushed again",
    zh="已确认的事件不再推送",
    source=PAGE_PUSH,
    text="code 200表示成功",
)
async def duplicates(session: TerminalSession) -> Finding:
    """Count pushes of events that had been acknowledged before.

    Pass: none. Warning: some. A receiver has to recognise them, and each one sends a portrait again. Not tried: no
    event was acknowledged.
    """
    done: set[str] = set()
    again: Counter[str] = Counter()
    for push in await seen(session):
        if push.name in done:
            again[push.name] += 1
        if push.answered == "ok":
            done.add(push.name)
    if again:
        return warned(
            f"{again.total()} pushes of {len(again)} events",
            f"{len(again)} 条事件重复推送 {again.total()} 次",
        )
    if not done:
        raise NotTried("no event was acknowledged", "没有事件得到确认")
    return passed(f"none among {len(done)} events", f"{len(done)} 条事件均无重复")


@rule(
    "order",
    en="Events come in the order in which they happened",
    zh="事件按发生顺序推送",
    source=PAGE_TOP,
    text="待网络状态恢复后上传识别记录（未规定顺序）",
)
async def order(session: TerminalSession) -> Finding:
    """Compare the times of records in the order of arrival, without those that this check delayed.

    Pass: no record is older than the one before. Warning: some are. The page does not promise an order, but the live
    stream shows an old face after a new one. Not tried: fewer than two records with a time came undisturbed.
    """
    disturbed = {push.name for push in session.receiver.arrived if push.answered != "ok"}
    times: list[float] = []
    counted: set[str] = set()
    for push in await seen(session):
        if push.name in counted or push.name in disturbed or (push.event or {}).get("type") != 0:
            continue
        counted.add(push.name)
        if push.timestamp is not None:
            times.append(push.timestamp)
    late = sum(later < earlier for earlier, later in pairwise(times))
    if late:
        return warned(
            f"{late} of {len(times)} came after a newer one",
            f"{len(times)} 条中有 {late} 条晚于更新的事件到达",
        )
    if len(times) < 2:
        raise NotTried(
            f"{len(times)} undisturbed records with a time came; two are needed to compare",
            f"未受干扰且带时间的记录只有 {len(times)} 条；至少需要两条才能比较",
        )
    return passed(f"{len(times)} records in order", f"{len(times)} 条记录顺序一致")
