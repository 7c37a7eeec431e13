"""Notify people of events, by mail or in a group of a chat service. Events that rules leave out are not sent.

The destination's own ``url`` only names the service. Mail goes to the server in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b

from gatepost.egress import Egress
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.notify import NotifyOptions
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.sinks import LeftOut, Outgoing, Result
from gatepost.forward.sinks.notify.chat import Chat
from gatepost.forward.sinks.notify.mail import Mail
from gatepost.forward.sinks.notify.rules import Rules
from gatepost.wire import Delivered

__all__ = ["Notify"]

_TEST = {"en": ("gatepost test", "This message is a test."), "zh": ("gatepost 测试", "这是一条测试消息。")}
"""Title and text of a test message."""


class Notify:
    """See :class:`gatepost.forward.sinks.Sink`."""

    def __init__(
        self,
        told: Destination,
        secrets: Secrets,
        egress: Egress,
        *,
        now: Callable[[], float] = time.time,
        at: str = "",
    ) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for what cannot be used.

        ``at``: scheme and host of a double of the service, for tests.
        """
        self._now = now
        options = told.notify or NotifyOptions()
        self._rules = Rules(options)
        self._language = options.language
        self._way: Mail | Chat
        if told.url.startswith("smtp"):
            self._way = Mail(told, options, secrets, egress)
        else:
            self._way = Chat(told, options, secrets, egress, at)

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """See :meth:`gatepost.forward.sinks.Sink.send`. One message for all of them, if it has the room."""
        now = self._now()
        if batch[0].is_test:  # it passes by the rules, which choose no made-up event
            title, line = _TEST[self._language]
            return await self._way.send(title, [line], batch[0].id, now)
        decision = self._rules.decide(
            [event.row for event in batch], int(now * 1000), [event.mark for event in batch]
        )
        told: list[Result] = []
        if decision.lines:
            named = blake2b(b" ".join(event.id.encode() for event in batch), digest_size=12).hexdigest()
            told = await self._way.send(decision.title, decision.lines, named, now)
        self._rules.note(decision, [isinstance(one.outcome, Delivered) for one in told])
        results = iter(told)
        return [
            Result(outcome=LeftOut(fate.left_out)) if fate.left_out else next(results)
            for fate in decision.fates
        ]

    async def close(self) -> None:
        """See :meth:`gatepost.forward.sinks.Sink.close`."""
        await self._way.close()
