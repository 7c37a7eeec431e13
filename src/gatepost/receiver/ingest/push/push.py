"""One push on its way through the ingest: what its head says, what it is the same as, who waits for the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import StoreUnavailable
from gatepost.store.types import Arrival
from gatepost.wire import SUCCESS, Decoded, Problem, Unknown, key, key_digest
from gatepost.wire.decoding.json_repair import trimmed

__all__ = [
    "NO_JSON_TYPE",
    "OTHER_SERIAL",
    "Answer",
    "BodyType",
    "Headers",
    "Push",
    "Refuse",
    "Together",
    "check_head",
    "failed",
    "header_text",
    "kept_raw",
    "key_of",
    "milliseconds",
    "one_token",
    "site_of",
    "unavailable",
]

MAX_SITE = 200
"""Characters of the name of a site."""

log = structlog.get_logger(__name__)

Headers = dict[bytes, bytes]
"""By name in lower case; of a name that comes twice, the last."""

Answer = Callable[[int, bytes], None]
"""Takes status and body, once."""

_JSON_TYPES = {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
"""As they mostly come; whatever else may mean JSON is looked at more closely."""

NO_JSON_TYPE = Problem("Content-Type header", "is not application/json")
"""On an event that was taken all the same, because its body is JSON."""


OTHER_SERIAL = Problem("data.deviceSN", "is of another terminal than the first event of the same push")
"""On one event of several, all of which are of one sender."""


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
        """``reason`` is what the refusal is counted under; ``terminal_id``, for whom, where that is known, and
        ``serial``, what it says of itself."""
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.reason = reason
        self.terminal_id = terminal_id
        self.serial = serial


class Push:
    """What was said, and who waits for the answer."""

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
        """``refuse`` counts a refusal and answers with it."""
        self.token = token
        self.target = target
        self.headers = headers
        self.peer = peer
        self.body = body
        self.size = len(body)
        """Bytes of the body as it came."""
        self.answer = answer
        self.refuse = refuse

    def settled(self, error: StoreUnavailable | None) -> None:
        """Acknowledge the push if the journal has it, and refuse it otherwise."""
        if error is None:
            self.answer(200, SUCCESS)
        else:
            self.refuse(self, unavailable(error))


class Together:
    """Several events of one push, answered once all are settled: with 200, or with the first refusal.

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


class BodyType(Struct, frozen=True):
    """The body's type, as the head of a push names it."""

    charset: str | None = None
    """The parameter of the content type, where it names another one than UTF-8."""
    is_json: bool = True
    """False: it is taken only if it turns out to be JSON."""


_JSON = BodyType()


def check_head(headers: Headers) -> BodyType:
    """Return what the head says of the body.

    Raises :class:`Refuse` for multipart, and for a body that would have to be inflated. JSON comes under every other
    content type from libraries that were not told better.
    """
    found = _JSON
    kind = headers.get(b"content-type")
    if kind is not None and kind not in _JSON_TYPES:
        essence = kind.partition(b";")[0].strip().lower()
        if essence.startswith(b"multipart/"):
            raise Refuse(415, "the content type of an event is application/json", reason="content type")
        charset = _CHARSET.search(kind)
        name = charset[1].decode("ascii").lower() if charset is not None else "utf-8"
        found = BodyType(None if name in ("utf-8", "utf8") else name, _is_json(essence))
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        # Never inflated: a few kilobytes could become gigabytes.
        raise Refuse(415, "send the event without Content-Encoding", reason="content encoding")
    return found


_CHARSET = re.compile(rb";\s*+charset\s*+=\s*+[\"']?([A-Za-z0-9._:+-]{1,40}+)", re.IGNORECASE)


def _is_json(essence: bytes) -> bool:
    return essence in (b"application/json", b"text/json") or (
        essence.startswith(b"application/") and essence.endswith(b"+json")
    )


def one_token(in_path: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the token of a push, from its path or from ``X-Gatepost-Token``; empty where it has none.

    Refuses two that differ: one of them would be somebody else's, and which one is not to be guessed.
    """
    given = {value.strip().decode("latin-1") for name, value in headers if name == b"x-gatepost-token"}
    given = (given | {in_path}) - {""}
    if len(given) > 1:
        raise Refuse(
            403,
            "the token in the path and the one in X-Gatepost-Token differ; send one of them",
            reason="token wrong",
        )
    return next(iter(given), "")


def header_text(value: bytes | None) -> str | None:
    """A header in words; what is no UTF-8 in it is replaced."""
    return None if value is None else value.decode("utf-8", "replace")


@lru_cache(1024)
def site_of(name: bytes | None, timezone: bytes | None) -> tuple[str | None, str | None]:
    """Return the site of a push and its time zone, as the receiver says it that passes the push on.

    What cannot be one is left out: the event counts more than where it is listed.
    """
    site = _site(unquote_to_bytes(name or b"").decode("utf-8", "replace"))
    zone = (timezone or b"").decode("ascii", "replace")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return site, None
    return site, zone


def _site(text: str) -> str | None:
    """Return the name of a site, or nothing for what can be none."""
    text = text.strip()
    return text if 0 < len(text) <= MAX_SITE and text.isprintable() else None


def milliseconds(value: bytes | None) -> int | None:
    """The ``timestamp`` header, in seconds or milliseconds by its length."""
    if value is None or not value.isdigit() or len(value) > 13:
        return None
    return int(value) * (1000 if len(value) <= 11 else 1)


def key_of(decoded: Decoded, secret: bytes) -> bytes:
    """Return what makes two pushes of one terminal the same; of what is no event, a digest of its text.

    ``secret``: the store's, so that nobody else can find out whom a stored key stands for.
    """
    event = decoded.event
    if isinstance(event, Unknown):
        return _digest(trimmed(decoded.original)[0], secret)  # what is around its JSON does not matter
    return key_digest(key(event, decoded), secret)


def _digest(text: bytes, secret: bytes) -> bytes:
    return blake2b(text, digest_size=16, key=secret).digest()


def kept_raw(arrival: Arrival, why: str, secret: bytes) -> Arrival:
    """Return the same push for the quarantine: the store took every other event, but not this one.

    It is the text as it came, never a new encoding of the event: what is broken in it no encoding has, and of some
    events there is none. Its image stays where it is.
    """
    return replace(
        arrival,
        key=_digest(arrival.key + trimmed(arrival.original)[0], secret),
        event=Unknown({}),
        problems=(*arrival.problems, Problem("", why)),
    )
