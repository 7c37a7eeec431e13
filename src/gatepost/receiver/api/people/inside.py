"""``/api/v1/inside``: who is inside, at each site, now and at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from litestar import Controller, get
from litestar.exceptions import ClientException
from litestar.params import FromQuery

from gatepost.items import InsideItem, PersonInsideItem, SiteInsideItem
from gatepost.receiver.api.access.authorization import GUARD, TheAccess
from gatepost.receiver.api.events.filters import AtSite
from gatepost.receiver.api.people.attendance import OfKind
from gatepost.receiver.api.people.people import Limit
from gatepost.receiver.api.shapes import TheMeaning, moment, read, word
from gatepost.receiver.people_rules import Meaning
from gatepost.store.interface import Page
from gatepost.store.page_bytes import paged
from gatepost.store.people.inside import Inside, InsideQuery, PersonInside
from gatepost.store.people.person import Kind

__all__ = ["InsideController", "asked", "people_items"]


class InsideController(Controller):
    path = "/api/v1/inside"
    opt = GUARD
    tags = ("people",)

    @get(sync_to_thread=True, summary="Who is inside, at each site")
    def list_inside(
        self,
        access: TheAccess,
        meaning: TheMeaning,
        at_site: AtSite,
        at: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        kind: OfKind = "all",
        limit: Limit = 1000,
        cursor: FromQuery[str | None] = None,
    ) -> InsideItem:
        """Tell who is inside now, or was at a time (``at``): by site and name, with the counts of each site.

        The latest passage of a person at a site decides. At a terminal of the direction ``in`` it says inside, for 36
        hours at most; at one of ``out``, outside; at one of ``both``, inside for 13 hours. ``group`` and ``site`` are a
        name or an id. ``sites`` counts all who fit, ``items`` is a page of them.
        """
        query = asked(at=at, now_ms=access.doors.now_ms(), site_id=at_site, group=group, kind=kind)
        found = read(lambda: meaning.inside.ask(query))
        page = read(lambda: _page(found, limit, cursor))
        return InsideItem(
            at=found.at,
            sites=[
                SiteInsideItem(
                    site_id=one.site_id,
                    site=one.site,
                    timezone=one.timezone,
                    people=one.people,
                    strangers=one.strangers,
                )
                for one in found.sites
            ],
            items=people_items(meaning, page.items),
            next_cursor=page.next_cursor,
        )


def asked(
    *, at: str | None, now_ms: int, site_id: int | None, group: str | None, kind: Kind = "all"
) -> InsideQuery:
    """Return the question to the store. Raises ``ClientException`` for a time that is none, or to come."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    when = moment("at", at)
    if when is not None and when > now:
        raise ClientException("at is a time to come; give one that is past, or leave it out for now")
    return InsideQuery(
        at=when or now, is_now=when is None, site_id=site_id, group=word("group", group), kind=kind
    )


def people_items(meaning: Meaning, people: Sequence[PersonInside]) -> list[PersonInsideItem]:
    """Shape people who are inside for a reply."""
    ids = meaning.people.ids((one.identity_id, one.terminal_id) for one in people)
    return [
        PersonInsideItem(
            person_id=ids[one.identity_id, one.terminal_id],
            user_id=one.user_id,
            name=one.name,
            type=one.type,
            job_number=one.job_number,
            groups=list(one.groups),
            site_id=one.site_id,
            site=one.site,
            timezone=one.timezone,
            at=one.at,
            terminal_id=one.terminal_id,
            terminal_name=one.terminal,
            direction=one.direction,
        )
        for one in people
    ]


def _page(found: Inside, limit: int, cursor: str | None) -> Page[PersonInside]:
    return paged(
        found.people,
        lambda one: one.size,
        order="inside",
        place=lambda one: (one.identity_id, one.terminal_id),
        cursor=cursor,
        limit=limit,
    )
