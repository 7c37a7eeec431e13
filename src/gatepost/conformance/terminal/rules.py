"""Every rule for terminals, in the order in which they are tried, and the run that ends with restoring.

Flow: ``examine`` → ``Visit.remember`` → the rules → ``Visit.restore``, also when the run is interrupted.
"""

from collections.abc import Callable, Sequence

from gatepost.conformance.rule import Result, Rule
from gatepost.conformance.runner import run
from gatepost.conformance.terminal import http_api as service
from gatepost.conformance.terminal import pushes as pushes
from gatepost.conformance.terminal import replies as replies
from gatepost.conformance.terminal import retries as resending
from gatepost.conformance.terminal.session import Visit

__all__ = ["RULES", "examine"]

RULES: tuple[Rule[Visit], ...] = (
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
    visit: Visit, *, rules: Sequence[Rule[Visit]] = RULES, told: Callable[[Result], None] = lambda _: None
) -> tuple[Result, ...]:
    """Hold the terminal against ``rules``, and restore its subscription whatever happens.

    The post must be open. Cancelling it restores the subscription too, before the cancellation goes on.
    """
    await visit.remember()
    try:
        return await run(rules, visit, told=told)
    finally:
        await visit.restore()
