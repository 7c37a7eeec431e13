"""``/people``: who was here; a person's days, with first-in, last-out and every passage."""

from __future__ import annotations

import asyncio
from calendar import monthrange
from collections.abc import Sequence
from datetime import date, timedelta

from litestar import Controller, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, RawBody
from msgspec.structs import replace

from gatepost.console.desk import Desk, Html, TheDesk, View
from gatepost.console.input.filter_names import PEOPLE
from gatepost.console.input.filters import Filters
from gatepost.console.input.forms import Form
from gatepost.console.pages.events.views import page_views
from gatepost.receiver.api.access.authorization import ADMIN, OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import note_search
from gatepost.receiver.api.events.live import TheLive
from gatepost.receiver.api.operation.retention import TheKeeper
from gatepost.receiver.api.people.erasure import ErasedItem, check_reach, erase_each, whoms
from gatepost.receiver.api.people.joins import join_people, part_number
from gatepost.receiver.api.people.marks import NewMark, mark_person, take_away_mark
from gatepost.receiver.api.shapes import MAX_ID, TheMeaning, TheStore, read, word
from gatepost.receiver.exports.attendance import rows_of
from gatepost.receiver.people_rules import Meaning
from gatepost.store.attendance.person_day import day_of
from gatepost.store.local_days import month_of, parse_day, parse_time, zone
from gatepost.store.people.joined import Joins
from gatepost.store.people.person import PeopleQuery, Person

__all__ = ["Month", "PeoplePages", "month_in"]

PAGE = 60

CANDIDATES = 20
"""People of a search for who is the same person."""


class Month:
    """A month, with the ones beside it."""

    def __init__(self, first: date) -> None:
        self.first = first
        self.last = first.replace(day=monthrange(first.year, first.month)[1])
        self.text = f"{first:%Y-%m}"
        self.before = f"{first - timedelta(days=1):%Y-%m}"
        self.after = f"{self.last + timedelta(days=1):%Y-%m}"

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


def month_in(view: View, text: str | None, today: date) -> Month:
    """Return the month that an address names; the current one for any other text."""
    try:
        return Month(month_of(text or "")[0])
    except ValueError:
        return Month(today.replace(day=1))


class PeoplePages(Controller):
    """``/people``."""

    path = "/people"
    opt = VIEWER

    @get(sync_to_thread=True)
    def list_people(self, request: AnyRequest, desk: TheDesk, meaning: TheMeaning, access: TheAccess) -> Html:
        view = desk.view(request)
        views = page_views(view, "people")
        if views.start is not None:
            return view.go(views.start)
        filters = Filters(view, PEOPLE, groups=meaning.people.groups())
        if (sealed := filters.sealed()) is not None:
            return view.go(sealed)
        query = replace(filters.people(), limit=PAGE, cursor=view.query.get("cursor"))
        page = read(lambda: meaning.people.page(query))
        note_search(access, request, query, len(page.items))
        return view.page(
            "people.html",
            active="people",
            filters=filters,
            views=views,
            people=page.items,
            found=meaning.people.count(query),
            next=page.next_cursor,
            places=view.places(person.last_terminal_id for person in page.items),
        )

    @post(sync_to_thread=True)
    def filter_people(self, request: AnyRequest, body: RawBody, desk: TheDesk) -> Html:
        view = desk.view(request)
        return view.go(Filters(view, PEOPLE).address("/people", Form(body)))

    @get("/{person_id:str}", sync_to_thread=True)
    def show_person(
        self, request: AnyRequest, person_id: FromPath[str], desk: TheDesk, meaning: TheMeaning
    ) -> Html:
        return _person(desk, request, meaning, known(meaning, person_id))

    @post("/{person_id:str}/mark", opt=OPERATOR, sync_to_thread=True)
    def mark(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        store: TheStore,
        meaning: TheMeaning,
    ) -> Html:
        """Mark a person until a time by the clocks of their site."""
        form, person = Form(body), known(meaning, person_id)
        until = None
        if form("until"):
            until = read(lambda: parse_time(form("until"), local=zone(person.timezone))).isoformat()
        data = NewMark(reason=form("reason"), until=until)
        mark_person(request, access, store, meaning, person, data, form.versions)
        return desk.view(request).go(f"/people/{person_id}", done="saved")

    @post("/{person_id:str}/unmark", opt=OPERATOR, sync_to_thread=True)
    def unmark(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        desk: TheDesk,
        access: TheAccess,
        store: TheStore,
        meaning: TheMeaning,
    ) -> Html:
        take_away_mark(request, access, store, meaning, known(meaning, person_id))
        return desk.view(request).go(f"/people/{person_id}", done="saved")

    @post("/{person_id:str}/same", opt=OPERATOR, sync_to_thread=True)
    def search_same(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        meaning: TheMeaning,
    ) -> Html:
        """Show who may be the same person. It is no redirect, so that no name stands in an address."""
        person, searched = known(meaning, person_id), Form(body)("q")[:128]
        query = PeopleQuery(q=word("q", searched), limit=CANDIDATES)
        found = read(lambda: meaning.people.page(query)).items
        note_search(access, request, query, len(found))
        others = [one for one in found if one.id != person.id]
        return _person(desk, request, meaning, person, searched=searched, candidates=others)

    @post("/{person_id:str}/join", opt=OPERATOR, sync_to_thread=True)
    def join(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        store: TheStore,
        meaning: TheMeaning,
    ) -> Html:
        person = known(meaning, person_id)
        one = join_people(request, access, store, meaning, person, Form(body)("other"))
        return desk.view(request).go(f"/people/{one.id}", done="joined")

    @post("/{person_id:str}/part", opt=OPERATOR, sync_to_thread=True)
    def part(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        store: TheStore,
        meaning: TheMeaning,
    ) -> Html:
        number = next(iter(Form(body).numbers("number")), 0)
        part_number(request, access, store, meaning, known(meaning, person_id), min(number, MAX_ID))
        return desk.view(request).go(f"/people/{person_id}", done="parted")

    @post("/{person_id:str}/erase", opt=ADMIN)
    async def erase_person(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        store: TheStore,
        meaning: TheMeaning,
        keeper: TheKeeper,
        live: TheLive,
    ) -> Html:
        """Erase for good, once the name has been typed."""
        typed = Form(body)("typed")
        check_reach(request, meaning.rules.scope)

        def do() -> Html:
            keeper.prepare_erasure()
            person = known(meaning, person_id)
            if typed != (person.name or person.user_id or person.id).strip():
                return _person(desk, request, meaning, person, wrong=True)
            done = erase_each(keeper, whoms(store, meaning, person))
            counts = {name: getattr(done, name) for name in ErasedItem.__struct_fields__}
            access.note(request, "person.erased", person_id, **counts)
            return desk.view(request).go("/people", done="erased")

        answer = await asyncio.to_thread(do)
        live.forget()
        return answer


def _person(
    desk: Desk,
    request: AnyRequest,
    meaning: Meaning,
    person: Person,
    *,
    wrong: bool = False,
    searched: str = "",
    candidates: Sequence[Person] | None = None,
) -> Html:
    """``candidates``: who may be the same person, of a search for ``searched``."""
    view = desk.view(request)
    last_day = view.show.local(person.last_seen, person.timezone).date()
    month = month_in(view, view.query.get("month"), last_day)
    rows = rows_of(read(lambda: meaning.attendance.of(person, month.first, month.last)))
    seen = [row.day for row in rows if row.attended is not None]
    chosen = _day(view.query.get("day")) or (seen[-1] if seen else None)
    day = (
        None
        if chosen is None
        else read(lambda: day_of(view.store, person, chosen, meaning.rules, meaning.now_ms))
    )
    return view.page(
        "person.html",
        status=400 if wrong else 200,
        active="people",
        person=person,
        month=month,
        rows=rows,
        day=day,
        portrait=view.store.portrait(person.identities),
        place=view.places([person.last_terminal_id]).get(person.last_terminal_id),
        wrong=wrong,
        numbers=read(lambda: Joins(view.store, meaning.rules).numbers(person)),
        searched=searched,
        candidates=candidates,
    )


def known(meaning: Meaning, person_id: str) -> Person:
    """Return a person by id. Raises 404 where there is none."""
    person = read(lambda: meaning.people.person(person_id))
    if person is None:
        raise NotFoundException("there is no such person")
    return person


def _day(text: str | None) -> date | None:
    try:
        return parse_day(text or "")
    except ValueError:
        return None
