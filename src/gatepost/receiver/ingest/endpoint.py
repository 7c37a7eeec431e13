"""Where pushes come in: ``POST /Record`` and ``POST /Record/TOKEN``, and every further path of the settings.

The token may stand in the header ``X-Gatepost-Token`` instead of the path.

Rules:

* ``{"code": 200, "message": "success", "data": {}}`` is said only after the sync, and to a duplicate as well.
* Every other reply has the same shape, and its ``code`` is the HTTP status (the page, 响应结构).
* A passage is never lost for a detail: the decoding is lenient, and what is wrong is noted on the event. A JSON
  object that is no event is kept raw. What is no JSON object, too large, too deep or of another content type is
  refused, and counted for its terminal: nothing of it could be kept.
* A body may have several events, as a list or in lines. They are of one sender, and acknowledged when all are on disk.
* A body may become fifty times as large when it is read, if there is hardly anything in it but brackets and commas.
  So what has more values than any terminal sends is refused unread (:data:`MAX_VALUES`), and the values of all long
  bodies whose replies are not out share a budget (:data:`VALUES_AT_ONCE`); a request beyond it gets 503.
* A push with the header ``X-Gatepost-Test`` is told whether it would be taken, and leaves nothing behind.
* The ingest stands in front of the web framework, and in front of ASGI: a push costs one decoding and two calls,
  no task. A task is made only when a token is seen for the first time.

Flow: ``take`` → headers → ``decode_many`` → ``Directory.decide`` → ``GroupCommit.enqueue`` → ``settled`` → reply.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, cast

import structlog
from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import DecodeError, StoreError
from gatepost.journal.format import MAX_BODY
from gatepost.receiver.http.limits import Refusal, Request
from gatepost.receiver.http.redact import serial_in
from gatepost.receiver.ingest.push.push import (
    NO_JSON_TYPE,
    OTHER_SERIAL,
    BodyType,
    Headers,
    Push,
    Refuse,
    Together,
    check_head,
    failed,
    header_text,
    key_of,
    milliseconds,
    one_token,
    site_of,
    unavailable,
)
from gatepost.receiver.ingest.push.quotas import Amounts, Quotas
from gatepost.receiver.ingest.push.serials import first_serial, serial_of
from gatepost.receiver.ingest.refusals.refused_pushes import RefusedPushes, masked
from gatepost.receiver.processes.gauges import ReplyTimes
from gatepost.receiver.terminals.claims import Claim, Introduced, Policy, Rejected, Taken
from gatepost.receiver.terminals.directory import Directory
from gatepost.receiver.terminals.identify import MAX_SERIAL, decide
from gatepost.receiver.terminals.networks import Networks, peer_address
from gatepost.receiver.terminals.sources import token_digest
from gatepost.store.conversion.limits import MAX_TEXT, cut_texts
from gatepost.store.conversion.rows import clock_problems
from gatepost.store.query.reprocess import in_zone, separated
from gatepost.store.refusal_types import RefusedPush
from gatepost.store.types import Arrival
from gatepost.wire import (
    Alarm,
    Decoded,
    Dialect,
    Problem,
    Unknown,
    decode_many,
    encode_reply,
    without_pins,
)

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

    from gatepost.receiver.ingest.commit.frames import Frames
    from gatepost.receiver.ingest.commit.group_commit import GroupCommit
    from gatepost.receiver.ingest.refusals.counters import Tally
    from gatepost.receiver.processes.desk_line import DeskLine

__all__ = ["LONG_TEXT", "MAX_VALUES", "VALUES_AT_ONCE", "Ingest", "Options"]

log = structlog.get_logger(__name__)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

MAX_VALUES = 65_536
"""Values of one body: its objects and lists, and what stands in them. A push has some forty, and the answer to a
terminal's question for its history, which is 200 records, ten thousand."""

VALUES_AT_ONCE = 8 * MAX_VALUES
"""Values of all bodies together, from their reading to their reply. They take some 40 MB; the worst of them, 75."""

MAX_ASKING_BYTES, SIZE_OF_PUSH = 32 * 1024 * 1024, 8192
"""Bytes of bodies whose tokens are being looked up, and what each of them takes besides."""

LONG_TEXT = 2048
"""Bytes of a body without its image, from which on its values are counted. The usual push has a fourth of them."""

_LONG_BODY = 65_536
"""Bytes of a body with its image, from which on they are counted before it is read."""

_IMAGES = (b'"rgb_image"', b'"alarm_photo"')

_REASONS = {400: "malformed", 408: "slow", 413: "too large", 431: "too large a head", 503: "busy"}
"""Under which a refusal by the guard is counted."""


class Options(Struct, frozen=True, kw_only=True):
    """The settings that the ingest looks at."""

    paths: tuple[str, ...] = ("/Record",)
    max_body_bytes: int = 8 * 1024 * 1024
    max_depth: int = 64
    on_invalid: Literal["quarantine", "refuse"] = "quarantine"
    retry_after_s: int = 5
    images: Literal["store", "off"] = "store"
    trusted_proxies: Networks = Networks((), setting="trusted_proxies")
    client_certificates: bool = False
    """Whether only connections with a client certificate may push."""
    policy: Policy = Policy()
    amounts: Amounts = Amounts()


class Ingest:
    """Takes pushes: directly from the guard (:meth:`take`), or as an ASGI application (``__call__``)."""

    def __init__(
        self,
        journal: GroupCommit,
        frames: Frames,
        desk: DeskLine,
        directory: Directory,
        tally: Tally,
        refused: RefusedPushes,
        *,
        options: Options,
        secret: bytes,
        now: Callable[[], float],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``secret``: the store's, with which the keys of events are made. ``now`` returns Unix seconds.

        ``clock`` returns seconds for the time that a reply takes.
        """
        self._journal = journal
        self._frames = frames
        self._desk = desk
        self._secret = secret
        self._directory = directory
        self._tally = tally
        self._refused = refused
        self._options = options
        self._now = now
        self._quotas = Quotas(options.amounts)
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock = clock
        self.replies = ReplyTimes()
        self._asking_bytes = 0
        """Of pushes whose tokens are being looked up; their senders may have left."""
        self._heard: dict[int, int] = {}
        """When terminals last pushed, in milliseconds, since this was taken."""
        self._values = 0
        """Of the long bodies whose replies are not out."""
        paths = [path.rstrip("/") for path in options.paths]
        self._exact = frozenset(paths + [path + "/" for path in paths])
        self._prefixes = tuple(path + "/" for path in paths)
        self._targets = {path.encode(): "" for path in self._exact}

    def decide_by(self, policy: Policy, amounts: Amounts) -> None:
        """Decide later pushes by other settings; what was counted stays counted."""
        self._options = replace(self._options, policy=policy, amounts=amounts)
        self._quotas.limit(amounts)

    def address(self, path: str) -> str | None:
        """Answer the token in a path, empty where it has none; ``None`` if nothing is received there."""
        if path in self._exact:
            return ""
        for prefix in self._prefixes:
            if path.startswith(prefix) and "/" not in path[len(prefix) :]:
                return path[len(prefix) :]
        return None

    def wants(self, target: bytes) -> bool:
        """Whether a request with this target can be taken without taking the target apart."""
        if target in self._targets:
            return True
        path = target.decode("latin-1")
        return path.isascii() and "%" not in path and "?" not in path and self.address(path) is not None

    def take(self, request: Request) -> None:
        """Take one push, and answer it when it is stored. Raises nothing."""
        token = self._targets.get(request.target)
        if token is None:
            token = self.address(request.target.decode("latin-1")) or ""
        headers: Headers = dict(request.headers)
        peer = self._peer(request.address, headers, request.headers)
        respond, clock, began = request.answer, self._clock, self._clock()

        def reply(status: int, body: bytes) -> None:
            respond(status, body)
            self.replies.observe(clock() - began)

        push = Push(
            token=token,
            target=request.target,
            headers=headers,
            peer=peer,
            body=request.body,
            answer=reply,
            refuse=self._refuse,
        )
        try:
            if request.method != b"POST":
                raise Refuse(405, "events are pushed with POST", reason="method")
            if self._options.client_certificates and not request.certified:
                raise Refuse(
                    403,
                    "a push needs a client certificate that an authority in client_ca_file signed",
                    reason="client certificate",
                )
            if b"x-gatepost-token" in headers:
                push.token = one_token(token, request.headers)
            self._store_push(push)
        except Refuse as refuse:
            self._refuse(push, refuse)
        except StoreError as error:
            self._refuse(push, unavailable(error))
        except Exception as error:
            log.error("ingest.failed", kind=type(error).__name__)
            self._refuse(push, failed())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one push, as an ASGI application."""
        try:
            body = await self._read(receive)
        except Refuse as refuse:
            self.count_refusal(
                Refusal(refuse.status, refuse.message, _client(scope), cast("HTTPScope", scope))
            )
            await _send(send, refuse.status, encode_reply(refuse.status, refuse.message), self._options)
            return
        if body is None:
            return
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def answer(status: int, reply: bytes) -> None:
            if not answered.done():
                answered.set_result((status, reply))

        self.take(
            Request(
                scope["method"].encode(),
                scope["path"].encode("latin-1", "replace"),
                list(scope["headers"]),
                _client(scope),
                body,
                answer,
                "tls" in scope.get("extensions", ()),
            )
        )
        status, reply = await answered
        await _send(send, status, reply, self._options)

    async def misdirected(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a push that went to a path where nothing is received, and remember it to be shown."""
        headers: Headers = dict(scope["headers"])
        serial = header_text(headers.get(b"sn"))
        body = await self._read(receive)
        if body is None:
            return
        if serial is None:
            with suppress(Refuse):
                serial = first_serial(self._decode(body, BodyType()))
        peer = self._peer(_client(scope), headers, scope["headers"])
        message = (
            f"nothing is received at this path; let the terminal push to {', '.join(self._options.paths)}"
        )
        push = RefusedPush(peer=peer, reason="path", status=404, path=scope["path"], serial=serial or "")
        self._refused.add(push, detail=message)
        await _send(send, 404, encode_reply(404, message), self._options)

    async def turned_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell a terminal to try again: this receiver takes no pushes, and another one of its database does."""
        if await self._read(receive) is not None:
            message = "this receiver takes no pushes (role desk); let the proxy pass them to one that does"
            await _send(send, 503, encode_reply(503, message), self._options)

    def count_refusal(self, refusal: Refusal) -> None:
        """Count and list what the guard refused, for the terminal that it was, as far as its head tells."""
        push, whose = self._of_guard(refusal)
        # Without a head it need not have been a push. It is listed, but counted for a known terminal only.
        if whose is not None or (
            refusal.scope is not None and self.address(refusal.scope["path"]) is not None
        ):
            self._tally.refused(whose, push.reason)
        self._refused.add(push, detail=refusal.message, body=refusal.body)

    def sample_refusal(self, refusal: Refusal) -> None:
        """Keep a sample of a body that began to arrive after it was refused."""
        self._refused.sample(self._of_guard(refusal)[0], refusal.body)

    def _of_guard(self, refusal: Refusal) -> tuple[RefusedPush, int | None]:
        """Return how a refusal of the guard is listed, and which terminal's it was."""
        scope, headers, token, path = refusal.scope, Headers(), "", ""
        peer = self._peer(refusal.peer, {}, ())
        if scope is not None:
            headers = dict(scope["headers"])
            peer = self._peer(refusal.peer, headers, scope["headers"])
            token = self.address(scope["path"]) or ""
            path = _path(scope["path"], token)
        whose = self._terminal_of(token, headers, peer)
        serial = header_text(headers.get(b"sn")) or serial_in(refusal.body) or ""
        reason = _REASONS.get(refusal.status, "malformed")
        return RefusedPush(peer=peer, reason=reason, status=refusal.status, path=path, serial=serial), whose

    def take_heard(self) -> list[tuple[int, int]]:
        """Take the terminals that pushed since the last call, and when, in milliseconds; without new ones."""
        heard, self._heard = self._heard, {}
        taken = []
        for terminal_id, at_ms in heard.items():
            stored_id = self._directory.stored_id(terminal_id)
            if stored_id is None:
                self._heard[terminal_id] = at_ms
            else:
                taken.append((stored_id, at_ms))
        return taken

    # The steps of one push.

    def _store_push(self, push: Push) -> None:
        headers = push.headers
        events = self._decode(push.body, check_head(headers))
        text = events[0].original if len(events) == 1 else push.body
        size = len(push.body) + SIZE_OF_PUSH
        push.body = b""  # the image waits for its commit once, not as base64 as well
        if len(text) > LONG_TEXT:
            self._weigh(push, text)
        claim = Claim(
            token_digest(push.token) if push.token else None,
            header_text(headers.get(b"sn")),
            first_serial(events),
            push.peer,
            *self._site_of(push),
        )
        if b"x-gatepost-test" in headers:
            self._ask_later(self._try_out(push, claim), size)
            return
        decision = self._directory.decide(claim, self._options.policy)
        if type(decision) is Taken and not decision.first_use:
            self._commit(push, events, decision, claim)
        elif isinstance(decision, Rejected) and (
            claim.token is None or self._directory.knows_token(claim.token)
        ):
            raise _rejection(decision, push)
        else:
            self._ask_later(self._ask(push, events, claim), size)

    def _site_of(self, push: Push) -> tuple[str | None, str | None]:
        """Return the site that a source says, and its time zone."""
        if b"x-gatepost-site" not in push.headers or not self._is_of_a_source(push):
            return None, None
        return site_of(push.headers[b"x-gatepost-site"], push.headers.get(b"x-gatepost-timezone"))

    def _is_of_a_source(self, push: Push) -> bool:
        return bool(push.token) and token_digest(push.token) in self._options.policy.sources

    def _ask_later(self, asking: Coroutine[Any, Any, None], size: int) -> None:
        """Have a push wait for what the store knows. ``size``: what it takes meanwhile, in bytes."""
        if self._asking_bytes + size > MAX_ASKING_BYTES:
            asking.close()
            raise Refuse(503, "too many tokens are being looked up; send it again later", reason="busy")
        self._asking_bytes += size
        task = asyncio.get_running_loop().create_task(asking)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._asking_bytes -= size
            self._tasks.discard(task)

        task.add_done_callback(done)

    def _weigh(self, push: Push, text: bytes) -> None:
        """Count the values of a body until its reply is out."""
        values, answer = _values(text), push.answer
        if self._values + values > VALUES_AT_ONCE:
            raise Refuse(503, "too much is being worked on; send it again later", reason="busy")
        self._values += values

        def answered(status: int, reply: bytes) -> None:
            self._values -= values
            answer(status, reply)

        push.answer = answered

    def _decode(self, body: bytes, kind: BodyType) -> tuple[Decoded, ...]:
        """Return the event of a body, or its events. Raises :class:`Refuse`."""
        options = self._options
        if len(body) > _LONG_BODY and _values(body) > MAX_VALUES:
            raise Refuse(400, f"a body is limited to {MAX_VALUES} values", reason="too many values")
        try:
            events = decode_many(body, lenient=True, max_depth=options.max_depth, charset=kind.charset)
        except DecodeError as error:
            if not kind.is_json:
                why = f"the content type of an event is application/json, and this is no JSON either: {error}"
                raise Refuse(415, why, reason="content type") from None
            raise Refuse(400, str(error), reason="no JSON") from None
        except Exception as error:
            # A defect of ours must not keep a terminal's queue from moving: what it sent is kept for later.
            log.error("ingest.decoder_failed", kind=type(error).__name__)
            problem = Problem("", f"could not be decoded ({type(error).__name__})")
            events = (Decoded(Unknown({}), Dialect.V1_3_0, (problem,), without_pins(body)),)
        unknown = next((decoded for decoded in events if type(decoded.event) is Unknown), None)
        if unknown is not None and options.on_invalid == "refuse":
            why = "; ".join(f"{problem.where} {problem.why}" for problem in unknown.problems)
            raise Refuse(400, why or "type must be 0 or 1", reason="no event")
        if not kind.is_json:
            events = tuple(replace(one, problems=(*one.problems, NO_JSON_TYPE)) for one in events)
        return events

    async def _ask(self, push: Push, events: tuple[Decoded, ...], claim: Claim) -> None:
        """Take a push that needs the store first: whose its token is, or that the token is used for the first time."""
        try:
            decision = await self._looked_up(claim)
            if not isinstance(decision, Taken):
                raise _rejection(decision, push)
            self._commit(push, events, decision, claim)
        except Refuse as refuse:
            self._refuse(push, refuse)
        except StoreError as error:
            self._refuse(push, unavailable(error))
        except Exception as error:
            log.error("ingest.token_failed", kind=type(error).__name__)
            self._refuse(push, failed())

    async def _try_out(self, push: Push, claim: Claim) -> None:
        """Say whether a push would be taken. Nothing of it is stored or counted, and no terminal is made."""
        directory, token = self._directory, claim.token
        status, message = 503, "the token cannot be looked up while the receiver's database is away"
        try:
            if token is not None and not directory.knows_token(token):
                directory.learn_token(token, await self._desk.holder(token))
            decision = decide(claim, directory, self._options.policy)
            status, message = 200, "a test: it would be taken, and nothing of it is stored"
            if isinstance(decision, Rejected):
                refusal = _rejection(decision, push)
                status, message = refusal.status, refusal.message
        except StoreError:
            pass
        except Exception as error:
            log.error("ingest.test_failed", kind=type(error).__name__)
        push.answer(status, encode_reply(status, message))

    async def _looked_up(self, claim: Claim) -> Taken | Rejected:
        """Decide with what the store knows of the token; raises :class:`Refuse` while it cannot be asked."""
        directory, desk = self._directory, self._desk
        token = claim.token or b""
        try:
            if not directory.knows_token(token):
                directory.learn_token(token, await desk.holder(token))
            decision = directory.decide(claim, self._options.policy)
            if isinstance(decision, Taken) and decision.first_use:
                # Stored before the event is: from here on nobody else is taken for this terminal.
                # The desk has told every ingest by then, and maybe of a later change: so nothing is learnt here.
                if await desk.use(token, at_ms=int(self._now() * 1000)) is None:
                    directory.learn_token(token, None)
                decision = directory.decide(claim, self._options.policy)
        except StoreError:
            # The error's text names the database's host or folder. A terminal must not see those.
            message = (
                "the token cannot be looked up while the receiver's database is away; send it again later"
            )
            raise Refuse(503, message, reason="store unavailable") from None
        return decision

    def _commit(self, push: Push, events: Sequence[Decoded], taken: Taken, claim: Claim) -> None:
        """Hand the events of a push to the journal.

        Raises :class:`~gatepost.errors.StoreError` if a single one cannot be queued, and :class:`Refuse` if it is too
        large or beyond a quota. Several are answered together.
        """
        self._count(push, events, taken)
        if len(events) == 1:
            self._enqueue(push, events[0], taken)
            return
        together = Together(push, len(events))
        for decoded in events:
            part = together.part()
            try:
                self._enqueue(part, decoded, self._of_list(taken, decoded, claim))
            except Refuse as refuse:
                part.refuse(part, refuse)
            except StoreError as error:
                part.refuse(part, unavailable(error))
            except Exception as error:
                log.error("ingest.failed", kind=type(error).__name__)
                part.refuse(part, failed())

    def _count(self, push: Push, events: Sequence[Decoded], taken: Taken) -> None:
        """Count a push of a terminal that is not approved. Raises :class:`Refuse` beyond its quotas."""
        directory = self._directory
        if directory.is_approved(taken.terminal_id):
            return
        setting = self._quotas.take(
            directory.serial_of(taken.terminal_id) or f"at {push.peer}",
            push.peer,
            events=len(events),
            size=push.size,
            quarantined=sum(type(one.event) is Unknown for one in events),
            now=self._now(),
        )
        if setting is not None:
            raise Refuse(
                503,
                f"more comes from this terminal or its address than is taken before it is approved; see {setting}",
                reason="quota",
                terminal_id=taken.terminal_id,
            )

    def _of_list(self, taken: Taken, decoded: Decoded, claim: Claim) -> Taken:
        """Return how one event of several is taken: all are of one sender, whatever else this one says."""
        said = (serial_of(decoded.event) or "").strip()[:MAX_SERIAL]
        if said == (claim.body or "").strip():
            return taken
        disagreements = [one for one in taken.disagreements if one[0] != "body"]
        problems = taken.problems
        if said and said != self._directory.serial_of(taken.terminal_id):
            disagreements.append(("body", said))
            problems = (*problems, OTHER_SERIAL)
        return replace(taken, disagreements=tuple(disagreements), problems=problems)

    def _enqueue(self, push: Push, decoded: Decoded, taken: Taken) -> None:
        headers = push.headers
        event, cut = cut_texts(decoded.event)
        event, original, images, has_texts = separated(event, decoded.original)
        if self._options.images == "off":
            images, has_texts = (), False
        problems = decoded.problems + cut + taken.problems
        if decoded.local_time is not None:
            event, problem = in_zone(
                event, decoded.local_time, self._directory.timezone_of(taken.terminal_id)
            )
            problems += (problem,)
        received_at_ms = int(self._now() * 1000)
        arrival = Arrival(
            terminal_id=taken.terminal_id,
            key=key_of(decoded, self._secret),  # of what came, in which nothing is filled in
            event=event,
            received_at_ms=received_at_ms,
            original=original,
            problems=problems + clock_problems(event, received_at_ms),
            dialect=decoded.dialect,
            peer=push.peer,
            bind_peer=taken.bind_peer,
            tokenless=not push.token,
            sent_at_ms=milliseconds(headers.get(b"timestamp")),
            model=_model(headers.get(b"model")),
            disagreements=taken.disagreements,
            new_terminal=self._directory.new_terminal(taken.terminal_id, at_ms=received_at_ms),
            is_backfilled=b"x-gatepost-backfilled" in headers and self._is_of_a_source(push),
        )
        body = self._frames.encode(arrival, has_texts=has_texts)
        if len(body) > MAX_BODY:
            raise Refuse(413, f"an event is limited to {MAX_BODY} bytes in the journal", reason="too large")
        self._journal.enqueue(body, push.settled, is_alarm=type(event) is Alarm, images=images)
        self._heard[taken.terminal_id] = received_at_ms

    def _refuse(self, push: Push, refuse: Refuse) -> None:
        whose = refuse.terminal_id
        if whose is None:
            whose = self._terminal_of(push.token, push.headers, push.peer)
        self._tally.refused(whose, refuse.reason)
        serial = refuse.serial or header_text(push.headers.get(b"sn")) or serial_in(push.body) or ""
        path = push.target.decode("latin-1")
        listed = RefusedPush(
            peer=push.peer,
            reason=refuse.reason,
            status=refuse.status,
            path=_path(path, self.address(path) or ""),
            serial=serial,
        )
        self._refused.add(listed, detail=refuse.message, body=push.body)
        push.answer(refuse.status, encode_reply(refuse.status, refuse.message))

    def _terminal_of(self, token: str, headers: Headers, peer: str) -> int | None:
        """Whose push it was, as far as its head tells and without asking the store."""
        claim = Claim(token_digest(token) if token else None, header_text(headers.get(b"sn")), None, peer)
        decision = decide(claim, self._directory, self._options.policy)
        return None if isinstance(decision, Introduced) else decision.terminal_id

    def _peer(self, direct: str, headers: Headers, all_headers: Iterable[tuple[bytes, bytes]]) -> str:
        trusted = self._options.trusted_proxies
        if not trusted or b"x-forwarded-for" not in headers:
            return peer_address(direct, None, trusted)
        # A header that comes twice is one list (RFC 9110, section 5.3).
        chain = b",".join(value for name, value in all_headers if name == b"x-forwarded-for")
        return peer_address(direct, chain.decode("latin-1"), trusted)

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body, or ``None`` if the sender left. Behind the guard this is one message."""
        chunks = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            chunks += message.get("body", b"")
            if len(chunks) > self._options.max_body_bytes:
                limit = self._options.max_body_bytes
                raise Refuse(413, f"a body is limited to {limit} bytes", reason="too large")
            if not message.get("more_body", False):
                return bytes(chunks)


def _values(text: bytes) -> int:
    """How many values there are in a text, at most: each begins one, or follows a comma. Its first image is passed
    over, which makes up most of a body and has none of these letters in it."""
    start = end = 0
    for name in _IMAGES:
        at = text.find(name)
        if at >= 0:
            # Behind a name is no quote but that of its value, and in a value none but that which ends it.
            start = text.find(b'"', at + len(name)) + 1
            end = text.find(b'"', start) if start else -1
            break
    if end < 0:
        start = end = 0
    return sum([text.count(mark, 0, start) + text.count(mark, end) for mark in (b"{", b"[", b",")])


def _model(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")[:MAX_TEXT]


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _path(path: str, token: str) -> str:
    """Return a path as it may be shown."""
    return path.removesuffix(token) + masked(token) if token else path


def _rejection(decision: Rejected, push: Push) -> Refuse:
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


async def _send(send: Send, status: int, body: bytes, options: Options) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"%d" % options.retry_after_s))
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
