"""Make the application of all routes, those of the API and those of the console."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp, ControllerRouterHandler, Scope
from msgspec import Struct

from gatepost import __version__
from gatepost.receiver.api import CONTROLLERS, OPEN_CONTROLLERS, problem_details
from gatepost.receiver.api.access.authorization import OPEN, PARTS, Authentication, user_store
from gatepost.receiver.api.events.filters import FILTERS
from gatepost.receiver.api.parameters import KnownParameters
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.receiver.people_rules import Meaning
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import Store
from gatepost.store.privacy.permitted import Ask
from gatepost.store.questions import UserStore

__all__ = ["MakePages", "Pages", "framework"]

UnknownPage = Callable[[Request[Any, Any, Any], HTTPException], Response[Any]]


class Pages(Struct, frozen=True):
    """Hold what is served with the API and stands above it: the console."""

    routes: tuple[ControllerRouterHandler, ...] = ()
    """The same for every receiver of a process."""
    parts: Mapping[str, Any] = {}
    """Parts for these routes, by name, in addition to those of the API's routes."""
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app
    """What is wrapped around the application of all routes."""
    unknown: UnknownPage | None = None
    """Returns the page for a path or a method that no route has."""


MakePages = Callable[
    [Store, ReceiverSettings, Callable[[], Lag], Mapping[int, int], Callable[[], Sequence[Ask]]], Pages
]
"""Handed the store, the settings, how far the list is behind, when terminals last pushed, in milliseconds, and what
retention asks."""


@functools.cache
def framework(pages: tuple[ControllerRouterHandler, ...], parts: tuple[str, ...]) -> Litestar:
    """Make the application of all routes, once in a process: it takes a sixth of a second.

    What a receiver hands to the routes by name, its ``parts``, comes with each request.
    """
    return Litestar(
        middleware=[Authentication],
        route_handlers=[
            Router("/", route_handlers=CONTROLLERS, guards=[KnownParameters()]),
            *OPEN_CONTROLLERS,
            *pages,
        ],
        dependencies={**{name: _provide(name) for name in parts}, **SEEN, **FILTERS},
        exception_handlers={
            **problem_details.HANDLERS,
            NotFoundException: _unknown,
            MethodNotAllowedException: _unknown,
        },
        openapi_config=OpenAPIConfig(
            title="gatepost",
            version=__version__,
            # Nothing but the document: the usual viewers load their scripts from elsewhere.
            openapi_router=Router("/api", route_handlers=[], opt=OPEN),
            render_plugins=[problem_details.OpenApiDocument("/openapi.json")],
        ),
        logging_config=None,
    )


def _unknown(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Return a page to a browser that asks for what no route has, and a problem to every other client."""
    scope: Mapping[str, Any] = request.scope
    make: UnknownPage | None = scope[PARTS]["unknown_page"]
    is_browser = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    is_page = "route_handler" not in scope and not _below_root(request).startswith("/api/")
    if make is None or not is_browser or not is_page:
        found: Response[Any] = problem_details.HANDLERS[HTTPException](request, error)
        return found
    return make(request, error)


def _below_root(request: Request[Any, Any, Any]) -> str:
    root: str = request.scope.get("root_path") or ""
    return str(request.scope["path"]).removeprefix(root) + "/"


def _store(scope: Scope) -> UserStore:
    """Return the store as the user sees it: no route is handed another one."""
    return user_store(scope[PARTS]["store"], scope.get("user"))  # type: ignore[literal-required]  # a key of ours


def _meaning(scope: Scope) -> Meaning:
    parts = scope[PARTS]  # type: ignore[literal-required]  # a key of ours
    return Meaning(_store(scope), parts["meaning"].rules, parts["access"].doors.now_ms())


SEEN = {
    "store": Provide(_store, sync_to_thread=False),
    "meaning": Provide(_meaning, sync_to_thread=False),
}


def _provide(name: str) -> Provide:
    def part(scope: Scope) -> Any:
        return scope[PARTS][name]  # type: ignore[literal-required]  # a key of ours

    return Provide(part, sync_to_thread=False)
