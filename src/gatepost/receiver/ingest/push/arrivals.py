"""Make an arrival of each event of a push, and hand it to the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from gatepost.errors import StoreError
from gatepost.journal.format import MAX_BODY
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.ingest.commit.group_commit import GroupCommit
from gatepost.receiver.ingest.event_keys import key_of
from gatepost.receiver.ingest.options import Options
from gatepost.receiver.ingest.push.head import milliseconds
from gatepost.receiver.ingest.push.push import Push, Refuse, Together, failed, unavailable
from gatepost.receiver.ingest.push.serials import serial_of
from gatepost.receiver.ingest.quotas import Quotas
from gatepost.receiver.terminals.claims import Claim, Taken
from gatepost.receiver.terminals.directory import Directory
from gatepost.receiver.terminals.identify import MAX_SERIAL
from gatepost.store.conversion.limits import MAX_TEXT, cut_texts
from gatepost.store.conversion.rows import clock_problems
from gatepost.store.query.reprocess import in_zone, separated
from gatepost.store.types.arrivals import Arrival
from gatepost.wire import Alarm, Decoded, Problem, Unknown

__all__ = ["OTHER_SERIAL", "Arrivals"]

log = structlog.get_logger(__name__)

OTHER_SERIAL = Problem("data.deviceSN", "is of another terminal than the first event of the same push")
"""On one event of several, all of which are of one sender."""


class Arrivals:
    """Queues events of pushes that are taken, within the quotas, and notes when their terminals were heard."""

    def __init__(
        self,
        journal: GroupCommit,
        frames: Frames,
        directory: Directory,
        *,
        options: Options,
        secret: bytes,
        now: Callable[[], float],
    ) -> None:
        """``secret``: the store's, with which the keys of events are made. ``now`` returns Unix seconds."""
        self._journal = journal
        self._frames = frames
        self._directory = directory
        self._options = options
        self._secret = secret
        self._now = now
        self._quotas = Quotas(options.amounts)
        self._heard: dict[int, int] = {}
        """When terminals last pushed, in milliseconds, since this was taken."""

    def decide_by(self, options: Options) -> None:
        """Take later pushes by other options; what was counted stays counted."""
        self._options = options
        self._quotas.limit(options.amounts)

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

    def commit(self, push: Push, events: Sequence[Decoded], taken: Taken, claim: Claim) -> None:
        """Hand the events of a push to the journal.

        Raises :class:`~gatepost.errors.StoreError` if a single one cannot be queued, and :class:`Refuse` if it is too
        large or beyond a quota. Several are settled together.
        """
        if not self._directory.is_approved(taken.terminal_id):
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
        setting = self._quotas.take(
            self._directory.serial_of(taken.terminal_id) or f"at {push.peer}",
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
            is_backfilled=b"x-gatepost-backfilled" in headers
            and push.is_of_a_source(self._options.policy.sources),
        )
        body = self._frames.encode(arrival, has_texts=has_texts)
        if len(body) > MAX_BODY:
            raise Refuse(413, f"an event is limited to {MAX_BODY} bytes in the journal", reason="too large")
        self._journal.enqueue(body, push.settled, is_alarm=type(event) is Alarm, images=images)
        self._heard[taken.terminal_id] = received_at_ms


def _model(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")[:MAX_TEXT]
