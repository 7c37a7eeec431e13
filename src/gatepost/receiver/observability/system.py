"""Tell how the receiver stands: versions, disk, journal, images, database, and what retention deletes next.

The sizes are asked of the file system and the database, so a part that cannot be asked now is ``None`` with a reason.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from msgspec import Struct

from gatepost import __version__
from gatepost.errors import GatepostError
from gatepost.journal.folder import Folder
from gatepost.receiver.ingest.commit.disk import journal_bytes, reserved_bytes
from gatepost.receiver.jobs.archiving import Archiving
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.receiver.jobs.retention import RetentionJob
from gatepost.receiver.settings_in_force import SettingsInForce
from gatepost.store.interface import Store
from gatepost.store.maintenance.check_results import CheckResult, last_check
from gatepost.store.privacy.due import Due, due_until
from gatepost.store.schema import migrate

__all__ = ["Disk", "Images", "Part", "System", "SystemState"]

SETTING_OF = {
    "images": "retention_images_days",
    "stranger_images": "retention_stranger_images_days",
    "records": "retention_records_days",
    "alarms": "retention_records_days",
    "quarantine": "retention_quarantine_days",
    "audit": "retention_audit_days",
}
"""Of each part that retention deletes, the setting that limits it first."""

T = TypeVar("T")


class Disk(Struct, frozen=True):
    """The disk of the data folder."""

    folder: str
    total_bytes: int
    free_bytes: int
    kept_free_bytes: int
    """``min_free_bytes``; below it pushes get 503."""

    @property
    def has_room(self) -> bool:
        """Return whether pushes are taken."""
        return self.free_bytes >= self.kept_free_bytes


class Images(Struct, frozen=True):
    """Where images are."""

    place: str
    """``file``, or the folder or bucket of the setting ``packs``."""
    packs: int
    """Files beside the journal."""
    bytes: int
    """What these take."""
    moved: int
    """Packs moved since the start."""
    trouble: str
    """Why packs cannot be moved now."""


class Part(Struct, frozen=True):
    """Show what retention keeps of one kind, and deletes next."""

    part: str
    days: int
    """0: for ever."""
    setting: str
    """The setting that says so; empty for what follows from others."""
    oldest: datetime | None
    pending: bool
    """Something that is due may still be there."""
    deleted: int
    """Since the start of the process."""
    due: Due
    """What is deleted now, and what at the next midnight, UTC."""


class SystemState(Struct, frozen=True, kw_only=True):
    """How it stands now."""

    at: datetime
    version: str
    python: str
    database: str
    """``SQLite`` or ``PostgreSQL``, with its version."""
    schema: str
    database_bytes: int | None
    disk: Disk | None
    journal: Lag | None
    journal_limit_bytes: int
    images: Images
    parts: Sequence[Part]
    next_round_at: datetime | None
    """When retention looks next; ``None``: it is at work, or has not begun."""
    next_day_at: datetime
    """The midnight, UTC, at which a day more is due."""
    checked: CheckResult | None
    """What ``gatepost check-store`` found last."""
    troubles: Sequence[str]
    """Why something could not be asked."""


class System:
    """Asks the parts of a receiver."""

    def __init__(
        self,
        store: Store,
        journal: Folder,
        settings: SettingsInForce,
        projector: Projector,
        keeper: RetentionJob,
        archiving: Archiving | None,
        *,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._journal = journal
        self._settings = settings
        self._projector = projector
        self._keeper = keeper
        self._archiving = archiving
        self._now = now

    def state(self) -> SystemState:
        """Ask everything. Blocks. Raises :class:`~gatepost.errors.StoreUnavailable`."""
        troubles: list[str] = []

        now = datetime.fromtimestamp(self._now(), UTC)
        tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        settings = self._settings.current
        next_at = self._keeper.next_round_at
        return SystemState(
            at=now,
            version=__version__,
            python=platform.python_version(),
            database=self._database(),
            schema=migrate.head(),
            database_bytes=_tried(troubles, lambda: self._store.sizes()["events"]),
            disk=_tried(troubles, self._disk),
            journal=_tried(troubles, self._projector.lag),
            journal_limit_bytes=settings.journal_max_bytes or journal_bytes(self._journal.path),
            images=self._images(troubles),
            parts=self._parts(tomorrow),
            next_round_at=None if next_at is None else datetime.fromtimestamp(next_at, UTC),
            next_day_at=tomorrow,
            checked=last_check(self._journal.path.parent),
            troubles=troubles,
        )

    def _database(self) -> str:
        kind = "PostgreSQL" if self._settings.at_start.database else "SQLite"
        return f"{kind} {self._store.server_version()}"

    def _disk(self) -> Disk:
        usage = shutil.disk_usage(self._journal.path)
        kept = self._settings.current.min_free_bytes or reserved_bytes(usage.total)
        return Disk(str(self._journal.path.parent), usage.total, usage.free, kept)

    def _images(self, troubles: list[str]) -> Images:
        packs, archiving = self._store.packs, self._archiving
        sizes = (
            None if packs is None else _tried(troubles, lambda: [pack.disk_bytes for pack in packs.local()])
        )
        return Images(
            place=self._settings.at_start.packs,
            packs=len(sizes or ()),
            bytes=sum(sizes or ()),
            moved=0 if archiving is None else archiving.moved,
            trouble="" if archiving is None else archiving.trouble,
        )

    def _parts(self, tomorrow: datetime) -> list[Part]:
        keeper = self._keeper
        due = due_until(self._store, keeper.limits, now_ms=keeper.now_ms(), until=tomorrow)
        return [
            Part(
                kept.part,
                kept.days,
                SETTING_OF.get(kept.part, ""),
                kept.oldest,
                kept.pending,
                keeper.deleted[kept.part],
                due[kept.part],
            )
            for kept in keeper.state()
        ]


def _tried(troubles: list[str], ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except (GatepostError, OSError) as error:
        troubles.append(str(error) if isinstance(error, GatepostError) else error.strerror or "")
        return None
