"""``/api/v1/retention``: for how long everything is kept, and whether what is due has left."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Struct

from gatepost.receiver.api.authorization import VIEWER
from gatepost.receiver.jobs.retention import Keeper

__all__ = ["RetentionController", "RetentionState", "TheKeeper"]

TheKeeper = NamedDependency[SkipValidation[Keeper]]


class RetentionItem(Struct, frozen=True, kw_only=True):
    """How it stands with one kind of thing."""

    part: str
    """``images``, ``stranger_images``, ``records``, ``alarms``, ``quarantine`` or ``audit``."""
    days: int
    """Kept for so many days after the day of receipt (UTC), all limits considered; 0: for ever."""
    before: datetime | None
    """What was received before this moment is to be gone."""
    oldest: datetime | None
    """When the oldest that is there was received; of images the day."""
    pending: bool
    """Something that is due may still be there: it is being deleted."""
    deleted: int
    """Since the start of this process."""


class EncryptionItem(Struct, frozen=True, kw_only=True):
    """How images are encrypted at rest."""

    key: str
    """The name of the key that writes."""
    finished: bool
    """Nothing is left that was stored with an older key, or without any: an older one can be taken away."""


class RetentionState(Struct, frozen=True, kw_only=True):
    """Every kind of thing, and when this process last found nothing left to delete."""

    items: list[RetentionItem]
    finished_at: datetime | None
    encryption: EncryptionItem | None
    """``null``: images are not encrypted."""


class RetentionController(Controller):
    path = "/api/v1/retention"
    opt = VIEWER
    tags = ("privacy",)

    @get(sync_to_thread=True, summary="For how long everything is kept")
    def retention(self, keeper: TheKeeper) -> RetentionState:
        items = [
            RetentionItem(
                part=kept.part,
                days=kept.days,
                before=kept.before,
                oldest=kept.oldest,
                pending=kept.pending,
                deleted=keeper.deleted[kept.part],
            )
            for kept in keeper.state()
        ]
        at = keeper.finished_at
        encryption = None
        if keeper.keys:
            encryption = EncryptionItem(key=keeper.keys.name, finished=keeper.resealing.finished)
        finished_at = None if at is None else datetime.fromtimestamp(at, UTC)
        return RetentionState(items=items, finished_at=finished_at, encryption=encryption)
