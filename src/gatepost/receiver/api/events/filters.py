"""The filters of records and alarms, once: of their lists, their exports, and whatever else chooses among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from litestar.di import NamedDependency, Provide
from litestar.exceptions import ClientException
from litestar.params import FromQuery, QueryParameter, SkipValidation
from msgspec import Struct

from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.parameters import nearest
from gatepost.receiver.api.shapes import MAX_ID, TheStore, moment, read, word
from gatepost.store.interface import AlarmQuery, RecordQuery, SiteRow
from gatepost.store.people.person import PeopleQuery
from gatepost.store.questions import UserStore

__all__ = [
    "FILTERS",
    "AlarmFilters",
    "AtSite",
    "AtTerminal",
    "RecordFilters",
    "TerminalFilter",
    "note_search",
    "site_named",
    "told",
]

Code = Annotated[int | None, QueryParameter(ge=-MAX_ID, le=MAX_ID)]
Id = Annotated[int | None, QueryParameter(ge=1, le=MAX_ID)]


class TerminalFilter(Struct, frozen=True):
    """Which terminals a list is about: parameters of each query of the store."""

    terminal: str | int | None
    without_serial: bool


RecordFilters = NamedDependency[SkipValidation[RecordQuery]]
AlarmFilters = NamedDependency[SkipValidation[AlarmQuery]]
AtTerminal = NamedDependency[SkipValidation[TerminalFilter]]
AtSite = NamedDependency[SkipValidation[int | None]]
"""The id of the site that a list is about."""


def _at_terminal(
    terminal: FromQuery[str | None] = None,
    terminal_id: Id = None,
    without_serial: FromQuery[bool] = False,
) -> TerminalFilter:
    named = word("terminal", terminal)
    if named is not None and terminal_id is not None:
        raise ClientException("terminal and terminal_id say the same; give one of them")
    return TerminalFilter(terminal_id if named is None else named, without_serial)


def _at_site(store: TheStore, site: FromQuery[str | None] = None, site_id: Id = None) -> int | None:
    named = word("site", site)
    if named is None:
        return site_id
    if site_id is not None:
        raise ClientException("site and site_id say the same; give one of them")
    return read(lambda: _site(store, named))


def _site(store: UserStore, named: str) -> int:
    sites = store.sites()
    found = site_named(sites, named)
    if found is None:
        meant = nearest(named, [site.name for site in sites])
        raise ValueError(
            f"site: there is no site `{named}`: did you mean `{meant}`? /api/v1/sites lists them"
        )
    return found.id


def site_named(sites: Iterable[SiteRow], named: str) -> SiteRow | None:
    """Return the site with this name, or else with this id."""
    by_id = None
    for site in sites:
        if site.name == named:
            return site
        if str(site.id) == named:
            by_id = site
    return by_id


def _record_filters(
    at_terminal: AtTerminal,
    at_site: AtSite,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    person: FromQuery[str | None] = None,
    name: FromQuery[str | None] = None,
    job_number: FromQuery[str | None] = None,
    recognition_type: Code = None,
    passed: FromQuery[bool | None] = None,
    abnormal_type: Code = None,
    entry_mode: Code = None,
    has_image: FromQuery[bool | None] = None,
    strangers: FromQuery[bool] = False,
    outside_time: FromQuery[bool] = False,
    q: FromQuery[str | None] = None,
) -> RecordQuery:
    return RecordQuery(
        since=moment("since", since),
        until=moment("until", until),
        terminal=at_terminal.terminal,
        without_serial=at_terminal.without_serial,
        site_id=at_site,
        person=word("person", person),
        name=word("name", name),
        job_number=word("job_number", job_number),
        recognition_type=recognition_type,
        passed=passed,
        abnormal_type=abnormal_type,
        entry_mode=entry_mode,
        has_image=has_image,
        strangers=strangers,
        outside_time=outside_time,
        q=word("q", q),
    )


def _alarm_filters(
    at_terminal: AtTerminal,
    at_site: AtSite,
    # `state` is a name that the framework keeps for itself
    alarm_state: Annotated[
        Literal["open", "clear_failed", "cleared"] | None, QueryParameter(name="state")
    ] = None,
    code: Code = None,
    acknowledged: FromQuery[bool | None] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
) -> AlarmQuery:
    return AlarmQuery(
        state=alarm_state,
        code=code,
        terminal=at_terminal.terminal,
        without_serial=at_terminal.without_serial,
        site_id=at_site,
        acknowledged=acknowledged,
        since=moment("since", since),
        until=moment("until", until),
    )


FILTERS = {
    "record_filters": Provide(_record_filters, sync_to_thread=False),
    "alarm_filters": Provide(_alarm_filters, sync_to_thread=False),
    "at_terminal": Provide(_at_terminal, sync_to_thread=False),
    "at_site": Provide(_at_site, sync_to_thread=True),
}
"""For every route: what it asks for by name, it is handed, and takes their parameters."""


_PERSONAL = frozenset({"person", "name", "job_number", "q"})


def note_search(access: Access, request: AnyRequest, query: RecordQuery | PeopleQuery, found: int) -> None:
    """Note in the audit log that people were searched: by which fields, and how many rows came of it, not for whom."""
    used = [
        name for name in query.__struct_fields__ if name in _PERSONAL and getattr(query, name) is not None
    ]
    if used:
        access.note_again(request, "people.searched", what=" ".join(used), found=found)


def told(query: RecordQuery | AlarmQuery) -> dict[str, object]:
    """Return the filters in use, for the audit log, which does not repeat who was looked for."""
    used: dict[str, object] = {}
    nothing = type(query)()
    for name in query.__struct_fields__:
        value = getattr(query, name)
        if name in ("limit", "cursor", "include_held") or value == getattr(nothing, name):
            continue
        if name in _PERSONAL:
            used[name] = "given"
        else:
            used[name] = value if isinstance(value, str | int | bool) else str(value)
    return used
