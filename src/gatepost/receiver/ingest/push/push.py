"""One push on its way through the ingest: what was sent, who waits for its reply, and a refusal."""

from __future__ import annotations

from collections.abc import Callable, Container

from gatepost.errors import StoreUnavailable
from gatepost.receiver.terminals.claims import Rejected
from gatepost.receiver.terminals.sources import token_digest
from gatepost.wire import SUCCESS

__all__ = ["Answer", "Headers", "Push", "Refuse", "Together", "failed", "rejection_of", "unavailable"]

Headers = dict[bytes, bytes]
"""By name in lower case; of a name that comes twice, the last."""

Answer = Callable[[int, bytes], None]
"""Takes status and body, once."""


class Refuse(Exception):
    """Carries a reply out of the flow; it never leaves the ingest."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str,
        terminal_id: int | None = None,
        serial: str | None = None,
    ) -> None:
        """``reason`` is what the refusal is counted under, and ``terminal_id`` for whom, where that is known.

        ``serial``: as the push names it.
        """
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.reason = reason
        self.terminal_id = terminal_id
        self.serial = serial


class Push:
    """A push as it was sent, and the sender that waits for its reply."""

    __slots__ = ("answer", "body", "headers", "peer", "refuse", "size", "target", "token")

    def __init__(
        self,
        *,
        token: str,
        target: bytes,
        headers: Headers,
        peer: str,
        body: bytes,
        answer: Answer,
        refuse: Callable[[Push, Refuse], None],
    ) -> None:
        """``refuse`` counts a refusal and replies with it."""
        self.token = token
        self.target = target
        self.headers = headers
        self.peer = peer
        self.body = body
        self.size = len(body)
        """Bytes of the body as it came."""
        self.answer = answer
        self.refuse = refuse

    def is_of_a_source(self, sources: Container[bytes]) -> bool:
        """Return whether its token is that of a source; ``sources`` by the digests of their tokens."""
        return bool(self.token) and token_digest(self.token) in sources

    def settled(self, error: StoreUnavailable | None) -> None:
        """Acknowledge the push if the journal has it, and refuse it otherwise."""
        if error is None:
            self.answer(200, SUCCESS)
        else:
            self.refuse(self, unavailable(error))


class Together:
    """Several events of one push, with one reply once all are settled: 200, or the first refusal.

    What is on disk by then stays there, and is a duplicate when the push is sent again.
    """

    def __init__(self, push: Push, count: int) -> None:
        self._push = push
        self._open = count
        self._refusal: Refuse | None = None

    def part(self) -> Push:
        """Return what stands for one of the events."""
        push = self._push
        return Push(
            token=push.token,
            target=push.target,
            headers=push.headers,
            peer=push.peer,
            body=b"",
            answer=lambda _status, _reply: self._settle(None),
            refuse=lambda _part, refusal: self._settle(refusal),
        )

    def _settle(self, refusal: Refuse | None) -> None:
        self._refusal = self._refusal or refusal
        self._open -= 1
        if self._open:
            return
        if self._refusal is None:
            self._push.answer(200, SUCCESS)
        else:
            self._push.refuse(self._push, self._refusal)


def unavailable(error: Exception) -> Refuse:
    """Return the refusal of a push that the store does not take now."""
    return Refuse(503, str(error), reason="store unavailable")


def failed() -> Refuse:
    """Return the refusal of a push at which the receiver itself failed."""
    return Refuse(503, "the receiver failed; send it again later", reason="failed")


def rejection_of(decision: Rejected, push: Push) -> Refuse:
    """Return the refusal of a push whose terminal is not taken."""
    if decision.status == 404 and not push.target.endswith(push.token.encode("latin-1", "replace")):
        # The path is right: the token stood in the header.
        message = "no terminal has the token in X-Gatepost-Token; copy the one that belongs to the terminal"
        return Refuse(403, message, reason=decision.reason, serial=decision.serial)
    return Refuse(
        decision.status,
        decision.message,
        reason=decision.reason,
        terminal_id=decision.terminal_id,
        serial=decision.serial,
    )
