"""``ETag`` and ``If-Match`` (RFC 9110, sections 8.8.3 and 13.1.1): a change is made to what its sender saw.

Rules:

* An item that people change has a ``version``; a reply with one such item has it as its ``ETag``, too.
* A request with ``If-Match`` changes nothing where what is stored has another version: 412, with who changed it and
  when. Without ``If-Match`` it changes what is there.
* A tag that a proxy made weak counts as well: it is of the values, and not of the bytes of a reply.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Protocol, TypeVar

from litestar import Response
from litestar.exceptions import ClientException
from litestar.params import HeaderParameter

from gatepost.receiver.auth.authenticator import Doors
from gatepost.store.versions import ChangedMeanwhile, Versions

__all__ = ["ChangedByAnother", "IfMatch", "changed_by_another", "naming_who", "tagged", "wanted_versions"]

T = TypeVar("T")

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match")]
"""The versions that a change is meant for, each in double quotes; ``*``: any."""

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]*)"')


class Access(Protocol):
    """The part of :class:`~gatepost.receiver.api.access.authorization.Access` that knows the audit log."""

    @property
    def doors(self) -> Doors: ...


class ChangedByAnother(ClientException):
    """412: what is to be changed is not what was read."""

    status_code = 412

    def __init__(self, by: str | None, at: datetime | None) -> None:
        """Take who changed it and when, where that is known."""
        self.by, self.at = by, at
        who = "" if by is None or at is None else f" by {by} at {at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(
            f"this was changed{who}, after you read it, and is left as it is now;"
            " read it again, and send your change with its version"
        )


def wanted_versions(if_match: str | None) -> Versions:
    """Return the versions that a header names. Raises 400 for what is no list of entity tags."""
    if if_match is None or if_match.strip() == "*":
        return None
    parts = [_TAG.fullmatch(part.strip()) for part in if_match.split(",")]
    if None in parts:
        raise ClientException('If-Match: write versions in double quotes, such as "0123456789abcdef"')
    return [part[1] for part in parts if part is not None]


def tagged(item: T, version: str) -> Response[T]:
    """Return a reply with an item and its version."""
    return Response(item, headers={"etag": f'"{version}"'})


@contextmanager
def naming_who(access: Access, actions: Collection[str], subject: str | None = None) -> Iterator[None]:
    """Raise :class:`ChangedByAnother` for what was changed meanwhile.

    Who did that, the audit log says: the latest of ``actions``, about ``subject`` where one is given. Blocks.
    """
    try:
        yield
    except ChangedMeanwhile as error:
        raise changed_by_another(access, error, actions, subject) from None


def changed_by_another(
    access: Access, error: ChangedMeanwhile, actions: Collection[str], subject: str | None = None
) -> ChangedByAnother:
    """Return the error that says who it was, as :func:`naming_who` does. Blocks."""
    by, at = error.by, error.at
    line = None if by is not None else access.doors.accounts.latest(actions, subject)
    if line is not None:
        by, at = line.actor, line.at
    return ChangedByAnother(by, at)
