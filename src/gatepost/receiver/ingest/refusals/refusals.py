"""Refuse a push: count it and list it for its terminal, and reply."""

from __future__ import annotations

from gatepost.receiver.http.connections.limits import Refusal
from gatepost.receiver.http.redact import serial_in
from gatepost.receiver.ingest.options import Options
from gatepost.receiver.ingest.paths import PushPaths
from gatepost.receiver.ingest.push.head import header_text, sender_address
from gatepost.receiver.ingest.push.push import Headers, Push, Refuse
from gatepost.receiver.ingest.refusals.counters import Tally
from gatepost.receiver.ingest.refusals.refused_pushes import RefusedPushes
from gatepost.receiver.terminals.claims import Claim, Introduced
from gatepost.receiver.terminals.directory import Directory
from gatepost.receiver.terminals.identify import decide
from gatepost.receiver.terminals.sources import token_digest
from gatepost.store.types.refusals import RefusedPush
from gatepost.wire import encode_reply

__all__ = ["Refusals"]

_REASONS = {400: "malformed", 408: "slow", 413: "too large", 431: "too large a head", 503: "busy"}
"""Under which a refusal by the guard is counted."""


class Refusals:
    """Counts and lists what ingest and guard refuse."""

    def __init__(
        self, paths: PushPaths, directory: Directory, tally: Tally, listed: RefusedPushes, *, options: Options
    ) -> None:
        self._paths = paths
        self._directory = directory
        self._tally = tally
        self._listed = listed
        self._options = options

    def decide_by(self, options: Options) -> None:
        """Tell whose pushes are by other options from now on."""
        self._options = options

    def refuse(self, push: Push, refuse: Refuse) -> None:
        """Count and list a refusal of the ingest, and reply with it."""
        whose = refuse.terminal_id
        if whose is None:
            whose = self._terminal_of(push.token, push.headers, push.peer)
        self._tally.refused(whose, refuse.reason)
        listed = RefusedPush(
            peer=push.peer,
            reason=refuse.reason,
            status=refuse.status,
            path=self._paths.shown(push.target.decode("latin-1")),
            serial=refuse.serial or header_text(push.headers.get(b"sn")) or serial_in(push.body) or "",
        )
        self._listed.add(listed, detail=refuse.message, body=push.body)
        push.answer(refuse.status, encode_reply(refuse.status, refuse.message))

    def misdirected(self, peer: str, path: str, serial: str | None, message: str) -> None:
        """List a push that went to a path where none is taken."""
        push = RefusedPush(peer=peer, reason="path", status=404, path=path, serial=serial or "")
        self._listed.add(push, detail=message)

    def count(self, refusal: Refusal) -> None:
        """Count and list what the guard refused, for the terminal that it was, as far as its head tells."""
        push, whose = self._of_guard(refusal)
        # Without a head it need not have been a push. It is listed, but counted for a known terminal only.
        if whose is not None or (
            refusal.scope is not None and self._paths.token_in(refusal.scope["path"]) is not None
        ):
            self._tally.refused(whose, push.reason)
        self._listed.add(push, detail=refusal.message, body=refusal.body)

    def sample(self, refusal: Refusal) -> None:
        """Keep a sample of a body that began to arrive after it was refused."""
        self._listed.sample(self._of_guard(refusal)[0], refusal.body)

    def _of_guard(self, refusal: Refusal) -> tuple[RefusedPush, int | None]:
        """Return how a refusal of the guard is listed, and which terminal's it was."""
        scope, headers, token, path = refusal.scope, Headers(), "", ""
        proxies = self._options.trusted_proxies
        peer = sender_address(refusal.peer, {}, (), proxies)
        if scope is not None:
            headers = dict(scope["headers"])
            peer = sender_address(refusal.peer, headers, scope["headers"], proxies)
            token = self._paths.token_in(scope["path"]) or ""
            path = self._paths.shown(scope["path"])
        whose = self._terminal_of(token, headers, peer)
        serial = header_text(headers.get(b"sn")) or serial_in(refusal.body) or ""
        reason = _REASONS.get(refusal.status, "malformed")
        return RefusedPush(peer=peer, reason=reason, status=refusal.status, path=path, serial=serial), whose

    def _terminal_of(self, token: str, headers: Headers, peer: str) -> int | None:
        """Return whose push it was, as far as its head tells and without asking the store."""
        claim = Claim(token_digest(token) if token else None, header_text(headers.get(b"sn")), None, peer)
        decision = decide(claim, self._directory, self._options.policy)
        return None if isinstance(decision, Introduced) else decision.terminal_id
