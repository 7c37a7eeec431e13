"""Where the console is put together: its pages, their desk, and what becomes of errors.

``routes`` is what :class:`gatepost.receiver.desk.app.DeskApp` is handed as ``pages``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from litestar import Request, Response, Router, get
from litestar.exceptions import HTTPException, NotAuthorizedException, NotFoundException
from litestar.params import FromPath

from gatepost.console.assets import PREFIX
from gatepost.console.desk import Desk, Html, TheDesk, language_of
from gatepost.console.input.refused_forms import REFUSED, WHY, RefusedForms
from gatepost.console.pages.administration.account import AccountPages
from gatepost.console.pages.administration.help import HelpPages
from gatepost.console.pages.administration.login import LoginPages, to_login
from gatepost.console.pages.administration.settings import SettingsPages
from gatepost.console.pages.administration.system import SystemPages
from gatepost.console.pages.administration.welcome import WelcomePages
from gatepost.console.pages.destinations.listed import DestinationPages
from gatepost.console.pages.destinations.setup import DestinationSetup
from gatepost.console.pages.events.alarms import AlarmPages
from gatepost.console.pages.events.live import LivePages
from gatepost.console.pages.events.records import RecordPages
from gatepost.console.pages.events.statistics import StatisticsPages
from gatepost.console.pages.events.views import ViewPages
from gatepost.console.pages.fleet.adopt import FleetAdoptPages
from gatepost.console.pages.fleet.find import FleetFindPages
from gatepost.console.pages.fleet.history import FleetHistoryPages
from gatepost.console.pages.fleet.import_list import FleetImportPages
from gatepost.console.pages.fleet.overview import FleetPages
from gatepost.console.pages.people.attendance import AttendancePages
from gatepost.console.pages.people.corrections import CorrectionPages
from gatepost.console.pages.people.inside import InsidePages
from gatepost.console.pages.people.people import PeoplePages
from gatepost.console.pages.people.schedules import SchedulePages
from gatepost.console.pages.terminals.chosen import ChosenTerminals
from gatepost.console.pages.terminals.names import TerminalNames
from gatepost.console.pages.terminals.quarantine import QuarantinePages
from gatepost.console.pages.terminals.refusals import RefusalPages
from gatepost.console.pages.terminals.terminals import TerminalPages
from gatepost.console.pages.terminals.why import WhyPages
from gatepost.console.words import words
from gatepost.errors import GatepostError, StoreUnavailable
from gatepost.receiver.api import problem_details
from gatepost.receiver.api.access.authorization import (
    OPEN,
    PARTS,
    Access,
    PasswordChangeNeeded,
    SomeSitesOnly,
    needed,
)
from gatepost.receiver.api.application import Pages
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import Store
from gatepost.store.privacy.permitted import Ask

__all__ = ["PAGES", "routes"]

PAGES = (
    LoginPages,
    WelcomePages,
    LivePages,
    ViewPages,
    RecordPages,
    AlarmPages,
    InsidePages,
    PeoplePages,
    AttendancePages,
    SchedulePages,
    CorrectionPages,
    StatisticsPages,
    TerminalPages,
    ChosenTerminals,
    TerminalNames,
    WhyPages,
    FleetPages,
    FleetAdoptPages,
    FleetImportPages,
    FleetFindPages,
    FleetHistoryPages,
    QuarantinePages,
    RefusalPages,
    DestinationPages,
    DestinationSetup,
    SettingsPages,
    SystemPages,
    AccountPages,
    HelpPages,
)

AnyoneRequest = Request[Any, Any, Any]

AHEAD_S = 5.0
"""After so long templates are made ready: at its start a receiver has events to list that waited for it."""


def routes(
    store: Store,
    settings: ReceiverSettings,
    lag: Callable[[], Lag],
    heard: Mapping[int, int],
    asks: Callable[[], Sequence[Ask]] = tuple,
    *,
    now: Callable[[], float] = time.time,
    ahead: bool = False,
) -> Pages:
    """Make the console of a receiver; ``ahead``: compile its templates in the background, before the first page.

    Raises :class:`~gatepost.console.assets.AssetsMissing`.
    """
    desk = Desk(store, settings, lag, heard, asks, now=now)
    if ahead:
        timer = threading.Timer(AHEAD_S, desk.make_ready)
        timer.name, timer.daemon = "console-templates", True
        timer.start()
    return Pages(ROUTES, {"desk": desk}, around=RefusedForms, unknown=_unknown)


@get(PREFIX + "{name:str}", opt=OPEN, sync_to_thread=False)
def _static(request: AnyoneRequest, name: FromPath[str], desk: TheDesk) -> Response[bytes]:
    return desk.assets.answer(name, request.headers.get("accept-encoding", ""))


def _not_logged_in(request: AnyoneRequest, _: NotAuthorizedException) -> Html:
    try:
        return to_login(_desk(request), request)
    except GatepostError as error:
        return _bare(request, error)


def _change_password(request: AnyoneRequest, _: PasswordChangeNeeded) -> Html:
    try:
        return _desk(request).view(request).go("/account")
    except GatepostError as error:
        return _bare(request, error)


def _http_failed(request: AnyoneRequest, error: HTTPException) -> Html:
    return _error(request, error.status_code, error.detail, error)


def _failed(request: AnyoneRequest, error: GatepostError) -> Html:
    status = problem_details.HANDLERS[GatepostError](request, error).status_code
    return _error(request, status or 500, str(error))


def _unknown(request: AnyoneRequest, error: HTTPException) -> Html:
    """Show the page of errors for an address that is none, with the frame of the user who is logged in."""
    access: Access = request.scope[PARTS]["access"]  # type: ignore[literal-required]  # a key of ours
    headers = dict(request.headers.items())
    try:
        request.scope["user"] = access.doors.authenticate(
            "GET", headers, host=headers.get("host", ""), is_use=False
        )
    except GatepostError as failed:
        return _bare(request, failed)
    return _error(request, 404, error.detail, error)


def _unexpected(request: AnyoneRequest, error: Exception) -> Html:
    problem_details.HANDLERS[Exception](request, error)  # for the log
    return _error(request, 500, "")


def _desk(request: AnyoneRequest) -> Desk:
    desk: Desk = request.scope[PARTS]["desk"]  # type: ignore[literal-required]  # a key of ours
    return desk


def _error(request: AnyoneRequest, status: int, why: str, raised: Exception | None = None) -> Html:
    """Say what went wrong, in the language of whoever looks."""
    desk = _desk(request)
    try:
        view = desk.view(request)
        handler = request.scope.get("route_handler")
        asked = needed(handler.opt if handler is not None else {})
        forbidden = view.words("error.forbidden", role=view.words(f"frame.role_{asked.role}"))
        if isinstance(raised, SomeSitesOnly):
            forbidden = view.words("error.some_sites")
        message = {
            403: forbidden,
            404: view.words("error.not_found"),
            503: view.words("error.unavailable"),
            500: view.words("error.failed"),
            412: view.why(raised, why),
        }.get(status) or view.words("error.bad", why=view.words.why(why))
        if status in REFUSED:
            # The page of the form says it, where there is one; this page is what is seen otherwise.
            reason = view.words("error.unavailable") if status == 503 else view.why(raised, why)
            request.scope.get(WHY, []).append(reason)  # type: ignore[attr-defined]  # a key of ours
        return view.page("error.html", status=status, message=message, active="")
    except GatepostError as error:
        return _bare(request, error)


def _bare(request: AnyoneRequest, error: GatepostError) -> Html:
    """Say it without a page: the page itself asks the store."""
    status = 503 if isinstance(error, StoreUnavailable) else 500
    unlisted = _desk(request).unlisted(words(language_of(request)))
    text = f"gatepost: {problem_details.told(error)}" + (f"\n{unlisted}" if unlisted else "")
    return Response(text.encode(), status_code=status, media_type="text/plain; charset=utf-8")


ROUTES = (
    Router(
        "/",
        route_handlers=[*PAGES, _static],
        exception_handlers={
            NotAuthorizedException: _not_logged_in,
            PasswordChangeNeeded: _change_password,
            HTTPException: _http_failed,
            NotFoundException: _http_failed,  # the API's is for the nearer kind, and would come first
            GatepostError: _failed,
            Exception: _unexpected,
        },
        include_in_schema=False,
    ),
)
"""Every page, and what pages load."""
