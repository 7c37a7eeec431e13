"""Serve ``/api/v1/destinations``: where events are passed on to, how far each destination is, what to do about it.

For administrators of every site, reading too: an event leaves with all that it has. A secret is in a reply once, when
it was made; the audit log has none, and of an address its host alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, fields

from gatepost.errors import SettingsError
from gatepost.forward.admin import KEEP_S, dead_letters, secret_names
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.options.destination import Destination, Shape, decode
from gatepost.forward.options.filters import Filter
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.shapes.schemas import schemas
from gatepost.forward.state import Standing
from gatepost.forward.trial import Trial
from gatepost.items import (
    AttemptItem,
    DeadLetterItem,
    DestinationDetail,
    DestinationItem,
    DoneItem,
    Listing,
    PreviewItem,
    ReplayItem,
    RotatedItem,
    TrialItem,
)
from gatepost.receiver.api.authorization import ADMIN, EVERY_SITE, Access, AnyRequest, TheAccess
from gatepost.receiver.api.images import note_original
from gatepost.receiver.api.shapes import MAX_ID, MAX_LIMIT, moment, read
from gatepost.receiver.auth.audit_changes import changes
from gatepost.store.interface import Page
from gatepost.store.query.destinations import (
    MAX_ATTEMPTS,
    AttemptRow,
    DestinationRow,
    Destinations,
    ExceptionRow,
)
from gatepost.store.query.page_bytes import paged, weight

__all__ = [
    "DestinationsController",
    "TheForwarding",
    "called",
    "host_of",
    "ledger",
    "moved",
    "note",
    "one",
    "told_by",
    "values",
]

TheForwarding = NamedDependency[SkipValidation[Forwarding]]

T = TypeVar("T")

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^\S(.*\S)?$")]
SecretText = Annotated[str, Meta(min_length=1, max_length=512)]
EventIds = Annotated[list[Annotated[int, Meta(ge=1, le=MAX_ID)]], Meta(max_length=MAX_LIMIT)]


class NewDestination(Destination, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A destination to be made. Without a ``secret`` one is made for a webhook, and told in the reply."""

    name: Name
    secret: SecretText | None = None
    """The signing secret of a webhook; the password of ``mqtt``, ``kafka`` and mail; the token of another kind."""
    secrets: dict[str, Any] | None = None
    """Further secrets: ``headers``, ``username``, ``password``, ``token``, ``client_certificate``, ``signing``."""
    enabled: bool = True
    """``false``: paused, and what arrives waits."""


_KEPT = ("kind",)
"""What of a destination stays as it was made."""


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    secret: SecretText | None = None
    """Without it one is made, for a webhook."""
    keep_s: Annotated[float, Meta(ge=0)] = KEEP_S
    """For so long those before it stay valid; 30 days at most."""


class NewReplay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events that were received in a span are sent once more, flagged."""

    since: str
    until: str | None = None
    """Exclusive; without it: now. Both as in the lists."""
    filter: Filter | None = None
    """In place of the destination's own."""
    rate: Annotated[float, Meta(gt=0)] | None = None
    """Events a second, at most."""


class Chosen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters: ``events``, or ``all``."""

    events: EventIds = []
    all: bool = False


class PreviewOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filter: Filter = Filter()
    shape: Shape = "cloudevents"


def _combined(name: str, doc: str, fields: Iterable[tuple[str, Any] | tuple[str, Any, Any]]) -> Any:
    """Make a struct out of the fields of others, so that an option of a kind is written down once."""
    return msgspec.defstruct(
        name,
        list(fields),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        module=__name__,
        namespace={"__doc__": doc},
    )


def _shown_as(item: type[DestinationItem]) -> Any:
    """Return an item in which what a destination is told has all its fields, with their types."""
    told = {field.name: field.type for field in fields(Destination)}
    own = {field.name: field.type for field in fields(item) if field.name not in told}
    secret = own.pop("secret")
    return _combined(
        item.__name__, item.__doc__ or "", [*told.items(), *own.items(), ("secret", secret, None)]
    )


if TYPE_CHECKING:
    DestinationChange = Any
    ToldDestination = Any
    ToldDetail = Any
else:
    DestinationChange = _combined(
        "DestinationChange",
        "What is left out stays; ``filter`` and each of ``secrets`` are replaced as a whole.",
        [
            *(
                (one.name, one.type | UnsetType, UNSET)
                for one in fields(Destination)
                if one.name not in _KEPT
            ),
            ("name", Name | UnsetType, UNSET),
            ("secrets", dict[str, Any] | UnsetType, UNSET),
            ("enabled", bool | UnsetType, UNSET),
        ],
    )
    ToldDestination = _shown_as(DestinationItem)
    ToldDetail = _shown_as(DestinationDetail)


def ledger(
    destinations: Destinations, row: DestinationRow, standing: Standing, *, now: datetime
) -> dict[str, Any]:
    """Return the fields of a :class:`~gatepost.items.LedgerItem`. Blocks."""
    oldest = destinations.oldest_waiting_ms(row)
    next_at = None if standing.wait_s is None else now + timedelta(seconds=standing.wait_s)
    return {
        **asdict(row.ledger),
        "dropped_why": dict(row.dropped_why),
        "left_out_why": dict(row.left_out_why),
        "attempts": row.attempts,
        "lag_s": None if oldest is None else max(0.0, now.timestamp() - oldest / 1000),
        "state": standing.state,
        "next_attempt_at": next_at,
        "last_error": standing.why or row.failure,
        "last_error_at": row.failed_at,
        "last_delivered_at": row.delivered_at,
    }


def told_by(row: DestinationRow) -> Destination:
    """Return what a destination is told; of one that is broken what there is."""
    try:
        return decode(row.config)
    except SettingsError:  # its state is broken and says why
        found = msgspec.json.decode(row.config)
        return Destination(kind=row.kind, url=str(found.get("url", "")))  # type: ignore[arg-type]  # as it is stored


def values(
    destinations: Destinations, row: DestinationRow, standing: Standing, *, now: datetime
) -> dict[str, Any]:
    """Return the fields of a :class:`~gatepost.items.DestinationItem`, and the options of its kind. Blocks."""
    told = told_by(row)
    return {
        **{name: getattr(told, name) for name in Destination.__struct_fields__},
        **ledger(destinations, row, standing, now=now),
        "id": row.id,
        "name": row.name,
        "enabled": row.paused_at is None,
        "created_at": row.created_at,
        "secrets_set": secret_names(decode_secrets(row.secrets)),
    }


def _values(forwarding: Forwarding, row: DestinationRow, now: datetime) -> dict[str, Any]:
    return values(forwarding.destinations, row, forwarding.standing(row), now=now)


def _replay(forwarding: Forwarding, row: DestinationRow, now: datetime) -> ReplayItem:
    return ReplayItem(
        **ledger(forwarding.destinations, row, forwarding.standing(row), now=now),
        id=row.id,
        created_at=row.created_at,
        filter=msgspec.to_builtins(told_by(row).filter),
        rate=row.rate,
    )


def _detail(
    forwarding: Forwarding, row: DestinationRow, access: Access, secret: str | None = None
) -> ToldDetail:
    now = datetime.fromtimestamp(access.doors.now_ms() / 1000, UTC)
    replays = [each for each in forwarding.destinations.all() if each.replay_of == row.id]
    return ToldDetail(
        **_values(forwarding, row, now),
        secret=secret,
        replays=[_replay(forwarding, each, now) for each in replays],
    )


def _page(forwarding: Forwarding, access: Access, cursor: str | None) -> Listing[ToldDestination]:
    now = datetime.fromtimestamp(access.doors.now_ms() / 1000, UTC)
    page = paged(
        forwarding.destinations.all(with_replays=False),
        lambda row: weight(row.name, row.config.decode(), row.failure, row.closed_why),
        order="destinations",
        place=lambda row: row.id,
        cursor=cursor,
    )
    return Listing([ToldDestination(**_values(forwarding, row, now)) for row in page.items], page.next_cursor)


def one(forwarding: Forwarding, which: int) -> DestinationRow:
    """Return a destination, or 404. Blocks."""
    row = forwarding.destinations.one(which) if 0 < which <= MAX_ID else None
    if row is None:
        raise _no_such()
    return row


def _no_such() -> NotFoundException:
    return NotFoundException("there is no such destination")


async def asked(what: Callable[[], T]) -> T:
    """Ask the store on a thread, :func:`~gatepost.receiver.api.shapes.answering`."""
    return await asyncio.to_thread(read, what)


def called(row: DestinationRow) -> str:
    """Return what the audit log calls a destination."""
    return f"{row.id} {row.name}"


async def note(
    access: Access, request: AnyRequest, action: str, row: DestinationRow, **detail: object
) -> None:
    """Write into the audit log what was done about a destination."""
    await asyncio.to_thread(access.note, request, action, called(row), **detail)


def host_of(row: DestinationRow) -> str:
    """Return the host that a destination is at: the rest of an address may be a secret."""
    return urlsplit(told_by(row).url).hostname or ""


def moved(before: DestinationRow, after: DestinationRow | None) -> dict[str, Any]:
    """Return what the audit log says of a changed destination: its address by the hosts, and nothing secret."""
    if after is None:
        return {}
    old, new = told_by(before), told_by(after)
    found: dict[str, Any] = (
        {} if old.url == new.url else {"host_before": host_of(before), "host": host_of(after)}
    )
    told = changes(old, new, ("images", "shape", "order", "batch", "in_flight", "max_age_s", "max_refusals"))
    told |= changes(before, after, ("name", "enabled"))
    if old.filter != new.filter:
        told |= {"filter": _text(new.filter), "was_filter": _text(old.filter)}
    return found | told


def _text(filter: Filter) -> str:
    return msgspec.json.encode(msgspec.to_builtins(filter)).decode()


class DestinationsController(Controller):
    path = "/api/v1/destinations"
    tags = ("forwarding",)
    opt = ADMIN | EVERY_SITE

    @get(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="List destinations")
    def list_destinations(
        self, forwarding: TheForwarding, access: TheAccess, cursor: FromQuery[str | None] = None
    ) -> Listing[ToldDestination]:
        return read(lambda: _page(forwarding, access, cursor))

    @post(opt=ADMIN | EVERY_SITE, summary="Make a destination")
    async def create_destination(
        self,
        request: AnyRequest,
        data: JSONBody[NewDestination],
        forwarding: TheForwarding,
        access: TheAccess,
    ) -> ToldDetail:
        """Send it what arrives from now on. ``secret`` in the reply is not told again."""
        config = {name: value for name, value in msgspec.to_builtins(data).items() if name in _CONFIG}
        row, made = await asked(
            lambda: forwarding.admin.create(
                data.name, config, secret=data.secret, others=data.secrets, enabled=data.enabled
            )
        )
        await note(
            access, request, "destination.created", row, kind=row.kind, host=host_of(row), images=data.images
        )
        await forwarding.refresh()
        return await asked(lambda: _detail(forwarding, row, access, made))

    @get("/schemas", opt=ADMIN | EVERY_SITE, sync_to_thread=False, summary="JSON Schemas of the shapes")
    def show_schemas(self) -> dict[str, Any]:
        """Return one for each shape, and one for batches of it, which ends in ``_batch``."""
        return schemas()

    @post(
        "/preview",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        sync_to_thread=True,
        summary="Show the latest event as it would be sent",
    )
    def preview(
        self, request: AnyRequest, data: JSONBody[PreviewOrder], forwarding: TheForwarding
    ) -> PreviewItem:
        """Show it; nothing is sent."""
        told = Destination(kind="webhook", url="https://localhost/", filter=data.filter, shape=data.shape)
        found = read(lambda: forwarding.example(told))
        if found is None:
            return PreviewItem(id=None, content_type=None, body=None)
        if told.shape == "push":
            note_original(request, found.event_id)
        return PreviewItem(id=found.id, content_type=found.content_type, body=found.body)

    @get("/{destination_id:int}", opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="Show a destination")
    def show_destination(
        self, destination_id: FromPath[int], forwarding: TheForwarding, access: TheAccess
    ) -> ToldDetail:
        return read(lambda: _detail(forwarding, one(forwarding, destination_id), access))

    @patch("/{destination_id:int}", opt=ADMIN | EVERY_SITE, summary="Change a destination")
    async def change_destination(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        data: JSONBody[DestinationChange],
        forwarding: TheForwarding,
        access: TheAccess,
    ) -> ToldDetail:
        """Take over what is given. A filter holds for what was not read yet; what is under way may be sent again."""
        given: dict[str, Any] = msgspec.to_builtins(data)
        row = await asked(lambda: one(forwarding, destination_id))
        changed = await asked(
            lambda: forwarding.admin.change(
                row,
                {name: value for name, value in given.items() if name in _CONFIG},
                name=given.get("name"),
                others=given.get("secrets"),
                enabled=given.get("enabled"),
            )
        )
        detail = {"fields": sorted(given), **moved(row, changed)}
        return await _after(request, access, forwarding, changed, "destination.changed", **detail)

    @delete("/{destination_id:int}", opt=ADMIN | EVERY_SITE, summary="Delete a destination or a replay")
    async def delete_destination(
        self, request: AnyRequest, destination_id: FromPath[int], forwarding: TheForwarding, access: TheAccess
    ) -> None:
        """Delete its dead letters and replays with it; what waits is not sent."""
        row = await asked(lambda: one(forwarding, destination_id))
        await asked(lambda: forwarding.destinations.delete(row.id))
        counted = asdict(row.ledger)
        await note(access, request, "destination.deleted", row, **counted)
        await forwarding.refresh()

    @post("/{destination_id:int}/test", opt=ADMIN | EVERY_SITE, status_code=200, summary="Send a test event")
    async def test(
        self, request: AnyRequest, destination_id: FromPath[int], forwarding: TheForwarding, access: TheAccess
    ) -> TrialItem:
        """Send a made-up event, marked as a test, through the same checks as any other. It counts in no ledger."""
        row = await asked(lambda: one(forwarding, destination_id))
        found = await tested(request, access, forwarding, row)
        return TrialItem(**asdict(found))

    @post(
        "/{destination_id:int}/pause",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        summary="Pause a destination and its replays, or one replay",
    )
    async def pause(
        self, request: AnyRequest, destination_id: FromPath[int], forwarding: TheForwarding, access: TheAccess
    ) -> ToldDetail:
        """Let what arrives wait, however long it is: that costs nothing."""
        row = await asked(lambda: one(forwarding, destination_id))
        changed = await asked(lambda: forwarding.admin.pause(row.id))
        return await _after(request, access, forwarding, changed, "destination.paused")

    @post(
        "/{destination_id:int}/resume",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        summary="Resume a destination that was paused, or that closed",
    )
    async def resume(
        self, request: AnyRequest, destination_id: FromPath[int], forwarding: TheForwarding, access: TheAccess
    ) -> ToldDetail:
        row = await asked(lambda: one(forwarding, destination_id))
        changed = await asked(lambda: forwarding.admin.resume(row.id))
        return await _after(request, access, forwarding, changed, "destination.resumed")

    @post(
        "/{destination_id:int}/rotate",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        summary="Give it another secret",
    )
    async def rotate(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        data: JSONBody[Rotation],
        forwarding: TheForwarding,
        access: TheAccess,
    ) -> RotatedItem:
        """Sign with both until the one before is over."""
        row = await asked(lambda: one(forwarding, destination_id))
        changed, made = await asked(lambda: forwarding.admin.rotate(row, data.secret, keep_s=data.keep_s))
        if changed is None:
            raise _no_such()
        await note(access, request, "destination.rotated", changed, keep_s=data.keep_s)
        await forwarding.refresh()
        return RotatedItem(secret=made)

    @post("/{destination_id:int}/replay", opt=ADMIN | EVERY_SITE, summary="Send a span of events again")
    async def replay(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        data: JSONBody[NewReplay],
        forwarding: TheForwarding,
        access: TheAccess,
    ) -> ReplayItem:
        """Choose by when they were received. The events have the ids that they had, and are flagged.

        Of replays that are over the latest 20 are kept, and those with dead letters.
        """
        now = datetime.fromtimestamp(access.doors.now_ms() / 1000, UTC)
        since = moment("since", data.since)
        if since is None:
            raise SettingsError("since", "is missing")
        until = moment("until", data.until) or now
        chosen = None if data.filter is None else msgspec.to_builtins(data.filter)
        row = await asked(lambda: one(forwarding, destination_id))
        made = await asked(lambda: forwarding.admin.replay(row, since, until, chosen=chosen, rate=data.rate))
        await note(
            access,
            request,
            "destination.replayed",
            row,
            since=since.isoformat(),
            until=until.isoformat(),
            events=made.ledger.waiting,
        )
        await forwarding.refresh()
        return await asked(lambda: _replay(forwarding, made, now))

    @get(
        "/{destination_id:int}/dead",
        opt=ADMIN | EVERY_SITE,
        sync_to_thread=True,
        summary="List its dead letters",
    )
    def list_dead(
        self,
        destination_id: FromPath[int],
        forwarding: TheForwarding,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[DeadLetterItem]:
        row = one(forwarding, destination_id)
        page = read(
            lambda: forwarding.destinations.exceptions_page(row.id, dead=True, limit=limit, cursor=cursor)
        )
        return Listing(list(map(_dead, page.items)), page.next_cursor)

    @get(
        "/{destination_id:int}/attempts", opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="List attempts"
    )
    def list_attempts(
        self, destination_id: FromPath[int], forwarding: TheForwarding, cursor: FromQuery[str | None] = None
    ) -> Listing[AttemptItem]:
        """Return the latest 1,000, the latest first. Of many that end together 20 are kept, failed ones first."""
        row = one(forwarding, destination_id)
        page = read(lambda: _attempts(forwarding.destinations.attempts(row.id, MAX_ATTEMPTS), cursor))
        return Listing(list(map(_attempt, page.items)), page.next_cursor)

    @post(
        "/{destination_id:int}/retry",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        summary="Try dead letters again",
    )
    async def retry(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        data: JSONBody[Chosen],
        forwarding: TheForwarding,
        access: TheAccess,
    ) -> DoneItem:
        """Let them wait as if they had never been refused."""
        row = await asked(lambda: one(forwarding, destination_id))
        which = dead_letters(data.events, all_of_them=data.all)
        done = await asked(lambda: forwarding.destinations.retry_dead(row.id, which))
        await note(access, request, "destination.retried", row, events=done, ids=_some(which))
        await forwarding.refresh()
        return DoneItem(events=done)

    @post(
        "/{destination_id:int}/drop", opt=ADMIN | EVERY_SITE, status_code=200, summary="Give dead letters up"
    )
    async def drop(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        data: JSONBody[Chosen],
        forwarding: TheForwarding,
        access: TheAccess,
    ) -> DoneItem:
        """Count them as dropped; in the lists of events they stay."""
        row = await asked(lambda: one(forwarding, destination_id))
        which = dead_letters(data.events, all_of_them=data.all)
        done = await asked(lambda: forwarding.destinations.drop_dead(row.id, which))
        await note(access, request, "destination.dropped", row, events=done, ids=_some(which))
        await forwarding.refresh()
        return DoneItem(events=done)


_CONFIG = frozenset(Destination.__struct_fields__)


async def tested(request: AnyRequest, access: Access, forwarding: Forwarding, row: DestinationRow) -> Trial:
    """Send a test event, and note that in the audit log."""
    found = await forwarding.test(row)
    await note(
        access,
        request,
        "destination.tested",
        row,
        host=host_of(row),
        outcome=found.outcome,
        status=found.status,
    )
    return found


async def _after(
    request: AnyRequest,
    access: Access,
    forwarding: Forwarding,
    changed: DestinationRow | None,
    action: str,
    **detail: object,
) -> ToldDetail:
    """Note a change, take it over, and show what the destination is now."""
    if changed is None:
        raise _no_such()
    await note(access, request, action, changed, **detail)
    await forwarding.refresh()
    return await asked(lambda: _detail(forwarding, changed, access))


def _some(events: Sequence[int] | None) -> list[int] | None:
    return None if events is None else list(events[:20])


def _attempts(rows: Sequence[AttemptRow], cursor: str | None) -> Page[AttemptRow]:
    return paged(
        rows,
        lambda row: weight(row.status, row.reply, row=256),
        order="attempts",
        place=lambda row: (row.at_ms, row.event_id, row.took_ms, row.outcome),
        cursor=cursor,
    )


def _attempt(row: AttemptRow) -> AttemptItem:
    return AttemptItem(
        at=datetime.fromtimestamp(row.at_ms / 1000, UTC),
        took_ms=row.took_ms,
        event=row.event_id,
        events=row.events,
        outcome=row.outcome,
        status=row.status,
        reply=row.reply,
    )


def _dead(row: ExceptionRow) -> DeadLetterItem:
    dead_at = None if row.dead_at_ms is None else datetime.fromtimestamp(row.dead_at_ms / 1000, UTC)
    return DeadLetterItem(
        event=row.event_id,
        kind=row.kind,
        terminal_id=row.terminal_id,
        received_at=datetime.fromtimestamp(row.received_at_ms / 1000, UTC),
        dead_at=dead_at,
        attempts=row.attempts,
        refusals=row.refusals,
        reason=row.reason,
    )
