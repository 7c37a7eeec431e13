"""Errors of the API: ``application/problem+json``, as RFC 9457 has it, and how the OpenAPI document tells of them.

Rules:

* Every answer of 400 and above is a :class:`Problem`; only pushes are answered as the protocol page has it.
* ``detail`` says what to do next, and names the parameter or field that was wrong; ``errors`` has each of them.
* ``instance`` is the path without its query: a query may have somebody's name in it.
* What nobody expected is a 500 that tells nothing but that the log has more. The log gets the kind of the error and
  where in the code it was, never its text: a database quotes values, and those are people.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import HTTPRoute
from msgspec import Struct

from gatepost.errors import GatepostError, ImageUnavailable, SettingsError, StoreError, StoreUnavailable
from gatepost.fleet.failures import FleetError, NotAdopted
from gatepost.receiver.http.url_prefix import ROOT, link
from gatepost.receiver.observability.logs import places
from gatepost.store.terminals.registry import Conflict

__all__ = [
    "HANDLERS",
    "MEDIA_TYPE",
    "OpenApiDocument",
    "Problem",
    "WrongField",
    "document",
    "problem",
    "told",
]

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

AnyRequest = Request[Any, Any, Any]


class WrongField(Struct, frozen=True):
    """Name what was wrong with one parameter, or one field of the body."""

    where: str
    """Its name; within the body the path to it, such as ``networks[0]``."""
    why: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, section 3. Members that are none of the RFC's: ``errors``."""

    type: str
    """``about:blank``: the status says which kind it is (section 4.2.1)."""
    title: str
    status: int
    detail: str
    instance: str
    errors: list[WrongField] = []


def problem(
    request: AnyRequest,
    status: int,
    detail: str,
    *,
    errors: list[WrongField] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[Problem]:
    """Return a problem as the response."""
    content = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=link(request.scope["path"].removeprefix(ROOT.get())),
        errors=errors or [],
    )
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _from_http(request: AnyRequest, error: HTTPException) -> Response[Problem]:
    if error.status_code >= 500 and error.status_code != 503:  # which a route says on purpose: not now
        return _unexpected(request, error)
    wrong = _wrong_fields(request, error.extra)
    detail = "; ".join(f"{field.where}: {field.why}" if field.where else field.why for field in wrong)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if not detail and error.detail == HTTPStatus(error.status_code).phrase:
        detail = _SAID_NOTHING.get(error.status_code, "")
    return problem(request, error.status_code, detail or error.detail, errors=wrong, headers=headers)


_SAID_NOTHING = {
    404: "there is nothing at this path; /api/openapi.json lists what there is",
    405: "this path has other methods; the header Allow lists them",
}
"""Where the framework says nothing but the name of the status."""


def _wrong_fields(request: AnyRequest, extra: Any) -> list[WrongField]:
    """Return what Litestar's validation found, by the names that the client used."""
    found = [one for one in extra if isinstance(one, dict)] if isinstance(extra, list) else []
    names = _names_asked_by(request) if found else {}
    return [
        WrongField(names.get(key := str(one.get("key", "")), key), str(one.get("message", "")))
        for one in found
    ]


def _names_asked_by(request: AnyRequest) -> dict[str, str]:
    """Return the query parameters of a route: the names in an address, by those in the code."""
    handler = request.scope.get("route_handler")
    for route in request.app.routes:
        if isinstance(route, HTTPRoute):
            for each, model in route.route_handler_map.values():
                if each is handler:
                    return {one.field_name: one.field_alias for one in model.expected_query_params}
    return {}


def _from_ours(request: AnyRequest, error: GatepostError) -> Response[Problem]:
    if isinstance(error, StoreUnavailable):
        return problem(request, 503, told(error), headers={"retry-after": "5"})
    if isinstance(error, ImageUnavailable):
        return problem(request, 404, str(error))
    if isinstance(error, FleetError):
        return problem(request, 404 if isinstance(error, NotAdopted) else 409, str(error))
    if isinstance(error, Conflict):
        return problem(request, 409, str(error))
    if isinstance(error, SettingsError):
        return problem(
            request, 400, f"{error.setting}: {error.why}", errors=[WrongField(error.setting, error.why)]
        )
    if isinstance(error, StoreError):
        log.error("api.store_failed", kind=type(error).__name__, why=str(error))
        return problem(request, 500, str(error))
    return _unexpected(request, error)


def told(error: GatepostError) -> str:
    """Return what to say of an error to anyone: what a driver says names the database's host, port or folder."""
    if isinstance(error, StoreUnavailable) and error.__cause__ is not None:
        return "the database cannot be used now; try again, and see the log of the receiver"
    return str(error)


def _unexpected(request: AnyRequest, error: Exception) -> Response[Problem]:
    log.error(
        "api.failed", kind=type(error).__name__, method=request.method, where=places(error.__traceback__)
    )
    return problem(request, 500, "the receiver failed at this; its log says where")


HANDLERS: dict[Any, Any] = {
    HTTPException: _from_http,
    GatepostError: _from_ours,
    Exception: _unexpected,
}
"""For :class:`litestar.Litestar`."""


class OpenApiDocument(JsonRenderPlugin):
    """Serves the document, with the errors as they really are."""

    def __init__(self, path: str) -> None:
        super().__init__(path=path)
        self._rendered: bytes | None = None

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        if self._rendered is None:
            self._rendered = self.render_json(request, document(request.app, openapi_schema))
        return self._rendered


def document(app: Litestar, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the OpenAPI document of an application, in which every error is a :class:`Problem`.

    Which they are follows from what the route is: each refuses a parameter that it does not take, one that is not
    open wants to know who asks, one that changes may come into conflict; further ones stand in its ``raises``. A route
    that answers with files says as what in its options: ``opt={"types": ("text/csv",)}``.
    """
    made: dict[str, Any] = dict(schema if schema is not None else app.openapi_schema.to_schema())
    # The document itself, and what says 404 beside it, are no part of what it is about.
    made["paths"] = {p: dict(item) for p, item in made["paths"].items() if p not in _NOT_DOCUMENTED}
    components = dict(made.get("components", {}))
    components["schemas"] = {**components.get("schemas", {}), **_SCHEMAS}
    components["responses"] = {**components.get("responses", {}), **_responses()}
    components["securitySchemes"] = _SECURITY
    made["components"] = components
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path_format in made["paths"]:
            item = made["paths"][route.path_format]
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    name = method.lower()
                    if name in item:
                        item[name] = _operation(dict(item[name]), handler, name, route.path_format)
    return made


_NOT_DOCUMENTED = ("/api", "/api/{path}", "/api/openapi.json")

_CHANGES = ("post", "put", "patch", "delete")


def _operation(
    operation: dict[str, Any], handler: HTTPRouteHandler, method: str, path: str
) -> dict[str, Any]:
    # Any route of the API may be asked with a query parameter that it does not take.
    statuses = {400, 503} if path.startswith("/api/") else {503}
    if any(parameter.get("in") == "path" for parameter in operation.get("parameters", ())):
        statuses.add(404)
    if method in _CHANGES:
        statuses.add(409)
    if not handler.opt.get("open"):
        statuses |= {401, 403}
        operation["security"] = [{"token": []}, {"session": []}]
    statuses |= {getattr(raised, "status_code", 500) for raised in handler.raises or ()}
    responses = {
        status: response for status, response in operation.get("responses", {}).items() if status < "400"
    }
    if "204" in responses:
        responses["204"] = {name: told for name, told in responses["204"].items() if name != "content"}
    if types := handler.opt.get("types"):
        content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in types}
        responses["200"] = {**responses["200"], "content": content}
    for status in sorted(statuses):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    operation["responses"] = responses
    return operation


_DOCUMENTED = (400, 401, 403, 404, 409, 412, 413, 415, 416, 422, 429, 500, 503)


def _responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        f"Problem{status}": {"description": HTTPStatus(status).phrase, "content": content}
        for status in _DOCUMENTED
    }


_SCHEMAS = {
    "Problem": {
        "title": "Problem",
        "description": "What went wrong, and what to do about it: RFC 9457.",
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "Names the parameter or field that was wrong."},
            "instance": {"type": "string", "description": "The path that was asked."},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/WrongField"}},
        },
        "required": ["type", "title", "status", "detail", "instance"],
    },
    "WrongField": {
        "title": "WrongField",
        "description": "What was wrong with one parameter, or one field of the body.",
        "type": "object",
        "properties": {"where": {"type": "string"}, "why": {"type": "string"}},
        "required": ["where", "why"],
    },
}

_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "gatepost_session",
        "description": "Of a person who logged in. Changes are taken from the console's own pages only.",
    },
}
