"""``/api/v1/live``: what happens, as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Annotated, Literal

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, HTTPException
from litestar.params import FromQuery, HeaderParameter, QueryParameter, SkipValidation
from litestar.response import Stream

from gatepost.receiver.api.access.authorization import BY_ITSELF, GUARD, Access, AnyRequest, TheAccess
from gatepost.receiver.api.access.shares import Share
from gatepost.receiver.api.events.alarms import alarm_item
from gatepost.receiver.api.events.filters import AtSite, AtTerminal, TerminalFilter
from gatepost.receiver.api.events.records import record_item
from gatepost.receiver.api.shapes import MAX_ID, Include, TheStore
from gatepost.receiver.api.streaming import streamed
from gatepost.receiver.auth.principal import Principal, may
from gatepost.receiver.live_stream import Crowded, Live, Told, Variant, event_block
from gatepost.receiver.people_rules import Meaning
from gatepost.store.interface import AlarmRow, FeedItem, RecordRow, Store, Visible
from gatepost.store.query.records import without_numbers
from gatepost.store.questions import UserStore
from gatepost.store.terminals.terminal_labels import TerminalLabel

__all__ = ["LiveController", "TheLive", "tell"]

MAX_DIGITS = 19
"""Of :data:`~gatepost.receiver.api.shapes.MAX_ID`."""

LOOK_BACK = 200
"""With how many events of before a stream may begin without a line in the audit log, and a guard's at all.

Some screens full of the live page's cards.
"""

TheLive = NamedDependency[SkipValidation[Live]]


def tell(store: Store, meaning: Meaning) -> Callable[[int, int], tuple[list[Told], int]]:
    """Return the reading side of ``Live``: the feed, as the API shows records and alarms."""
    encoder = msgspec.json.Encoder()

    def read(after: int, limit: int) -> tuple[list[Told], int]:
        happened, place = store.happened(after, limit)
        ids = meaning.person_ids(row for _, row in happened)
        terminals = store.labels(row.terminal_id for _, row in happened)

        def block(item: FeedItem, row: RecordRow | AlarmRow, include: str | None) -> bytes:
            if isinstance(row, RecordRow):
                data = encoder.encode(record_item(row, ids, include=include))
            else:
                data = encoder.encode(alarm_item(row, include=include))
            return event_block(item.id, item.kind, data)

        told = [
            Told(
                item.id,
                item.kind,
                terminals[row.terminal_id],
                block(item, row, None),
                block(item, row, "original"),
                block(item, without_numbers(row), None),
            )
            for item, row in happened
        ]
        return told, place

    return read


class LiveController(Controller):
    path = "/api/v1/live"
    opt = GUARD | BY_ITSELF
    tags = ("live",)

    @get(summary="What arrives, as server-sent events", media_type="text/event-stream")
    async def live(
        self,
        request: AnyRequest,
        live: TheLive,
        access: TheAccess,
        store: TheStore,
        at_terminal: AtTerminal,
        at_site: AtSite,
        after: Annotated[int | None, QueryParameter(ge=0, le=MAX_ID)] = None,
        last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
        kind: FromQuery[Literal["record", "alarm"] | None] = None,
        include: Include = None,
    ) -> Stream:
        """``event: record`` and ``event: alarm`` (at each of its steps), with the same JSON as in the lists.

        Begins with what arrives from now on; after a place (``id:`` of an event, in ``Last-Event-ID`` or else
        ``after``) without a gap or a repeat. Every 15 seconds something is sent. Who reads too slowly is cut off,
        and continues with ``Last-Event-ID``. ``terminal`` and ``site`` as for records. ``include=original`` adds the
        JSON as it was pushed. A stream that begins more than 200 events back is in the audit log; a guard's begins
        200 events back at most.
        """
        place = after if not last_event_id else _place(last_event_id)
        if place is not None:
            place = await asyncio.to_thread(_allowed_place, request, access, store, place)
        named: Sequence[int] = ()
        if at_terminal.terminal is not None:
            named = await asyncio.to_thread(store.terminals_named, at_terminal.terminal)
        pieces = _seated(
            access.shares.live,
            request.user,
            live.listen(
                place,
                wanted=_wanted(at_terminal, named, at_site, kind, request.user.visible),
                variant=_variant(request.user.visible, include),
                allowed=_still_allowed(request, access),
            ),
        )
        # Some proxies gather a response before they pass it on; the last header asks them not to.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        try:
            return await streamed(request, pieces, media_type="text/event-stream", headers=headers)
        except Crowded as error:
            raise HTTPException(str(error), status_code=503, headers={"retry-after": "5"}) from None


async def _seated(
    share: Share, user: Principal, pieces: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a stream, one of those that an account may have."""
    with share.of(user):
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                yield piece


def _variant(visible: Visible, include: str | None) -> Variant:
    if not visible.numbers:
        return "without_numbers"
    return "original" if include == "original" else "usual"


def _allowed_place(request: AnyRequest, access: Access, store: UserStore, place: int) -> int:
    """Return where a stream begins that is asked for after a place; a far one is noted, and a guard's is nearer."""
    nearest = store.place_before(LOOK_BACK)
    if place >= nearest:
        return place
    if not may(request.user.role, "viewer"):
        return nearest
    access.note_again(request, "live.read_back", event_id=place)
    return place


def _place(text: str) -> int:
    # The length first: Python refuses to read a number of thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) <= MAX_ID):
        raise ClientException("Last-Event-ID is none that this stream gave out; leave it out")
    return int(text)


def _wanted(
    at_terminal: TerminalFilter,
    named: Sequence[int],
    site_id: int | None,
    kind: str | None,
    visible: Visible,
) -> Callable[[Told], bool] | None:
    """Return what chooses among events. ``named``: the terminals that the filter meant when the stream began."""
    terminal, sites = at_terminal.terminal, visible.sites
    filtered = terminal is not None or at_terminal.without_serial or site_id is not None or kind is not None
    if not filtered and sites is None:
        return None

    def is_terminal(place: TerminalLabel) -> bool:
        if place.id in named or place.serial == terminal:
            return True
        return not named and place.name == terminal

    def wanted(told: Told) -> bool:
        place = told.terminal
        return (
            kind in (None, told.kind)
            and (sites is None or place.site_id in sites)
            and site_id in (None, place.site_id)
            and (terminal is None or is_terminal(place))
            and not (at_terminal.without_serial and place.serial is not None)
        )

    return wanted


def _still_allowed(request: AnyRequest, access: TheAccess) -> Callable[[], Awaitable[bool]]:
    """Return what is asked at each heartbeat: a stream is one long request, and ends when what it came with has.

    It also ends when the user may see something else by now; the next one is chosen from by that.
    To be asked is no use of the session: nobody may be there.
    """
    headers = dict(request.headers.items())
    host = headers.get("host", "")

    async def allowed() -> bool:
        ask = functools.partial(access.doors.authenticate, "GET", headers, host=host, is_use=False)
        found = await asyncio.to_thread(ask)
        return found is not None and found.visible == request.user.visible

    return allowed
