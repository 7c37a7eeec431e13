"""Corrections: a passage that is added or struck by a person of the personnel office, with a note.

Rules:

* A record is never changed. A correction stands next to it, and attendance counts with both.
* An added passage is at no terminal. A struck one is struck with its repeats, and counts nowhere in attendance.
* A correction is withdrawn, and not deleted. It leaves with the person: on erasure, and when their last record does.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Literal, Protocol

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, select, update

from gatepost.store.conversion.values import DAY_MS, moment, ms, text
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.interface import ForUser, Page, Transactions
from gatepost.store.local_days import zone
from gatepost.store.page_bytes import fitting, weight
from gatepost.store.people.forms import latest_form
from gatepost.store.people.groups import forms_at_sites
from gatepost.store.people.passage_rule import is_passage
from gatepost.store.people.person import Person, Rules
from gatepost.store.people.shifts import Seen
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict
from gatepost.store.turns import take_turns

__all__ = ["MAX_NOTE", "Correction", "CorrectionQuery", "Corrections", "active", "corrected", "of_person"]

MAX_NOTE = 500
"""Characters of a note."""

_ORDER = "corrections"

_MAX_CHAIN = 20_000
"""Records that are looked at for the repeats of one."""


class Correction(Struct, frozen=True, kw_only=True):
    """Hold a passage that was added or struck."""

    id: int
    kind: Literal["added", "struck"]
    identity_id: int
    at: datetime
    until: datetime
    """When the last repeat of a struck passage came; ``at`` without any."""
    terminal_id: int | None
    record_id: int | None
    """The record of a struck passage."""
    user_id: str
    name: str
    """Name of the person."""
    site_id: int
    timezone: str
    """That of the person's site."""
    note: str
    made_by: str
    made_at: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None

    def day(self, timezone: str) -> date:
        """Return the day of the passage by the clocks of a zone."""
        return self.at.astimezone(zone(timezone)).date()

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        return weight(self.user_id, self.name, self.note, self.made_by, self.withdrawn_by, row=512)


class CorrectionQuery(Struct, frozen=True, kw_only=True):
    """Choose corrections, the latest first. ``None`` does not filter."""

    identities: Sequence[int] | None = None
    """Forms of one person's data."""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100
    cursor: str | None = None


class _ForUser(ForUser, Transactions, Protocol):
    """The store as a user sees it, to change as well."""


class Corrections:
    """Correct what terminals saw of people. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: _ForUser, rules: Rules) -> None:
        """``store`` is as the user sees it."""
        self._store = store
        self._rules = rules

    def add(self, person: Person, at: datetime, *, note: str, by: str, now_ms: int) -> Correction:
        """Add a passage of a person. Raises ``ValueError``, and ``Conflict`` where it was added before."""
        at_ms = ms(at)
        if at_ms > now_ms:
            raise ValueError("at: a passage is added for a time that is past")
        values = {
            "kind": "added",
            "at_ms": at_ms,
            "until_ms": at_ms,
            "terminal_id": person.terminal_id,
        }
        return self._store_new(person, person.identities, values, note=note, by=by, now_ms=now_ms)

    def strike(self, person: Person, record_id: int, *, note: str, by: str, now_ms: int) -> Correction:
        """Strike a passage of a person, with its repeats. Raises ``ValueError`` and ``Conflict``."""
        with self._store.reading() as db:
            found = _passage(db, person, record_id, self._rules.repeat_ms)
        if found is None:
            raise ValueError("record_id: this is no passage of this person; strike one of their passages")
        form, values = found
        return self._store_new(person, [form], values, note=note, by=by, now_ms=now_ms)

    def withdraw(self, number: int, *, by: str, now_ms: int) -> Correction | None:
        """Withdraw a correction, and return it as it is then; ``None`` if there is none that a user sees.

        To withdraw one again changes nothing.
        """
        c = t.corrections.c
        with self._store.changing() as db:
            if not _rows(db, c.id == number, *forms_at_sites(self._store.visible)):
                return None
            change = update(t.corrections).where(c.id == number, c.withdrawn_at_ms.is_(None))
            db.execute(change.values(withdrawn_by=by, withdrawn_at_ms=now_ms))
            return _rows(db, c.id == number)[0]

    def page(self, query: CorrectionQuery) -> Page[Correction]:
        """Return corrections, the latest made first. Raises :class:`~gatepost.store.cursor.BadCursor`."""
        c = t.corrections.c
        wanted = list(forms_at_sites(self._store.visible))
        if query.identities is not None:
            wanted.append(c.identity_id.in_(query.identities))
        if query.since is not None:
            wanted.append(c.at_ms >= ms(query.since))
        if query.until is not None:
            wanted.append(c.at_ms < ms(query.until))
        if query.cursor is not None:
            wanted.append(c.id < decode_cursor(query.cursor, _ORDER)[0])
        with self._store.reading() as db:
            found = _rows(db, *wanted, limit=query.limit + 1)
        shown = found[: query.limit]
        shown = shown[: fitting([one.size for one in shown])]
        more = len(found) > len(shown)
        return Page(tuple(shown), encode_cursor(_ORDER, shown[-1].id, 0) if more else None)

    def _store_new(
        self,
        person: Person,
        forms: Sequence[int],
        values: dict[str, Any],
        *,
        note: str,
        by: str,
        now_ms: int,
    ) -> Correction:
        """Store a correction about the latest of these forms of the person's data."""
        c = t.corrections.c
        note = text(note).strip()
        if not 1 <= len(note) <= MAX_NOTE:
            raise ValueError(f"note: say why, in 1 to {MAX_NOTE} characters")
        same = [
            c.identity_id.in_(person.identities),
            c.kind == values["kind"],
            c.at_ms == values["at_ms"],
            c.terminal_id.is_not_distinct_from(values["terminal_id"]),
            c.withdrawn_at_ms.is_(None),
        ]
        row = {**values, "note": note, "made_by": by, "made_at_ms": now_ms}
        with self._store.changing() as db:
            take_turns(db)
            row["identity_id"] = latest_form(db, forms)
            if db.execute(select(c.id).where(*same)).first() is not None:
                raise Conflict(f"this passage is {values['kind']} already; withdraw that correction first")
            number = db.execute(t.corrections.insert().values(row).returning(c.id)).scalar_one()
            return _rows(db, c.id == number)[0]


def active(db: Connection, since_ms: int, until_ms: int) -> Mapping[int, Sequence[Correction]]:
    """Return the corrections that count from one moment up to another, by the form of the person's data."""
    c = t.corrections.c
    found: dict[int, list[Correction]] = {}
    for one in _rows(db, c.withdrawn_at_ms.is_(None), c.until_ms >= since_ms, c.at_ms < until_ms):
        found.setdefault(one.identity_id, []).append(one)
    return found


def of_person(person: Person, found: Mapping[int, Sequence[Correction]]) -> list[Correction]:
    """Return the corrections of a person among those by form, by time."""
    mine = [one for form in person.identities for one in found.get(form, ())]
    if person.terminal_id is not None:
        mine = [one for one in mine if one.terminal_id == person.terminal_id]
    return sorted(mine, key=lambda one: (one.at, one.id))


def corrected(
    parts: Iterable[Seen], corrections: Sequence[Correction], since_ms: int, until_ms: int
) -> list[Seen]:
    """Return a person's passages of a stretch without the struck ones, and with the added ones."""
    struck = [(one.terminal_id, ms(one.at), ms(one.until)) for one in corrections if one.kind == "struck"]
    found = [_without(part, struck) if struck else part for part in parts]
    for one in corrections:
        at_ms = ms(one.at)
        if one.kind == "added" and since_ms <= at_ms < until_ms:
            # A terminal of its own, so that it repeats no other passage.
            found.append(Seen([at_ms], [-one.id], [one.identity_id]))
    return found


def _without(part: Seen, struck: Sequence[tuple[int | None, int, int]]) -> Seen:
    kept = [
        (at_ms, terminal, form)
        for at_ms, terminal, form in zip(*part, strict=True)
        if not any(terminal == where and first <= at_ms <= last for where, first, last in struck)
    ]
    return Seen(*map(list, zip(*kept, strict=True))) if kept else Seen([], [], [])


def _passage(
    db: Connection, person: Person, record_id: int, repeat_ms: int
) -> tuple[int, dict[str, Any]] | None:
    """Return the form and the columns of a struck passage by one of its records; ``None`` if it is none of theirs."""
    r = t.records.c
    mine = [r.identity_id.in_(person.identities), *is_passage(db)]
    if person.terminal_id is not None:
        mine.append(r.terminal_id == person.terminal_id)
    asked = db.execute(
        select(r.at_ms, r.terminal_id, r.identity_id).where(r.id == record_id, *mine)
    ).one_or_none()
    if asked is None:
        return None
    near = select(r.at_ms).where(*mine, r.terminal_id == asked.terminal_id)
    near = near.where(r.at_ms >= asked.at_ms - DAY_MS, r.at_ms <= asked.at_ms + DAY_MS)
    times = list(db.execute(near.order_by(r.at_ms).limit(_MAX_CHAIN)).scalars())
    first, last = asked.at_ms, asked.at_ms
    for before, after in pairwise(times):
        if after > last and before == last and after - before <= repeat_ms:
            last = after
    for after, before in pairwise(reversed(times)):
        if before < first and after == first and after - before <= repeat_ms:
            first = before
    return asked.identity_id, {
        "kind": "struck",
        "at_ms": first,
        "until_ms": last,
        "terminal_id": asked.terminal_id,
        "record_id": record_id,
    }


def _rows(db: Connection, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Correction]:
    c, i, s = t.corrections.c, t.identities.c, t.sites.c
    wanted = (
        select(t.corrections, i.user_id, i.name, i.site_id, s.timezone)
        .join(t.identities, i.id == c.identity_id)
        .join(t.sites, s.id == i.site_id)
        .where(i.erased_at_ms.is_(None), *conditions)
        .order_by(c.id.desc())
        .limit(limit)
    )
    return [_correction(row) for row in db.execute(wanted)]


def _correction(row: Row[Any]) -> Correction:
    return Correction(
        id=row.id,
        kind=row.kind,
        identity_id=row.identity_id,
        at=moment(row.at_ms),
        until=moment(row.until_ms),
        terminal_id=row.terminal_id,
        record_id=row.record_id,
        user_id=row.user_id,
        name=row.name,
        site_id=row.site_id,
        timezone=row.timezone,
        note=row.note,
        made_by=row.made_by,
        made_at=moment(row.made_at_ms),
        withdrawn_by=row.withdrawn_by,
        withdrawn_at=moment(row.withdrawn_at_ms),
    )
