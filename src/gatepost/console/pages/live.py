"""``/``: what happens, as it happens.

Rules:

* The page comes with the latest cards and a *place* in the stream. Its script is woken by ``/api/v1/live`` and asks
  ``/since?after=PLACE`` for what is new, as finished cards, with the place to go on from. So nothing is lost or
  repeated however often the connection is, and no card is drawn in two languages of programming.
* Alarms that are open, and the numbers of the day, come along with each answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Controller, get
from litestar.params import QueryParameter
from msgspec.structs import replace

from gatepost.console.desk import Html, TheDesk, View
from gatepost.receiver.api.authorization import BY_ITSELF, GUARD, AnyRequest
from gatepost.receiver.api.shapes import MAX_ID
from gatepost.store.interface import AlarmQuery, AlarmRow, RecordRow
from gatepost.store.questions import UserStore

__all__ = ["LivePages"]

CARDS = 48
"""On the page: a wall screen full of them."""

ALARMS = 20


class LivePages(Controller):
    """``/`` and ``/since``."""

    opt = GUARD

    @get("/", sync_to_thread=True)
    def live(self, request: AnyRequest, desk: TheDesk) -> Html:
        view = desk.view(request)
        place = view.store.end_of_feed()  # first: what arrives in between is shown twice rather than never
        values = _values(view, view.store.latest_records(CARDS))
        return view.page("live.html", active="live", place=place, **values)

    @get("/since", opt=BY_ITSELF, sync_to_thread=True)
    def since(
        self, request: AnyRequest, desk: TheDesk, after: Annotated[int, QueryParameter(ge=0, le=MAX_ID)]
    ) -> Html:
        view = desk.view(request)
        records, place, missed = _news(view.store, after)
        headers = {"x-place": str(place), "x-records": str(len(records))}
        return view.part(
            "live_parts.html",
            headers=headers,
            missed=missed,
            **_values(view, records),
        )


def _values(view: View, records: Sequence[RecordRow]) -> dict[str, Any]:
    store = view.store
    alarms = _open_alarms(store)
    # The number beside alarms that are shown is never older than they are.
    counts = replace(view.desk.counts(store), alarms=store.alarm_counts())
    return {
        "counts": counts,
        "records": records,
        "alarms": alarms,
        "places": view.places([*(row.terminal_id for row in records), *(row.terminal_id for row in alarms)]),
    }


def _news(store: UserStore, after: int) -> tuple[list[RecordRow], int, int]:
    """The records behind a place, latest first; the place to go on from; and how many more there were than fit."""
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
    """The latest open alarms, those that are not acknowledged first."""
    return [
        alarm
        for acknowledged in (False, True)
        for alarm in store.alarms(AlarmQuery(state="open", acknowledged=acknowledged, limit=ALARMS)).items
    ]
