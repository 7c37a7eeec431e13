"""``/api/v1/retention``: for how long everything is kept, and whether what is due has left."""

from __future__ import annotations

from datetime import UTC, date, datetime

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import JSONBody, SkipValidation
from msgspec import Struct

from gatepost.receiver.api.access.authorization import (
    ADMIN,
    EVERY_SITE,
    VIEWER,
    Access,
    AnyRequest,
    TheAccess,
)
from gatepost.receiver.jobs.retention import RetentionJob
from gatepost.store.privacy.permitted import Ask, Why

__all__ = ["RetentionController", "RetentionState", "TheKeeper", "note_confirmed"]

TheKeeper = NamedDependency[SkipValidation[RetentionJob]]


class RetentionItem(Struct, frozen=True, kw_only=True):
    """How it stands with one kind of thing."""

    part: str
    """``images``, ``stranger_images``, ``records``, ``alarms``, ``quarantine`` or ``audit``; ``refusal_samples``, of
    refused bodies; ``tombstones``, which keep erased people out of events that are listed later."""
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


class AskItem(Struct, frozen=True, kw_only=True):
    """Show what is due and is not deleted until it is confirmed: the clock may be wrong, or the setting."""

    part: str
    why: Why
    """``days``: more is due than has passed; ``past``: a clock in the past received it; ``gap``: nothing was deleted
    for long; ``shortened``: the setting was."""
    first: date
    last: date
    """Both UTC. Events received from ``first`` to ``last`` would be deleted."""
    days: int
    """On how many of them anything was received."""


class Confirmation(Struct, frozen=True, kw_only=True):
    part: str
    last: date
    """As the item of ``asks`` has it; another one is refused with 400."""


class EncryptionItem(Struct, frozen=True, kw_only=True):
    """How images are encrypted at rest."""

    key: str
    """The name of the key that writes."""
    finished: bool
    """Nothing is left that was stored with an older key, or without any: an older one can be taken away."""


class RetentionState(Struct, frozen=True, kw_only=True):
    """Every kind of thing, and when this process last found nothing left to delete."""

    items: list[RetentionItem]
    asks: list[AskItem]
    finished_at: datetime | None
    encryption: EncryptionItem | None
    """``null``: images are not encrypted."""


class RetentionController(Controller):
    path = "/api/v1/retention"
    tags = ("privacy",)

    @get(opt=VIEWER | EVERY_SITE, sync_to_thread=True, summary="For how long everything is kept")
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
        return RetentionState(
            items=items, asks=list(map(_asked, keeper.asks)), finished_at=finished_at, encryption=encryption
        )

    @post(
        "/confirm",
        opt=ADMIN | EVERY_SITE,
        sync_to_thread=True,
        summary="Permit a deletion that retention asks for",
    )
    def confirm(
        self, request: AnyRequest, data: JSONBody[Confirmation], keeper: TheKeeper, access: TheAccess
    ) -> AskItem:
        """Permit what ``asks`` names; the next round deletes it, within a minute or so."""
        ask = keeper.confirm(data.part, data.last)
        if ask is None:
            raise ClientException("that is not asked now; see asks of GET /api/v1/retention")
        note_confirmed(access, request, ask)
        return _asked(ask)


def _asked(ask: Ask) -> AskItem:
    return AskItem(part=ask.part, why=ask.why, first=ask.first, last=ask.last, days=ask.days)


def note_confirmed(access: Access, request: AnyRequest, ask: Ask) -> None:
    """Write to the audit log that a deletion was permitted."""
    first, last = ask.first.isoformat(), ask.last.isoformat()
    access.note(request, "retention.confirmed", ask.part, first=first, last=last, days=ask.days, why=ask.why)
