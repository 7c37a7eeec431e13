"""A terminal as a library: an event is on disk when ``record()`` returns, and is pushed from then on.

Rules:

* :class:`Terminal` is an async context manager and belongs to the event loop that entered it. It owns one data
  folder, with one outbox and one pusher.
* It writes to no standard stream. :mod:`gatepost.terminal.logs` says where its log goes.
* If the pusher ever ends by a defect, that is logged, and a new one is started.

Flow: ``record`` (serial, time and uuid filled in) → ``Outbox.put`` → … → ``Pusher`` → ``event_dest``.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack

import msgspec

from gatepost.errors import OutboxUnavailable, SettingsError
from gatepost.settings import TerminalSettings, load
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.opening import FOLDER
from gatepost.terminal.outbox.outbox import HistoryPage, HistoryQuery, Outbox, OutboxStatus
from gatepost.terminal.outbox.status import EVENT_BYTES
from gatepost.terminal.outbox.types import Stored
from gatepost.terminal.push.pusher import Pusher, PusherStatus
from gatepost.wire import Alarm, Record, Subscription, make_subscription

__all__ = ["Terminal", "TerminalKeywords"]

log = Log(__name__)


class TerminalKeywords(TypedDict, total=False):
    """The settings of :class:`~gatepost.settings.TerminalSettings` as keyword arguments."""

    capacity: int
    capacity_bytes: int | None
    overflow: Literal["drop-oldest", "refuse-newest"]
    history_events: int
    history_days: float
    max_in_flight: int
    max_refusals: int
    retry_first_s: float
    retry_cap_s: float
    connect_timeout_s: float
    send_timeout_s: float
    reply_timeout_s: float
    drain_timeout_s: float
    model: str
    account: str
    proxy_from_environment: bool
    verify: bool
    ca_file: str | None
    client_certificate_file: str | None
    client_key_file: str | None
    fingerprint: str | None


class Terminal:
    """One terminal: ``async with Terminal("SN1", "/var/lib/door") as terminal: await terminal.record(…)``.

    ``serial`` goes into each record and into the header ``sn``; ``data`` is the folder of the outbox, made if it does
    not exist. ``now`` returns Unix seconds; ``rand`` is for the jitter of back-offs and for ``uuid``.

    Settings are given one by one, or all as ``settings``:

    =========================== ======================== ============================================================
    setting                     type, unit, default      meaning
    =========================== ======================== ============================================================
    ``capacity``                int, events, 50,000      how many events may wait
    ``capacity_bytes``          int, bytes, None         bytes of events, files take more; None: as the disk
    ``overflow``                str, "drop-oldest"       at the cap; the other is "refuse-newest"
    ``history_events``          int, events, 10,000      how many delivered records are kept
    ``history_days``            float, days, 30          for how long delivered records are kept
    ``max_in_flight``           int, pushes, 8           how many may be under way at most; 1 keeps strict order
    ``max_refusals``            int, 10                  after how many an event may be a dead letter
    ``retry_first_s``           float, seconds, 1        the first back-off
    ``retry_cap_s``             float, seconds, 60       the longest back-off
    ``connect_timeout_s``       float, seconds, 10       to reach the receiver; TLS may take longer
    ``send_timeout_s``          float, seconds, 30       for each KB of a push to be acknowledged
    ``reply_timeout_s``         float, seconds, 30       for the reply, once all of the push is acknowledged
    ``drain_timeout_s``         float, seconds, 5        how long a stop waits for pushes under way
    ``model``                   str, "gatepost"          the header ``model``
    ``account``                 str, ""                  the header ``account``
    ``proxy_from_environment``  bool, False              whether HTTP_PROXY and the like are honoured
    ``verify``                  bool, True               whether the receiver's certificate is checked
    ``ca_file``                 str, None                authorities to trust instead of the system's
    ``client_certificate_file`` str, None                the certificate to show, PEM
    ``client_key_file``         str, None                its key, PEM
    ``fingerprint``             str, None                SHA-256 of the only certificate to accept, hexadecimal
    =========================== ======================== ============================================================

    Raises :class:`~gatepost.errors.SettingsError`, which names the setting.
    """

    def __init__(
        self,
        serial: str,
        data: Path | str,
        *,
        settings: TerminalSettings | None = None,
        now: Callable[[], float] = time.time,
        rand: random.Random | None = None,
        **keywords: Unpack[TerminalKeywords],
    ) -> None:
        if not (serial and serial.isascii() and serial.isprintable()):
            raise SettingsError(
                "serial", "must be the serial number, printable ASCII: it goes into a header of every push"
            )
        if settings is not None and keywords:
            raise SettingsError(min(keywords), "is given twice: by name and in settings")
        self.serial = serial
        self.settings = settings or load(TerminalSettings, given=keywords)
        self._path = Path(data) / FOLDER
        self._now = now
        self._rand = rand or random.Random()  # noqa: S311 (identifiers and jitter, no secrets)
        self._outbox: Outbox | None = None
        self._pusher: Pusher | None = None
        self._pushing: asyncio.Task[None] | None = None
        self._stopping = False

    async def __aenter__(self) -> Self:
        """Open the outbox and begin to push. Raises what :meth:`Outbox.open` raises, and ``SettingsError``."""
        self._outbox = await Outbox.open(
            self._path, settings=self.settings, now=self._now, serial=self.serial
        )
        try:
            self._pusher = self._new_pusher()
        except BaseException:
            await self._outbox.close()
            raise
        status = await self._outbox.status()
        room = status.capacity_bytes
        events = min(status.capacity, room // EVENT_BYTES)
        log.info("terminal.open", serial=self.serial, bytes=room, events_of_30_kb=events)
        self._stopping = False
        self._pushing = asyncio.create_task(self._push(), name=f"pusher of {self.serial}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop. Pushes under way may end within ``drain_timeout_s``; other events wait for the next start.

        Idempotent.
        """
        self._stopping = True
        if self._pushing is not None:
            if self._pusher is not None:
                await self._pusher.stop()
            await asyncio.wait([self._pushing])
            self._pushing = None
        if self._outbox is not None:
            await self._outbox.close()

    @property
    def outbox(self) -> Outbox:
        """Return the outbox, for everything that this class does not offer."""
        if self._outbox is None:
            raise OutboxUnavailable("the terminal is not running; use it inside 'async with Terminal(…)'")
        return self._outbox

    # --- events ---------------------------------------------------------------------------------------------

    async def record(self, record: Record) -> int:
        """Store a record; return its number once it is on disk. It is then delivered, or counted as dropped.

        Missing ``serial``, ``uuid`` and ``recorded_at`` are filled in. By the ``uuid`` a receiver recognises an event
        that is pushed twice. Raises what :meth:`Outbox.put` raises, and then nothing is stored:
        :class:`~gatepost.errors.NotSubscribed`, :class:`~gatepost.errors.OutboxFull`,
        :class:`~gatepost.errors.OutboxUnavailable`, :class:`~gatepost.errors.EncodeError`.
        """
        return await self.outbox.put(self._completed(record))

    async def alarm(self, alarm: Alarm) -> int:
        """Store a step of an alarm; return its number once it is on disk. It is pushed before all records.

        A missing ``event_time`` is filled in. Raises as :meth:`record` does.
        """
        return await self.outbox.put(self._completed(alarm))

    async def store(self, events: Sequence[Record | Alarm]) -> list[int]:
        """Store several events, all or none; return their numbers once they are on disk.

        Missing fields are filled in as by :meth:`record` and :meth:`alarm`. Raises as they do.
        """
        return await self.outbox.put_all([self._completed(event) for event in events])

    def _completed(self, event: Record | Alarm) -> Record | Alarm:
        missing: dict[str, Any] = {}
        if isinstance(event, Alarm):
            if event.event_time is None:
                missing["event_time"] = datetime.fromtimestamp(self._now(), UTC)
            return msgspec.structs.replace(event, **missing) if missing else event
        if event.serial is None:
            missing["serial"] = self.serial
        if not event.uuid:
            missing["uuid"] = str(uuid.UUID(int=self._rand.getrandbits(128), version=4))
        if event.recorded_at is None:
            missing["recorded_at"] = datetime.fromtimestamp(self._now(), UTC)
        return msgspec.structs.replace(event, **missing) if missing else event

    # --- subscription and status ----------------------------------------------------------------------------

    async def subscribe(self, event_dest: str, *, enabled: bool = True) -> None:
        """Store the address to push to, for the next push and after a restart. The backlog goes to the new address.

        ``enabled=False`` pauses pushing and goes on storing; ``event_dest`` may then be empty. Raises
        :class:`~gatepost.errors.DecodeError` if ``event_dest`` is no address that can be pushed to.
        """
        await self.outbox.subscribe(make_subscription(event_dest, enabled=enabled))

    async def subscription(self) -> Subscription | None:
        """Return the subscription; ``None`` before the first one."""
        return await self.outbox.subscription()

    async def status(self) -> OutboxStatus:
        """Return the ledger, ``accepted = delivered + pending + dead + dropped``, and other figures."""
        return await self.outbox.status()

    def pushing(self) -> PusherStatus:
        """Return the state of pushing at this moment."""
        if self._pusher is None:
            raise OutboxUnavailable("the terminal is not running; use it inside 'async with Terminal(…)'")
        return self._pusher.status()

    async def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """Return records, delivered or not, as far as they are kept."""
        return await self.outbox.history(query)

    async def dead_letters(self, limit: int = 100, *, after: int = 0) -> tuple[Stored, ...]:
        """List dead letters in the order in which they were recorded, from the one after number ``after``."""
        return await self.outbox.dead_letters(limit, after=after)

    async def retry_dead(self, ids: Sequence[int] | None = None) -> list[int]:
        """Make dead letters pending again, as if never refused; return their numbers.

        ``None``: the oldest ones, as many as one call takes. Call again until it returns none. Numbers that are no
        dead letters are skipped, and so are events beyond ``capacity``.
        """
        return await self.outbox.retry_dead(ids)

    async def discard_dead(self, ids: Sequence[int] | None = None) -> list[int]:
        """Drop dead letters; return their numbers. They count as dropped. ``None``: as for :meth:`retry_dead`."""
        return await self.outbox.discard_dead(ids)

    # --- pushing --------------------------------------------------------------------------------------------

    def _new_pusher(self) -> Pusher:
        headers = {"sn": self.serial, "model": self.settings.model, "account": self.settings.account}
        return Pusher(self.outbox, settings=self.settings, headers=headers, now=self._now, rand=self._rand)

    async def _push(self) -> None:
        while self._pusher is not None:
            try:
                await self._pusher.run()
            except Exception:
                log.exception("terminal.pusher_failed")
            if self._stopping:
                return
            log.error("terminal.pusher_restarted")
            await self.outbox.release()
            await asyncio.sleep(self.settings.retry_first_s)
            self._pusher = self._new_pusher()
