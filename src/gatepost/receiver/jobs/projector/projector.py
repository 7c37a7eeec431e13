"""From the journal into the store: what was acknowledged becomes rows.

Rules:

* Rows and the places in the journal are one transaction. So an event is listed exactly once, whatever is killed when.
* It never stops for an event. A batch that the store refuses is read again in smaller ones, until the event is alone.
  It goes to the quarantine as it came; what cannot even be kept there, or has no readable frame, is set aside in a
  file that the log names, and tried again at the next start. So are the bytes of a damaged place.
* What is wrong with the store itself, such as a table that is missing, is no event's fault: the store is away then.
* While the store is away it holds its batch and tries again; the journal waits meanwhile. Before it tries again it
  finds out whether the store has the batch: the word of a commit may be lost.
* A stream that cannot be read now waits, and is named; the others are listed.
* A terminal that was not known at the reply is made before its events are listed, all of a batch together.
* A lone event is listed at once. After a small batch it waits a moment (:data:`GATHER_S`), for a transaction costs as
  much as a hundred events. Alarms come first: the reader takes their streams before those of records.
* A segment is deleted when all of it is in the store. What cannot be deleted then is deleted later.
* One process reads a journal.

Flow: ``BatchReader.read`` → ``Attribution`` → ``Listing.list`` with the places → ``on_listed`` → ``Folder.remove``.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from gatepost.errors import JournalError, StoreError, StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.reader import Damage
from gatepost.journal.streams import START, Position
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.jobs.projector.attribution import Attribution
from gatepost.receiver.jobs.projector.batches import NOT_WHOLE, BatchReader, UnlistedBatch, lock_for_reading
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.receiver.jobs.projector.listing import Listing, Rows
from gatepost.receiver.jobs.projector.unlisted import UnlistedEvents
from gatepost.receiver.processes.wake import Wake
from gatepost.store import deadlines
from gatepost.store.interface import TerminalRow
from gatepost.store.write.set_aside import SetAside

__all__ = ["Projector"]

log = structlog.get_logger(__name__)

MAX_BATCH = 2048
"""Events of one transaction."""

LET_GO_S = 3.0
"""How long an erasure waits until the journal has let go of what is listed. A backup may hold it back for longer."""

RETRY_S = 0.25
"""Between two attempts while the store is away."""

SMALL, GATHER_S = 256, 0.02
"""After a batch of fewer events it lets more gather for so many seconds, unless a reader or a push waits for them."""

IDLE_S = 1.0
"""How long it sleeps at most without having been woken."""

CATCH_UP_S = 10.0
"""How long a caller waits for what was pushed before to be listed."""

_SAID_EVERY_S = 60.0


class Projector:
    """Lists what the journal holds. :meth:`step` is for one thread at a time; the rest for any."""

    def __init__(
        self,
        folder: Folder,
        store: Rows,
        frames: Frames,
        *,
        packs: Packs | None = None,
        archives_first: bool = False,
        appended: Wake | None = None,
        may_hold: Callable[[Sequence[int], str], int | None] = lambda candidates, peer: None,
        on_listed: Callable[[], None] = lambda: None,
        on_terminals: Callable[[Sequence[TerminalRow]], None] = lambda rows: None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        max_batch: int = MAX_BATCH,
        gather_s: float = GATHER_S,
    ) -> None:
        """``on_listed`` is called in the projector's thread after each transaction; it raises nothing.

        ``packs``: with the images, where they are not all beside the journal. ``archives_first``: images are in their
        archive before their events are listed. ``appended`` is set when the journal has
        more; without it :meth:`wake` alone tells.

        ``on_terminals`` is called there too, with terminals that were not known at the reply and now are stored.

        ``may_hold`` returns the first of some terminals that an event may be of which names none, by its address.
        Raises :class:`~gatepost.errors.StoreInUse` if another process reads this journal, and
        :class:`~gatepost.errors.StoreUnavailable`.
        """
        self._folder = folder
        self._store = store
        self._on_listed = on_listed
        self._now = now
        self._monotonic = monotonic
        self._max_batch = self._limit = max_batch
        """``_limit``: of the next batch; fewer while one of its events is looked for that the store refuses."""
        self._gather_s = gather_s
        self._lock = lock_for_reading(folder)
        try:
            self.positions: Mapping[str, Position] = dict(store.positions(folder.id))
            """Up to where every event is listed."""
        except BaseException:
            os.close(self._lock)
            raise
        self._packs = Packs(folder) if packs is None else packs
        self.files = SetAside(folder.path, folder.files)
        """What was acknowledged and cannot be listed."""
        attribution = Attribution(store, may_hold=may_hold, on_terminals=on_terminals)
        self._listing = Listing(store, self._packs, self.files, attribution, archives_first=archives_first)
        self._read_from(frames)
        self._start_signals(appended)
        self._held: UnlistedBatch | None = None
        self._has_leftovers = True
        """Whether a segment may be there that is listed: of an earlier life, or because it could not be deleted."""
        self._said_at = -_SAID_EVERY_S
        self.is_away = False
        """The store takes nothing now."""
        self.damaged = 0
        """Places in the journal that could not be read, since the start."""
        self.set_aside = 0
        """Events that neither list nor quarantine took, since the start."""

    def _read_from(self, frames: Frames) -> None:
        """Make what reads the journal, and the files beside it."""
        folder, packs, files = self._folder, self._packs, self.files
        self._waiting: Mapping[str, JournalError] = {}
        self._batches = BatchReader(
            folder, frames, packs, files, self.positions, on_waiting=self._tell_waiting
        )
        self._unlisted = UnlistedEvents(
            folder,
            files,
            frames,
            packs,
            self._listing,
            on_listed=self._on_listed,
            monotonic=self._monotonic,
        )
        self.forget = self._unlisted.forget
        self.expire = self._unlisted.expire

    def _start_signals(self, appended: Wake | None) -> None:
        """Make what other threads tell the projector's, and are told by it."""
        self._woken = Wake() if appended is None else appended
        self._hurried = threading.Event()
        """A reader waits for what is there to be listed."""
        self._is_small = False
        """The last batch had few events."""
        self._listed = threading.Condition()
        self._asked = self._tidy_for = 0
        """How often it was asked to delete what is listed, and for which of these times a later step has done so."""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # Any thread.

    def start(self) -> None:
        """Begin to list, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="gatepost-projector", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Return whether it lists in a thread of its own."""
        return self._thread is not None and self._thread.is_alive()

    def wake(self) -> None:
        """Look for what was appended."""
        self._woken.set()

    def lag(self) -> Lag:
        """Return how far behind it is. Raises :class:`~gatepost.errors.JournalUnavailable`."""
        positions, held = self.positions, self._held
        backlog = self._folder.backlog(positions)
        since = [self._now()]
        if backlog.events:
            since += filter(None, [self._folder.waits_since(positions)])
            if held is not None:
                since += [one.received_at_ms / 1000 for one in held.arrivals]
        oldest_s = since[0] - min(since)
        return Lag(backlog.events, backlog.bytes, oldest_s, self.is_away, self.damaged, self.waiting)

    def progress(self) -> tuple[Mapping[str, Position], int]:
        """Return up to where every event is listed, and how many damaged places were passed on the way."""
        with self._listed:
            return self.positions, self.damaged

    @property
    def damages(self) -> tuple[int, str]:
        """Return how many damaged places have a file, also from before the start, and which is the last one."""
        return self._unlisted.damages

    @property
    def waiting(self) -> tuple[str, ...]:
        """Return why streams wait that cannot be read now, in a sentence for each."""
        return tuple(str(why) for _, why in sorted(self._waiting.items()))

    def catch_up(self, *, timeout_s: float = CATCH_UP_S) -> None:
        """Wait until everything is listed that is acknowledged by now, and can be read now. Blocks.

        Raises :class:`~gatepost.errors.StoreUnavailable` if that takes longer than ``timeout_s``.
        """
        ends = {stream.name: stream.published for stream in self._folder.streams()}

        def is_listed() -> bool:
            positions = self.positions
            there = {stream.name for stream in self._folder.streams()} - self._waiting.keys()
            return not any(
                name in there and positions.get(name, START).is_before(end) for name, end in ends.items()
            )

        with self._listed:
            self._hurried.set()
            self.wake()
            if not self._listed.wait_for(is_listed, timeout_s):
                raise StoreUnavailable(
                    "events that were pushed before are not listed yet; try again when journal.events of /api/v1/stats"
                    " is 0"
                )

    def let_go(self, *, timeout_s: float = LET_GO_S) -> bool:
        """Wait until what is listed is deleted from the journal; return ``False`` if that takes too long. Blocks.

        Segments that are being written stay: the ingest has to end them before.
        """
        with self._listed:
            self._asked += 1
            asked = self._asked
            self.wake()
            return self._listed.wait_for(lambda: self._tidy_for >= asked, timeout_s)

    def close(self, *, timeout_s: float) -> bool:
        """List what is there, and stop. Blocks; False if that took longer than ``timeout_s``, or the store is away.

        What is not listed then waits in the journal for the next start. Idempotent.
        """
        self._closing.set()
        self._hurried.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return False
        self._batches.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        return self._held is None

    # The projector's thread.

    def _run(self) -> None:
        with deadlines.hurry():
            while True:
                closing = self._closing.is_set()
                self._woken.clear()
                if not self._list_all():
                    if closing:
                        return
                    self._closing.wait(RETRY_S)
                elif closing:
                    return
                else:
                    self._woken.wait(IDLE_S)

    def _list_all(self) -> bool:
        """List until nothing is left; False if it cannot go on now."""
        try:
            while self.step():
                if self._is_small:
                    self._hurried.wait(self._gather_s)
            if not self._closing.is_set():
                self._hurried.clear()
        except (StoreError, JournalError) as error:
            self._away(str(error))
            return False
        except Exception as defect:
            self._away(type(defect).__name__)
            return False
        return True

    def step(self) -> bool:
        """List one batch; False if there was nothing.

        Raises :class:`~gatepost.errors.StoreError` and :class:`~gatepost.errors.JournalError`: nothing is lost, and the
        next step tries the same again.
        """
        asked, held = self._asked, self._held
        if held is not None and self._listing.is_listed(held):
            self._listing.confirm(held)
            self._listed_up_to(held)
            return True
        if held is None:
            held = self._held = self._read()
        if held is None:
            self._unlisted.try_again()
            self.is_away = False
            if self._has_leftovers:
                self._remove()
            with contextlib.suppress(JournalError):
                self._packs.punch()  # what could not be done before
            with self._listed:
                if not self._has_leftovers:
                    self._tidy_for = asked
                self._listed.notify_all()
            return False
        if self._listing.list(held):
            self._listed_up_to(held)
            self._limit = min(2 * self._limit, self._max_batch)
        else:
            self._batches.rewind(self.positions)
            self._held = None
            self._limit = max(1, len(held.arrivals) // 2)
        return True

    def _read(self) -> UnlistedBatch | None:
        batch = self._batches.read(self.positions, max_bodies=self._limit)
        if self._batches.has_doubts:
            self._batches.has_doubts = False
            self._unlisted.is_due = True
        if not batch.progress.positions:
            self._tell_damages(batch.damages)
            return None
        return batch

    def _listed_up_to(self, held: UnlistedBatch) -> None:
        before, moved = self.positions, held.progress.positions
        self._is_small = len(held.arrivals) < SMALL
        with self._listed:
            self.positions, self._held, self.is_away = {**before, **moved}, None, False
            self._tell_damages(held.damages)
            self._listed.notify_all()
        self._on_listed()
        for file, why in held.set_aside:
            if why == NOT_WHOLE:
                log.warning("projector.doubtful", file=file, why=why)
                continue
            self.set_aside += 1
            log.error("projector.set_aside", file=file, why=why)
        if any(before.get(stream, START).segment != place.segment for stream, place in moved.items()):
            self._remove()

    def _tell_damages(self, damages: Sequence[Damage]) -> None:
        if damages:
            self._unlisted.look_again()
        for damage in damages:
            self.damaged += 1
            self._has_leftovers = True  # the place in a stream that is gone
            log.error(
                "journal.damaged",
                stream=damage.stream,
                segment=damage.segment,
                start=damage.start,
                end=damage.end,
                why=damage.why,
            )

    def _tell_waiting(self, waiting: Mapping[str, JournalError]) -> None:
        for stream, why in waiting.items():
            if stream not in self._waiting:
                log.error("journal.stream_waits", stream=stream, why=str(why))
        with self._listed:
            self._waiting = waiting
            self._listed.notify_all()

    def _remove(self) -> None:
        """Delete what is listed. What fails, and what is pinned, is deleted later."""
        self._has_leftovers = True
        with contextlib.suppress(JournalError, StoreError):
            removed = self._folder.remove(self.positions)
            if removed.streams:
                self._store.forget_streams(self._folder.id, removed.streams)
                self.positions = {
                    name: place for name, place in self.positions.items() if name not in removed.streams
                }
            self._has_leftovers = removed.is_pinned

    def _away(self, why: str) -> None:
        self.is_away = True
        if self._monotonic() - self._said_at >= _SAID_EVERY_S:
            self._said_at = self._monotonic()
            log.error("projector.store_away", why=why)
