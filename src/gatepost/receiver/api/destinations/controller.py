"""Serve ``/api/v1/destinations``: where events are passed on to, how far each destination is, what to do about it.

For administrators of every site, reading too: an event leaves with all that it has. A secret is in a reply once, when
it was made; the audit log has none, and of an address its host alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec.structs import asdict

from gatepost.errors import SettingsError
from gatepost.forward.admin import dead_letters
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.options.destination import Destination
from gatepost.forward.shapes.schemas import schemas
from gatepost.items import (
    AttemptItem,
    DeadLetterItem,
    DoneItem,
    Listing,
    PreviewItem,
    ReplayItem,
    RotatedItem,
    TrialItem,
)
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, Access, AnyRequest, TheAccess
from gatepost.receiver.api.destinations.asking import (
    TheForwarding,
    asked,
    change_destination,
    no_such,
    one,
    tested,
)
from gatepost.receiver.api.destinations.audit import host_of, moved, note
from gatepost.receiver.api.destinations.bodies import (
    Chosen,
    DestinationChange,
    NewDestination,
    NewReplay,
    PreviewOrder,
    Rotation,
    ToldDestination,
    ToldDetail,
)
from gatepost.receiver.api.destinations.replies import (
    attempt_item,
    attempts_page,
    dead_letter_item,
    destinations_page,
    detail,
    replay_item,
)
from gatepost.receiver.api.events.images import note_original
from gatepost.receiver.api.shapes import MAX_LIMIT, moment, read
from gatepost.receiver.api.versions import ChangedByAnother, IfMatch, tagged, wanted_versions
from gatepost.store.forwarding.destinations import MAX_ATTEMPTS, DestinationRow

__all__ = ["DestinationsController"]

_CONFIG = frozenset(Destination.__struct_fields__)


class DestinationsController(Controller):
    path = "/api/v1/destinations"
    tags = ("forwarding",)
    opt = ADMIN | EVERY_SITE

    @get(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="List destinations")
    def list_destinations(
        self, forwarding: TheForwarding, access: TheAccess, cursor: FromQuery[str | None] = None
    ) -> Listing[ToldDestination]:
        return read(lambda: destinations_page(forwarding, access, cursor))

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
        return await asked(lambda: detail(forwarding, row, access, made))

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
    ) -> Response[ToldDetail]:
        told = read(lambda: detail(forwarding, one(forwarding, destination_id), access))
        return tagged(told, told.version)

    @patch(
        "/{destination_id:int}",
        opt=ADMIN | EVERY_SITE,
        summary="Change a destination",
        raises=[ChangedByAnother],
    )
    async def change_destination(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        data: JSONBody[DestinationChange],
        forwarding: TheForwarding,
        access: TheAccess,
        if_match: IfMatch = None,
    ) -> Response[ToldDetail]:
        """Take over what is given. A filter holds for what was not read yet; what is under way may be sent again."""
        given: dict[str, Any] = msgspec.to_builtins(data)
        wanted = wanted_versions(if_match)
        row = await asked(lambda: one(forwarding, destination_id))
        changed = await asked(
            lambda: change_destination(
                access,
                forwarding,
                row,
                {name: value for name, value in given.items() if name in _CONFIG},
                name=given.get("name"),
                others=given.get("secrets"),
                enabled=given.get("enabled"),
                versions=wanted,
            )
        )
        noted = {"fields": sorted(given), **moved(row, changed)}
        told = await _after(request, access, forwarding, changed, "destination.changed", **noted)
        return tagged(told, told.version)

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
            raise no_such()
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
        return await asked(lambda: replay_item(forwarding, made, now))

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
        return Listing(list(map(dead_letter_item, page.items)), page.next_cursor)

    @get(
        "/{destination_id:int}/attempts", opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="List attempts"
    )
    def list_attempts(
        self, destination_id: FromPath[int], forwarding: TheForwarding, cursor: FromQuery[str | None] = None
    ) -> Listing[AttemptItem]:
        """Return the latest 1,000, the latest first. Of many that end together 20 are kept, failed ones first."""
        row = one(forwarding, destination_id)
        page = read(lambda: attempts_page(forwarding.destinations.attempts(row.id, MAX_ATTEMPTS), cursor))
        return Listing(list(map(attempt_item, page.items)), page.next_cursor)

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


async def _after(
    request: AnyRequest,
    access: Access,
    forwarding: Forwarding,
    changed: DestinationRow | None,
    action: str,
    **noted: object,
) -> ToldDetail:
    """Note a change, take it over, and show what the destination is now."""
    if changed is None:
        raise no_such()
    await note(access, request, action, changed, **noted)
    await forwarding.refresh()
    return await asked(lambda: detail(forwarding, changed, access))


def _some(events: Sequence[int] | None) -> list[int] | None:
    return None if events is None else list(events[:20])
