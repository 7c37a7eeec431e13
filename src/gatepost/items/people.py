"""Define what the API says of people, and of who is inside."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from gatepost.items.terminals import Direction

__all__ = [
    "FaultItem",
    "StaffImportItem",
    "PersonMarkItem",
    "MarkedPersonItem",
    "SomeoneItem",
    "PersonInsideItem",
    "SiteInsideItem",
    "InsideItem",
    "JoinedNumberItem",
    "ErasedItem",
]


class FaultItem(Struct, frozen=True):
    """Say what is wrong with a line of an imported file."""

    line: int
    why: str


class StaffImportItem(Struct, frozen=True, kw_only=True):
    """Say what an import of names and departments does, or did."""

    rows: int
    new: int
    changed: int
    same: int
    faults: list[FaultItem]
    """At most the first hundred; with any of them nothing is stored."""
    stored: bool


class PersonMarkItem(Struct, frozen=True, kw_only=True):
    """A mark: guards are told to look out for a person."""

    reason: str
    until: datetime | None
    """``null``: until it is taken away."""
    made_by: str
    made_at: datetime
    version: str = ""
    """A mark with it as ``If-Match`` is refused where another one was set meanwhile."""


class MarkedPersonItem(Struct, frozen=True, kw_only=True):
    """A marked person."""

    person_id: str
    user_id: str
    name: str
    site_id: int
    site: str
    mark: PersonMarkItem


class SomeoneItem(Struct, frozen=True, kw_only=True):
    """A person, as they were last seen."""

    id: str
    """Of the person, not of their ``user_id``: safe to stand in addresses and logs."""
    user_id: str
    name: str
    type: int | None
    job_number: str
    ic_number: str
    id_number: str
    remark: str
    guest_from: datetime | None
    guest_until: datetime | None
    groups: list[dict[str, Any]]
    site_id: int
    site: str
    timezone: str
    terminal_id: int | None
    """Only where ``people_scope`` is ``terminal``: within which one they are this person."""
    first_seen: datetime
    last_seen: datetime
    last_terminal_id: int
    mark: PersonMarkItem | None = None
    """In lists of people and of a person: why guards are told to look out for them."""


class PersonInsideItem(Struct, frozen=True, kw_only=True):
    """A person who is inside, and their latest passage."""

    person_id: str
    user_id: str
    name: str
    type: int | None
    job_number: str
    groups: list[dict[str, Any]]
    site_id: int
    site: str
    timezone: str
    at: datetime
    terminal_id: int
    terminal_name: str
    """What the terminal is called: its name, or else its serial."""
    direction: Direction


class SiteInsideItem(Struct, frozen=True, kw_only=True):
    """How many are inside at a site."""

    site_id: int
    site: str
    timezone: str
    people: int
    strangers: int
    """Records of strangers who were let in within 13 hours before: they are counted, and not named."""


class InsideItem(Struct, frozen=True, kw_only=True):
    """The people who are inside at a moment."""

    at: datetime
    sites: list[SiteInsideItem]
    items: list[PersonInsideItem]
    next_cursor: str | None = None


class JoinedNumberItem(Struct, frozen=True, kw_only=True):
    """A number of a joined person."""

    number_id: int
    """For ``DELETE /api/v1/people/ID/joined/NUMBER``."""
    user_id: str
    name: str
    site_id: int
    site: str
    made_by: str
    made_at: datetime


class ErasedItem(Struct, frozen=True, kw_only=True):
    """Count what was erased."""

    identities: int
    """Forms that their data had."""
    records: int
    """They still count, as nobody's."""
    alarm_steps: int
    quarantined: int
    """Pushes that were deleted from the quarantine."""
