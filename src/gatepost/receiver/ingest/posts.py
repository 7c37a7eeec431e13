"""Tell a push from what else may be posted: forms of the console, and requests to the API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["Routes", "is_push"]

API = "/api/v1/"
"""Below which programs post."""

_FORMS = frozenset({b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"})


class Routes:
    """Routes of console and API, as the desk says them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._first_parts = {path.split("/")[1] for path in paths} - {""}
        self._of_api = _pattern(API, paths)

    def take(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Return whether a request that is posted to a path is for console or API."""
        if self._of_api.fullmatch(path):
            return True
        return f"{path}/".split("/")[1] in self._first_parts and not is_push(dict(headers))


def is_push(headers: Mapping[bytes, bytes]) -> bool:
    """Tell a push from a form of the console by the head of a POST; names in lower case.

    A push says nothing of who asks, neither by a token in ``Authorization`` nor by the ``Cookie`` of a session, and is
    of no content type that the form of a page can have (HTML § 4.10.21.6): it is ``application/json``, or says nothing
    of that either. What posts to the console is a form, and nearly always has a cookie.

    The API cannot be told from it so: to log in there is to post JSON, without a token. What is posted to a route of
    the API is the API's therefore, whatever it looks like. No terminal is told to push there.
    """
    if b"authorization" in headers or b"cookie" in headers:
        return False
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() not in _FORMS


def _pattern(start: str, paths: Sequence[str]) -> re.Pattern[str]:
    """Return what the paths of routes below ``start`` match, with or without a slash at the end."""
    parts = [re.split(r"\{[^}]*\}", path.rstrip("/")) for path in paths if path.startswith(start)]
    return re.compile("(?:" + "|".join("[^/]+".join(map(re.escape, each)) for each in parts) + ")/?")
