"""Where pushes come in: ``POST /Record`` and ``POST /Record/TOKEN``, and every further path of the settings.

The token may stand in the header ``X-Gatepost-Token`` instead of the path.

Rules:

* ``{"code": 200, "message": "success", "data": {}}`` is said only after the sync, and to a duplicate as well.
* Every other reply has the same shape, and its ``code`` is the HTTP status (the page, 响应结构).
* A body may have several events, as a list or in lines. They are of one sender, and acknowledged when all are on disk.
* A push with the header ``X-Gatepost-Test`` is told whether it would be taken, and leaves nothing behind.
* The ingest stands in front of the web framework, and in front of ASGI: a push costs one decoding and two calls,
  no task. A task is made only when a token is seen for the first time.

Flow: ``take`` → headers → ``PushDecoder.decode`` → ``Directory.decide`` → ``Arrivals.commit`` → ``Push.settled`` →
reply.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from msgspec.structs import replace

from gatepost.errors import StoreError
from gatepost.receiver.http.connections.limits import Request
from gatepost.receiver.ingest.options import Options
from gatepost.receiver.ingest.paths import PushPaths
from gatepost.receiver.ingest.push.arrivals import Arrivals
from gatepost.receiver.ingest.push.decoding import LONG_TEXT, PushDecoder, ValueBudget
from gatepost.receiver.ingest.push.head import check_head, header_text, one_token, sender_address, site_of
from gatepost.receiver.ingest.push.push import Headers, Push, Refuse, failed, rejection_of, unavailable
from gatepost.receiver.ingest.push.serials import first_serial
from gatepost.receiver.ingest.push.token_lookups import SIZE_OF_PUSH, TokenLookups
from gatepost.receiver.ingest.quotas import Amounts
from gatepost.receiver.ingest.refusals.refusals import Refusals
from gatepost.receiver.processes.gauges import ReplyTimes
from gatepost.receiver.terminals.claims import Claim, Policy, Rejected, Taken
from gatepost.receiver.terminals.directory import Directory
from gatepost.receiver.terminals.sources import token_digest
from gatepost.wire import Decoded

if TYPE_CHECKING:
    from gatepost.receiver.processes.desk_line import DeskLine

__all__ = ["Ingest"]

log = structlog.get_logger(__name__)


class Ingest:
    """Takes pushes from the guard: see :class:`~gatepost.receiver.http.connections.limits.Express`."""

    def __init__(
        self,
        paths: PushPaths,
        directory: Directory,
        desk: DeskLine,
        arrivals: Arrivals,
        refusals: Refusals,
        *,
        options: Options,
        now: Callable[[], float],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``now`` returns Unix seconds; ``clock`` returns seconds for the time that a reply takes."""
        self._paths = paths
        self._targets = paths.targets
        self.wants = paths.wants
        self._directory = directory
        self._arrivals = arrivals
        self._refuse = refusals.refuse
        self._refusals = refusals
        self._options = options
        self._clock = clock
        self._decoder = PushDecoder(max_depth=options.max_depth, on_invalid=options.on_invalid)
        self._budget = ValueBudget()
        self._lookups = TokenLookups(directory, desk, policy=lambda: self._options.policy, now=now)
        self.replies = ReplyTimes()

    def decide_by(self, policy: Policy, amounts: Amounts) -> None:
        """Decide later pushes by other settings; what was counted stays counted."""
        self._options = replace(self._options, policy=policy, amounts=amounts)
        self._arrivals.decide_by(self._options)
        self._refusals.decide_by(self._options)

    def take(self, request: Request) -> None:
        """Take one push, and answer it when it is stored. Raises nothing."""
        token = self._targets.get(request.target)
        if token is None:
            token = self._paths.token_in(request.target.decode("latin-1")) or ""
        headers: Headers = dict(request.headers)
        peer = sender_address(request.address, headers, request.headers, self._options.trusted_proxies)
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
            self._decide(push)
        except Refuse as refuse:
            self._refuse(push, refuse)
        except StoreError as error:
            self._refuse(push, unavailable(error))
        except Exception as error:
            log.error("ingest.failed", kind=type(error).__name__)
            self._refuse(push, failed())

    def _decide(self, push: Push) -> None:
        """Hand a push to the journal, refuse it, or look its token up first."""
        headers = push.headers
        events = self._decoder.decode(push.body, check_head(headers))
        text = events[0].original if len(events) == 1 else push.body
        size = len(push.body) + SIZE_OF_PUSH
        push.body = b""  # the image waits for its commit once, not as base64 as well
        if len(text) > LONG_TEXT:
            self._budget.hold(push, text)
        claim = Claim(
            token_digest(push.token) if push.token else None,
            header_text(headers.get(b"sn")),
            first_serial(events),
            push.peer,
            *self._site_of(push),
        )
        if b"x-gatepost-test" in headers:
            self._lookups.start(self._lookups.try_out(push, claim), size)
            return
        decision = self._directory.decide(claim, self._options.policy)
        if type(decision) is Taken and not decision.first_use:
            self._arrivals.commit(push, events, decision, claim)
        elif isinstance(decision, Rejected) and (
            claim.token is None or self._directory.knows_token(claim.token)
        ):
            raise rejection_of(decision, push)
        else:
            self._lookups.start(self._look_up(push, events, claim), size)

    def _site_of(self, push: Push) -> tuple[str | None, str | None]:
        """Return the site that a source says, and its time zone."""
        if b"x-gatepost-site" not in push.headers or not push.is_of_a_source(self._options.policy.sources):
            return None, None
        return site_of(push.headers[b"x-gatepost-site"], push.headers.get(b"x-gatepost-timezone"))

    async def _look_up(self, push: Push, events: tuple[Decoded, ...], claim: Claim) -> None:
        """Take a push that needs the store first: whose its token is, or that it is used for the first time."""
        try:
            decision = await self._lookups.decide(claim)
            if not isinstance(decision, Taken):
                raise rejection_of(decision, push)
            self._arrivals.commit(push, events, decision, claim)
        except Refuse as refuse:
            self._refuse(push, refuse)
        except StoreError as error:
            self._refuse(push, unavailable(error))
        except Exception as error:
            log.error("ingest.token_failed", kind=type(error).__name__)
            self._refuse(push, failed())
