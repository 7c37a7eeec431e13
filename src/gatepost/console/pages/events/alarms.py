"""``/alarms``: what is open, what was, who looked at it, and the life of each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from litestar import Controller, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, RawBody
from litestar.response import Stream
from msgspec import Struct
from msgspec.structs import replace

from gatepost.console.desk import Html, TheDesk, View, local_path
from gatepost.console.input.filter_names import ALARMS
from gatepost.console.input.filters import Filters
from gatepost.console.input.forms import Form
from gatepost.console.pages.events.records import export_format
from gatepost.console.pages.events.views import page_views
from gatepost.receiver.api.access.authorization import ACKNOWLEDGE, GUARD, OPERATOR, AnyRequest, TheAccess
from gatepost.receiver.api.events.alarms import MAX_NOTE, acknowledge_alarms, close_alarm
from gatepost.receiver.api.exports.download import FileOptions
from gatepost.receiver.api.exports.events import alarms_file
from gatepost.receiver.api.shapes import MAX_ID, read
from gatepost.store.interface import AlarmQuery

__all__ = ["AlarmPages"]

PAGE = 30


class Tab(Struct, frozen=True):
    """One way to look at the alarms."""

    name: str
    state: Literal["open", "clear_failed", "cleared"] | None = None
    acknowledged: bool | None = None


TABS = (
    Tab("all"),
    Tab("open", state="open"),
    Tab("clear_failed", state="clear_failed"),
    Tab("cleared", state="cleared"),
    Tab("unacknowledged", acknowledged=False),
    Tab("acknowledged", acknowledged=True),
)


class AlarmPages(Controller):
    """``/alarms``."""

    path = "/alarms"
    opt = GUARD

    @get(sync_to_thread=True)
    def list_alarms(self, request: AnyRequest, desk: TheDesk) -> Html:
        view = desk.view(request)
        views = page_views(view, "alarms")
        if views.start is not None:
            return view.go(views.start)
        tab, filters = _tab(view), Filters(view, ALARMS)
        query = replace(_query(tab, filters), limit=PAGE, cursor=view.query.get("cursor"))
        page = read(lambda: view.store.alarms(query))
        return view.page(
            "alarms.html",
            active="alarms",
            alarms=page.items,
            next=page.next_cursor,
            places=view.places(alarm.terminal_id for alarm in page.items),
            tabs=[(each.name, each is tab) for each in TABS],
            tab=tab,
            filters=filters,
            query=_address(tab, filters),
            found=view.store.count_alarms(query),
            views=views,
        )

    @get("/acknowledge", opt=ACKNOWLEDGE, sync_to_thread=True)
    def ask(self, request: AnyRequest, desk: TheDesk) -> Html:
        """Ask before all alarms are acknowledged that the filters show: how many, and with which note."""
        view = desk.view(request)
        tab, filters = _tab(view), Filters(view, ALARMS)
        asked = read(lambda: view.store.alarms_to_acknowledge(_whole_query(view, tab, filters)))
        return view.page(
            "alarms_acknowledge.html",
            active="alarms",
            asked=asked,
            filters=filters,
            query=_address(tab, filters),
        )

    @post("/acknowledge", opt=ACKNOWLEDGE, sync_to_thread=True)
    def acknowledge_many(self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        """Acknowledge the ticked alarms, or all that there were when :meth:`ask` counted them."""
        form, view = Form(body), desk.view(request)
        up_to = next(iter(form.numbers("up_to")), 0)
        which: AlarmQuery | list[int] = [number for number in form.numbers("ids") if 0 < number <= MAX_ID]
        if up_to:
            tab, filters = _tab(view), Filters(view, ALARMS)
            which = replace(_whole_query(view, tab, filters), up_to=up_to)
            back = view.at("/alarms", **_address(tab, filters)).removeprefix(view.root)
        else:
            if not which:
                raise ClientException("tick one alarm at least; nothing was changed")
            back = local_path(form("back"), "/alarms")
        acknowledge_alarms(view.store, access, request, which, form("note")[:MAX_NOTE])
        desk.forget_counts()
        return view.go(back, done="acknowledged")

    @get("/export", opt=OPERATOR)
    async def export(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Stream:
        """Return all alarms that the page filters by, as a file."""

        def ask() -> tuple[View, AlarmQuery]:
            view = desk.view(request)
            filters = Filters(view, ALARMS)
            tab = _tab(view)
            asked = _query(tab, filters)
            known = view.query.get("show") in (None, tab.name)
            filters.for_file("format", "show", wrong=() if known else ("show",))
            return view, asked

        view, query = await asyncio.to_thread(ask)
        return await alarms_file(
            request,
            view.store,
            access,
            query,
            FileOptions(format=export_format(request), lang=view.words.language),
        )

    @get("/{alarm_id:int}", sync_to_thread=True)
    def show_alarm(self, request: AnyRequest, alarm_id: FromPath[int], desk: TheDesk) -> Html:
        view = desk.view(request)
        alarm = view.store.alarm(alarm_id) if 0 < alarm_id <= MAX_ID else None
        if alarm is None:
            raise NotFoundException("there is no such alarm")
        values: dict[str, Any] = {
            "alarm": alarm,
            "place": view.places([alarm.terminal_id])[alarm.terminal_id],
        }
        if view.fragment:
            return view.part("alarm_panel.html", **values)
        return view.page("alarm.html", active="alarms", **values)

    @post("/{alarm_id:int}/acknowledge", opt=ACKNOWLEDGE, sync_to_thread=True)
    def acknowledge(
        self, request: AnyRequest, alarm_id: FromPath[int], body: RawBody, desk: TheDesk, access: TheAccess
    ) -> Html:
        """Note that a person has looked at an alarm. The terminal alone clears it."""
        form, view = Form(body), desk.view(request)
        now_ms, by = access.doors.now_ms(), request.user.name
        done = alarm_id <= MAX_ID and read(
            lambda: view.store.acknowledge_alarm(alarm_id, by=by, note=form("note")[:MAX_NOTE], now_ms=now_ms)
        )
        if not done:
            raise NotFoundException("there is no such alarm")
        access.note(request, "alarm.acknowledged", str(alarm_id))
        desk.forget_counts()
        return view.go(local_path(form("back"), "/alarms"), done="acknowledged")

    @post("/{alarm_id:int}/close", opt=OPERATOR, sync_to_thread=True)
    def close(
        self, request: AnyRequest, alarm_id: FromPath[int], body: RawBody, desk: TheDesk, access: TheAccess
    ) -> Html:
        """Close an alarm that its terminal does not clear, with a note and a confirmation."""
        form, view = Form(body), desk.view(request)
        note = form("note")[:MAX_NOTE]
        if not note or not form.ticked("sure"):
            raise ClientException("to close an alarm, write a note and confirm; nothing was changed")
        close_alarm(view.store, access, request, alarm_id, note)
        desk.forget_counts()
        return view.go(local_path(form("back"), "/alarms"), done="closed")


def _tab(view: View) -> Tab:
    return next((tab for tab in TABS if tab.name == view.query.get("show")), TABS[0])


def _whole_query(view: View, tab: Tab, filters: Filters) -> AlarmQuery:
    """Return what the filters choose. Raises 400 for one that makes no sense: more would be acknowledged than meant."""
    query = _query(tab, filters)
    known = view.query.get("show") in (None, tab.name)
    if filters.wrong or not known:
        raise ClientException("a filter of this address makes no sense; nothing was changed")
    return query


def _address(tab: Tab, filters: Filters) -> Mapping[str, str]:
    """Return the filters and the tab as an address has them."""
    return filters.as_query(**({} if tab is TABS[0] else {"show": tab.name}))


def _query(tab: Tab, filters: Filters) -> AlarmQuery:
    return filters.alarms(state=tab.state, acknowledged=tab.acknowledged)
