"""``/``: what happens, as it happens.

Rules:

* The page comes with the latest cards and a *place* in the stream. Its script is woken by ``/api/v1/live`` and asks
  ``/since?after=PLACE`` for what is new, as finished cards, with the place to go on from. So nothing is lost or
  repeated however often the connection is, and no card is drawn in two languages of programming.
* Alarms that are open, and the numbers of the day, come along with each answer.
* The address narrows the page to a site (``site``) and to terminals (``terminals``, ids with commas). What arrives
  elsewhere wakes the page, too, and is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Controller, get
from litestar.exceptions import ClientException
from litestar.params import QueryParameter
from msgspec.structs import replace

from gatepost.console.desk import Html, TheDesk, View
from gatepost.console.input.filters import CHOICE_BYTES
from gatepost.console.pages.administration.setup_left import steps_left
from gatepost.console.pages.events.views import page_views
from gatepost.receiver.api.access.authorization import BY_ITSELF, GUARD, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import MAX_ID
from gatepost.store.interface import AlarmQuery, AlarmRow, RecordRow
from gatepost.store.page_bytes import fitting, weight
from gatepost.store.questions import UserStore
from gatepost.store.terminals.terminal_labels import TerminalLabel

__all__ = ["LivePages"]

CARDS = 48
"""On the page: a wall screen full of them."""

ALARMS = 20

MOST_TERMINALS = 100
"""To which the page is narrowed."""


class LivePages(Controller):
    """``/`` and ``/since``."""

    opt = GUARD

    @get("/", sync_to_thread=True)
    def live(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Html:
        view = desk.view(request)
        if "terminal" in view.query:
            return view.go(_as_address(view, request.query_params.getall("terminal")))
        views = page_views(view, "live")
        if views.start is not None:
            return view.go(views.start)
        place = view.store.end_of_feed()  # first: what arrives in between is shown twice rather than never
        narrowed = Narrowed(view)
        values = _values(view, narrowed, narrowed.store.latest_records(CARDS))
        return view.page(
            "live.html",
            active="live",
            place=place,
            views=views,
            terminals=narrowed.choices(),
            steps_left=steps_left(view, access),
            **values,
        )

    @get("/since", opt=BY_ITSELF, sync_to_thread=True)
    def since(
        self, request: AnyRequest, desk: TheDesk, after: Annotated[int, QueryParameter(ge=0, le=MAX_ID)]
    ) -> Html:
        view = desk.view(request)
        narrowed = Narrowed(view)
        records, place, missed = _news(narrowed.store, after)
        headers = {"x-place": str(place), "x-records": str(len(records))}
        return view.part(
            "live_parts.html",
            headers=headers,
            missed=missed,
            **_values(view, narrowed, records),
        )


class Narrowed:
    """Hold what the address narrows the page to, under the rights of the user."""

    def __init__(self, view: View) -> None:
        self._view = view
        asked = view.query.get("site", "")
        self.sites = view.store.sites()
        self.site = next((site for site in self.sites if str(site.id) == asked), None)
        asked_terminals = [text for text in view.query.get("terminals", "").split(",") if text]
        ids = {int(text) for text in asked_terminals[:MOST_TERMINALS] if _is_id(text)}
        known = view.places(ids)
        self.terminals = sorted(known.values(), key=lambda place: (place.site, place.label.casefold()))
        self.gone = len(ids) - len(known)
        """How many terminals of the address are not there, or not the user's to see; they are left out."""
        self.wrong: list[str] = []
        """Names of filters whose value makes no sense; they are left out."""
        if asked and self.site is None:
            self.wrong.append(view.words("records.site"))
        if asked_terminals and not ids:
            self.wrong.append(view.words("records.terminal"))
        self.store = view.store.narrowed(
            sites=None if self.site is None else frozenset([self.site.id]),
            terminals=frozenset(known) if known else None,
        )

    @property
    def address(self) -> dict[str, str]:
        """Return the filters as an address has them."""
        found = {} if self.site is None else {"site": str(self.site.id)}
        ids = ",".join(str(place.id) for place in sorted(self.terminals, key=lambda place: place.id))
        return found | ({"terminals": ids} if ids else {})

    @property
    def of_lists(self) -> dict[str, str]:
        """Return the filters as an address of records and alarms has them; those take one terminal at most."""
        found = {} if self.site is None else {"site": str(self.site.id)}
        if len(self.terminals) == 1:
            found["terminal"] = self.terminals[0].serial or f"#{self.terminals[0].id}"
        return found

    @property
    def site_options(self) -> list[tuple[int, str]]:
        """Return the sites to choose from."""
        return [(site.id, site.name) for site in self.sites]

    def choices(self) -> list[tuple[str, list[TerminalLabel]]]:
        """Return the terminals to choose from, by site, as many as fit on a page; held ones have nothing to show."""
        chosen = {place.id for place in self.terminals}
        places = [place for place in self._view.store.all_labels() if place.state != "held"]
        places.sort(key=lambda place: (place.id not in chosen, place.site, place.label.casefold(), place.id))
        sizes = [weight(place.label, row=256) for place in places]
        by_site: dict[str, list[TerminalLabel]] = {}
        for place in sorted(places[: fitting(sizes, CHOICE_BYTES)], key=lambda place: place.site):
            by_site.setdefault(place.site, []).append(place)
        return list(by_site.items())


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _as_address(view: View, ticked: Sequence[str]) -> str:
    """Return the address of what the form asks for, which has a field for each terminal."""
    terminals = sorted({int(text) for text in ticked if _is_id(text)})
    if len(terminals) > MOST_TERMINALS:
        raise ClientException(f"choose {MOST_TERMINALS} terminals at most, or a site")
    address = {"site": view.query.get("site"), "terminals": ",".join(map(str, terminals))}
    return view.at("/", **address).removeprefix(view.root)


def _values(view: View, narrowed: Narrowed, records: Sequence[RecordRow]) -> dict[str, Any]:
    store = narrowed.store
    alarms = _open_alarms(store)
    # The numbers beside alarms that are shown are never older than they are.
    counts = replace(view.desk.counts(view.store), alarms=view.store.alarm_counts())
    numbers = replace(view.desk.counts(store), alarms=store.alarm_counts())
    return {
        "counts": counts,
        "numbers": numbers,
        "narrowed": narrowed,
        "back": view.at("/", **narrowed.address).removeprefix(view.root),
        "records": records,
        "alarms": alarms,
        "places": view.places([*(row.terminal_id for row in records), *(row.terminal_id for row in alarms)]),
    }


def _news(store: UserStore, after: int) -> tuple[list[RecordRow], int, int]:
    """Return the records after a place, latest first; the place to go on from; how many more there were than fit."""
    ids: list[int] = []
    place = after
    while True:
        page = store.read_feed(place)
        ids += [item.id for item in page.items if item.kind == "record" and not item.is_held]
        if page.place == place:
            break
        place = page.place
    latest = ids[-CARDS:]
    rows = {row.id: row for row in store.records_by_id(latest)}
    return [rows[each] for each in reversed(latest) if each in rows], place, len(ids) - len(latest)


def _open_alarms(store: UserStore) -> list[AlarmRow]:
    """Return the latest open alarms, those that are not acknowledged first."""
    return [
        alarm
        for acknowledged in (False, True)
        for alarm in store.alarms(AlarmQuery(state="open", acknowledged=acknowledged, limit=ALARMS)).items
    ]
