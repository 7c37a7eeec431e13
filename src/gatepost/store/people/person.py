"""A person as they were last seen, and what people are asked for.

What makes somebody one person is in :mod:`gatepost.store.people.people`.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gatepost.store.page_bytes import weight
from gatepost.wire.codes import UserType

__all__ = ["TYPES", "Kind", "PeopleQuery", "Person", "Rules", "Scope", "kind_of"]

Scope = Literal["site", "terminal", "everywhere"]

Kind = Literal["employees", "visitors", "blacklist", "all"]
"""Which people, by ``UserType``. A person without a type, or with one that the protocol page does not have, is an
employee."""

TYPES: dict[Kind, UserType] = {"visitors": UserType.VISITOR, "blacklist": UserType.BLACKLIST}
"""The ``UserType`` of each kind that has one."""


class Rules(Struct, frozen=True, kw_only=True):
    """How what happened is read: the settings ``people_scope`` and ``repeat_s``."""

    scope: Scope = "site"
    repeat_ms: int = 10_000


class Person(Struct, frozen=True, kw_only=True):
    """Somebody, as they were last seen."""

    id: str
    user_id: str
    name: str
    type: int | None
    job_number: str
    ic_number: str
    id_number: str
    remark: str
    guest_from: datetime | None
    guest_until: datetime | None
    groups: tuple[dict[str, Any], ...]
    site_id: int
    """Where they were last seen."""
    site: str
    timezone: str
    terminal_id: int | None
    """Within which terminal they are this person; ``None`` if the scope is larger."""
    first_seen: datetime
    last_seen: datetime
    last_terminal_id: int
    identities: tuple[int, ...]
    """Every form that their data had."""

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        texts = (self.user_id, self.name, self.job_number, self.ic_number, self.id_number, self.remark)
        return weight(*texts, self.site, msgspec.json.encode(self.groups).decode())


class PeopleQuery(Struct, frozen=True, kw_only=True):
    """Which people; those who appeared last come first. ``None`` does not filter."""

    q: str | None = None
    """Contained in the name or any of the numbers, now or before."""
    site_id: int | None = None
    group: str | None = None
    """The name or id of a group that they were last seen in: groups.py."""
    type: int | None = None
    """``UserType``, as last seen."""
    kind: Kind = "all"
    """Those who are or were of this kind."""
    limit: int = 100
    cursor: str | None = None


def kind_of(user_type: int | None) -> Kind:
    """Return the kind of person by ``UserType``."""
    return next((kind for kind, code in TYPES.items() if code == user_type), "employees")
