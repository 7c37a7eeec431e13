"""Query parameters that a route does not take are refused, for every route of the API alike.

A misspelt filter that is ignored gives a list of everything, and nothing shows that. What a route takes follows from
the parameters of its handler and of the dependencies that it asks for, which the OpenAPI document lists, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

__all__ = ["KnownParameters", "nearest"]


class KnownParameters:
    """A guard of Litestar: 400 for a query parameter that the route does not take, or that is given twice."""

    def __init__(self) -> None:
        self._names: dict[BaseRouteHandler, list[str]] = {}

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        """Raise ``ValidationException``, which names each of them."""
        given = Counter(name for name, _ in connection.query_params.multi_items())
        if not given:
            return
        if not self._names:
            self._names = dict(_names(connection.app))
        known = self._names.get(connection.route_handler, [])
        wrong = [(name, _unknown(name, known)) for name in given if name not in known]
        wrong += [(name, "give it once") for name, times in given.items() if name in known and times > 1]
        if wrong:
            raise ValidationException("", extra=[{"key": name, "message": why} for name, why in wrong])


def _names(app: Litestar) -> Iterator[tuple[BaseRouteHandler, list[str]]]:
    """Yield the query parameters of each handler, those of its dependencies among them."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                yield handler, sorted(each.field_alias for each in model.expected_query_params)


def _unknown(name: str, known: Sequence[str]) -> str:
    if not known:
        return "unknown query parameter; this route takes none"
    return (
        f"unknown query parameter; did you mean `{nearest(name, known)}`? This route takes {', '.join(known)}"
    )


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of some words that is most like another one."""
    found = get_close_matches(word, sorted(words), n=1, cutoff=0.0)
    return found[0] if found else None
