"""Tell a push from what else may be posted: forms of the console, and requests to the API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["is_push", "pattern_of"]

_FORMS = frozenset({b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"})


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


def pattern_of(start: str, paths: Sequence[str]) -> re.Pattern[str]:
    """Return what the paths of routes below ``start`` match, with or without a slash at the end."""
    parts = [re.split(r"\{[^}]*\}", path.rstrip("/")) for path in paths if path.startswith(start)]
    return re.compile("(?:" + "|".join("[^/]+".join(map(re.escape, each)) for each in parts) + ")/?")
