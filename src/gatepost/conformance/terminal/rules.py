"""Every rule for terminals, in the order in which they are tried, and the run that restores the subscription.

Flow: ``examine`` → ``TerminalSession.remember`` → the rules → ``TerminalSession.restore``, also when interrupted.
"""

from collections.abc import Callable, Sequence

from gatepost.conformance.rule import Result, Rule
from gatepost.conformance.runner import run
from gatepost.conformance.terminal import http_api as service
from gatepost.conformance.terminal import pushes as pushes
from gatepost.conformance.terminal import replies as replies
from gatepost.conformance.terminal import retries as resending
from gatepost.conformance.terminal.session import TerminalSession

__all__ = ["RULES", "examine"]

RULES: tuple[Rule[TerminalSession], ...] = (
    service.encryption,
    service.authentication,
    service.login,
    service.heartbeat,
    service.unknown_path,
    service.reply_headers,
    service.subscription_read,
    service.subscription_set,
    service.subscription_long,
    service.subscription_invalid,
    pushes.delivered,
    pushes.request,
    pushes.headers,
    resending.resent_after_refusal,
    resending.resent_after_http_error,
    resending.resent_after_no_reply,
    resending.resent_after_reset,
    resending.resent_after_hang,
    replies.resent_after_400,
    replies.proxy_pages,
    replies.reply_status,
    replies.reply_wrapping,
    replies.reply_framing,
    replies.refused_one,
    replies.refused_by_all,
    replies.address_change,
    resending.outage,
    pushes.history,
    resending.switched_off,
    pushes.shape,
    pushes.image,
    resending.same_again,
    resending.duplicates,
    resending.order,
    service.restored,
)


async def examine(
    session: TerminalSession,
    *,
    rules: Sequence[Rule[TerminalSession]] = RULES,
    told: Callable[[Result], None] = lambda _: None,
) -> tuple[Result, ...]:
    """Try ``rules`` on the terminal, and restore its subscription in every case.

    The receiver must be open. Cancelling restores the subscription, too, before the cancellation goes on.
    """
    await session.remember()
    try:
        return await run(rules, session, told=told)
    finally:
        await session.restore()
