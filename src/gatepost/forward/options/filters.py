"""The events that a destination is sent: the filters of the lists, as they are stored. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gatepost.errors import SettingsError
from gatepost.store.interface import NoticeKind, NoticeQuery, RecordQuery, SiteRow, StepQuery

__all__ = ["Code", "Filter", "RecordFilter", "StepFilter", "Word", "queries"]

Word = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
Code = Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)]
_Id = Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]


class _AtTerminal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    terminal: Word | None = None
    """A serial, a name, or an id, as in the lists."""
    terminal_id: _Id | None = None
    without_serial: bool = False
    site: Word | None = None
    site_id: _Id | None = None


class RecordFilter(_AtTerminal, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which records: the filters of ``GET /api/v1/records``."""

    person: Word | None = None
    name: Word | None = None
    job_number: Word | None = None
    recognition_type: Code | None = None
    passed: bool | None = None
    abnormal_type: Code | None = None
    entry_mode: Code | None = None
    has_image: bool | None = None
    strangers: bool = False
    outside_time: bool = False
    q: Word | None = None


class StepFilter(_AtTerminal, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which steps of alarms: the filters of ``GET /api/v1/alarms``, asked of what each step reported."""

    code: Code | None = None
    state: Literal["open", "clear_failed", "cleared"] | None = None


class Filter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events a destination is sent; of a kind that is ``null`` none."""

    records: RecordFilter | None = RecordFilter()
    alarms: StepFilter | None = StepFilter()
    notices: tuple[NoticeKind, ...] | None = None
    """Notices, by kind: see ``GET /api/v1/notices``."""


def queries(
    chosen: Filter, sites: Iterable[SiteRow]
) -> tuple[RecordQuery | None, StepQuery | None, NoticeQuery]:
    """Return the queries of the store for a filter.

    Raises :class:`~gatepost.errors.SettingsError` for an unknown site.
    """
    known = list(sites)
    records, alarms = chosen.records, chosen.alarms
    of_records = None
    if records is not None:
        of_records = RecordQuery(
            **_place("filter.records", records, known),
            person=records.person,
            name=records.name,
            job_number=records.job_number,
            recognition_type=records.recognition_type,
            passed=records.passed,
            abnormal_type=records.abnormal_type,
            entry_mode=records.entry_mode,
            has_image=records.has_image,
            strangers=records.strangers,
            outside_time=records.outside_time,
            q=records.q,
        )
    of_alarms = None
    if alarms is not None:
        of_alarms = StepQuery(**_place("filter.alarms", alarms, known), code=alarms.code, state=alarms.state)
    return of_records, of_alarms, NoticeQuery(kinds=chosen.notices or ())


def _place(where: str, chosen: _AtTerminal, sites: list[SiteRow]) -> dict[str, Any]:
    if chosen.terminal is not None and chosen.terminal_id is not None:
        raise SettingsError(f"{where}.terminal", "and terminal_id say the same; give one of them")
    site_id = chosen.site_id
    if chosen.site is not None:
        if site_id is not None:
            raise SettingsError(f"{where}.site", "and site_id say the same; give one of them")
        named = [site.id for site in sites if site.name == chosen.site]
        named += [site.id for site in sites if str(site.id) == chosen.site]
        if not named:
            raise SettingsError(f"{where}.site", f"cannot be {chosen.site}: there is no such site")
        site_id = named[0]
    return {
        "terminal": chosen.terminal_id if chosen.terminal is None else chosen.terminal,
        "without_serial": chosen.without_serial,
        "site_id": site_id,
    }
