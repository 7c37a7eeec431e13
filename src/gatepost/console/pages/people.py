"""``/people``: who was here; a person's days, with first-in, last-out and every passage."""

from __future__ import annotations

import asyncio
from calendar import monthrange
from datetime import date, timedelta

from litestar import Controller, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, RawBody
from msgspec.structs import replace

from gatepost.console.desk import Desk, Html, TheDesk, View
from gatepost.console.filters import PEOPLE, Filters
from gatepost.console.forms import Form
from gatepost.receiver.api.authorization import ADMIN, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.erasure import ErasedItem, check_reach, whom
from gatepost.receiver.api.filters import note_search
from gatepost.receiver.api.live import TheLive
from gatepost.receiver.api.retention import TheKeeper
from gatepost.receiver.api.shapes import TheMeaning, read
from gatepost.receiver.exports.attendance import rows_of
from gatepost.receiver.people_rules import Meaning
from gatepost.store.local_days import month_of, parse_day
from gatepost.store.people.people import Person
from gatepost.store.people.person_day import day_of

__all__ = ["Month", "PeoplePages", "month_in"]

PAGE = 60


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
    """The month of an address; the current one for what is none."""
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
            people=page.items,
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

    @post("/{person_id:str}/erase", opt=ADMIN)
    async def erase_person(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
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
            done = keeper.erase(whom(person, meaning.rules.scope))
            counts = {name: getattr(done, name) for name in ErasedItem.__struct_fields__}
            access.note(request, "person.erased", person_id, **counts)
            return desk.view(request).go("/people", done="erased")

        answer = await asyncio.to_thread(do)
        live.forget()
        return answer


def _person(
    desk: Desk, request: AnyRequest, meaning: Meaning, person: Person, *, wrong: bool = False
) -> Html:
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
    )


def known(meaning: Meaning, person_id: str) -> Person:
    """A person by id; 404 where there is none."""
    person = read(lambda: meaning.people.person(person_id))
    if person is None:
        raise NotFoundException("there is no such person")
    return person


def _day(text: str | None) -> date | None:
    try:
        return parse_day(text or "")
    except ValueError:
        return None
