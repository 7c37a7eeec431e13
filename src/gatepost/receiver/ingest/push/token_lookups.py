"""Decide on pushes whose token this process does not know: the desk asks the store, and they wait meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from gatepost.errors import StoreError
from gatepost.receiver.ingest.push.push import Push, Refuse, rejection_of
from gatepost.receiver.terminals.claims import Claim, Policy, Rejected, Taken
from gatepost.receiver.terminals.directory import Directory
from gatepost.receiver.terminals.identify import decide
from gatepost.wire import encode_reply

if TYPE_CHECKING:
    from gatepost.receiver.processes.desk_line import DeskLine

__all__ = ["SIZE_OF_PUSH", "TokenLookups"]

log = structlog.get_logger(__name__)

MAX_ASKING_BYTES, SIZE_OF_PUSH = 32 * 1024 * 1024, 8192
"""Bytes of bodies whose tokens are being looked up, and what each of them takes besides."""


class TokenLookups:
    """Holds the pushes that wait for the desk, and decides on them when it has told."""

    def __init__(
        self,
        directory: Directory,
        desk: DeskLine,
        *,
        policy: Callable[[], Policy],
        now: Callable[[], float],
    ) -> None:
        """``policy`` returns the one in force; ``now`` returns Unix seconds."""
        self._directory = directory
        self._desk = desk
        self._policy = policy
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0
        """Of pushes that wait; their senders may have left."""

    def start(self, asking: Coroutine[Any, Any, None], size: int) -> None:
        """Have a push wait. ``size``: what it takes meanwhile, in bytes. Raises :class:`Refuse` for too many."""
        if self._bytes + size > MAX_ASKING_BYTES:
            asking.close()
            raise Refuse(503, "too many tokens are being looked up; send it again later", reason="busy")
        self._bytes += size
        task = asyncio.get_running_loop().create_task(asking)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._bytes -= size
            self._tasks.discard(task)

        task.add_done_callback(done)

    async def decide(self, claim: Claim) -> Taken | Rejected:
        """Decide with what the store knows of the token; raises :class:`Refuse` while it cannot be asked."""
        directory, desk = self._directory, self._desk
        token = claim.token or b""
        try:
            if not directory.knows_token(token):
                directory.learn_token(token, await desk.holder(token))
            decision = directory.decide(claim, self._policy())
            if isinstance(decision, Taken) and decision.first_use:
                # Stored before the event is: from here on nobody else is taken for this terminal.
                # The desk has told every ingest by then, and maybe of a later change: so nothing is learnt here.
                if await desk.use(token, at_ms=int(self._now() * 1000)) is None:
                    directory.learn_token(token, None)
                decision = directory.decide(claim, self._policy())
        except StoreError:
            # The error's text names the database's host or folder. A terminal must not see those.
            message = (
                "the token cannot be looked up while the receiver's database is away; send it again later"
            )
            raise Refuse(503, message, reason="store unavailable") from None
        return decision

    async def try_out(self, push: Push, claim: Claim) -> None:
        """Say whether a push would be taken. Nothing of it is stored or counted, and no terminal is made."""
        directory, token = self._directory, claim.token
        status, message = 503, "the token cannot be looked up while the receiver's database is away"
        try:
            if token is not None and not directory.knows_token(token):
                directory.learn_token(token, await self._desk.holder(token))
            decision = decide(claim, directory, self._policy())
            status, message = 200, "a test: it would be taken, and nothing of it is stored"
            if isinstance(decision, Rejected):
                refusal = rejection_of(decision, push)
                status, message = refusal.status, refusal.message
        except StoreError:
            pass
        except Exception as error:
            log.error("ingest.test_failed", kind=type(error).__name__)
        push.answer(status, encode_reply(status, message))
