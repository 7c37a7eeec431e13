"""Read records, one by one and in pages.

Which records stand on a page, newest or oldest first, :mod:`gatepost.store.query.record_search` finds out. In the order
``received`` there is nothing to find: it is the primary key's.
"""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    func,
    select,
)

from gatepost.store.conversion.rows import decode_problems
from gatepost.store.conversion.values import moment
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.interface import (
    EVERYTHING,
    AlarmRow,
    AlarmStep,
    Page,
    PersonRow,
    RecordQuery,
    RecordRow,
    Visible,
)
from gatepost.store.page_bytes import bytes_of, fitting
from gatepost.store.query import record_search
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import events_of

__all__ = [
    "RECORD_BYTES",
    "records_page",
    "record",
    "records_between",
    "records_by_id",
    "without_numbers",
    "latest",
    "record_sizes",
    "PLACE",
    "step_without_numbers",
]

# Which terminal an event is of, and where that stands.
PLACE = (
    t.terminals.c.serial,
    t.terminals.c.name.label("terminal_name"),
    t.terminals.c.site_id,
    t.sites.c.name.label("site"),
    func.coalesce(t.terminals.c.timezone, t.sites.c.timezone).label("timezone"),
)

_RECORD = (
    select(t.records, *PLACE, *(c.label(f"person_{c.name}") for c in t.identities.c))
    .join(t.terminals, t.terminals.c.id == t.records.c.terminal_id)
    # Every terminal has a site; an outer join keeps SQLite from beginning with the sites.
    .outerjoin(t.sites, t.sites.c.id == t.terminals.c.site_id)
    # Who was erased counts, and is nobody.
    .outerjoin(
        t.identities,
        and_(t.identities.c.id == t.records.c.identity_id, t.identities.c.erased_at_ms.is_(None)),
    )
)

RECORD_BYTES = bytes_of(t.records.c.original, t.records.c.problems, t.identities.c.groups)
"""What a record is counted with."""

_SIZED = _RECORD.with_only_columns(t.records.c.id, t.records.c.at_ms, RECORD_BYTES)

_BETWEEN = _RECORD.where(t.records.c.id > bindparam("after"), t.records.c.id <= bindparam("until"))

_AHEAD = 20_000
"""In order of arrival, so many records are looked through before an index is asked what else fits."""


def records_page(db: Connection, query: RecordQuery, visible: Visible, *, horizon: int) -> Page[RecordRow]:
    """``horizon``, for the order of arrival: ids below it are settled; what has a lower id can no longer appear."""
    if query.order == "received":
        return _received(db, query, visible, horizon)
    cursor = None if query.cursor is None else decode_cursor(query.cursor, query.order)
    ids = record_search.find(db, query, visible, cursor)
    c = t.records.c
    direction = (c.at_ms.desc(), c.id.desc()) if query.order == "newest" else (c.at_ms, c.id)
    sized = (
        db.execute(_SIZED.where(c.id.in_(ids)).order_by(*direction).limit(query.limit)).all() if ids else []
    )
    shown = [row.id for row in sized[: fitting([row.size for row in sized])]]
    rows = db.execute(_RECORD.where(c.id.in_(shown)).order_by(*direction)).all() if shown else []
    more = (len(ids) > query.limit or len(shown) < len(sized)) and rows
    return Page(
        tuple(_record(row, visible) for row in rows),
        encode_cursor(query.order, rows[-1].at_ms, rows[-1].id) if more else None,
    )


def _received(db: Connection, query: RecordQuery, visible: Visible, horizon: int) -> Page[RecordRow]:
    c = t.records.c
    after = 0 if query.cursor is None else decode_cursor(query.cursor, "received")[1]
    settled = [c.id > after, c.id < horizon]
    conditions = [*record_search.all_conditions(db, query, visible), *settled]

    def read(*more: Any) -> Sequence[Row[Any]]:
        return db.execute(_SIZED.where(*conditions, *more).order_by(c.id).limit(query.limit)).all()

    # Mostly the page is among the next ones. If not, what fits may be rare, and an index knows all of it.
    ahead = select(c.id).where(*settled).order_by(c.id).offset(_AHEAD).limit(1)
    edge = db.execute(ahead).scalar_one_or_none()
    rows = read() if edge is None else read(c.id < edge)
    if edge is not None and len(rows) < query.limit:
        ids = record_search.all_of_few(db, query, visible, settled)
        rows = read() if ids is None else read(c.id.in_(ids))
    shown = [row.id for row in rows[: fitting([row.size for row in rows])]]
    found = db.execute(_RECORD.where(c.id.in_(shown)).order_by(c.id)) if shown else ()
    # There is always more to come, so there is always a cursor.
    return Page(
        tuple(_record(row, visible) for row in found),
        encode_cursor("received", 0, shown[-1] if shown else after),
    )


def record(db: Connection, record_id: int, visible: Visible) -> RecordRow | None:
    found = records_by_id(db, [record_id], visible)
    return found[0] if found else None


def records_by_id(db: Connection, ids: Sequence[int], visible: Visible) -> list[RecordRow]:
    """Return those of them that there are and that are visible, in no order."""
    if not ids:
        return []
    rows = db.execute(_RECORD.where(t.records.c.id.in_(ids), *events_of(visible))).all()
    return [_record(row, visible) for row in rows]


def records_between(db: Connection, after: int, until: int) -> list[RecordRow]:
    """Return the records with ids above ``after`` and up to ``until``, held ones too, in no order."""
    rows = db.execute(_BETWEEN, {"after": after, "until": until}).all()
    return [_record(row, EVERYTHING) for row in rows]


# Picked by place: to read forty columns of a row by name costs more than the query.
_COLUMNS = list(_RECORD.selected_columns.keys())


def _picker(*names: str) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    return itemgetter(*(_COLUMNS.index(name) for name in names))


_PLAIN = _picker(
    *("id", "terminal_id", "serial", "terminal_name", "site_id", "site", "timezone"),
    *("uuid", "recognition_type", "entry_mode", "abnormal_type", "score"),
    *("temperature", "mask", "mode", "dialect", "peer", "original"),
)

_OTHERS = _picker(
    *("at_ms", "recorded_at_ms", "received_at_ms", "passed", "has_image", "problems", "person_id"),
    "backfilled",
)

_PERSON = _picker(
    *(f"person_{name}" for name in ("id", "user_id", "name", "type", "job_number", "ic_number")),
    *(f"person_{name}" for name in ("id_number", "remark", "guest_from_ms", "guest_until_ms", "groups")),
)


def _record(row: Sequence[Any], visible: Visible) -> RecordRow:
    row = tuple(row)
    number, terminal_id, serial, name, site_id, site, timezone, *codes = _PLAIN(row)
    uuid, kind, entry, abnormal, score, degrees, mask, mode, dialect, peer, original = codes
    at_ms, recorded_at_ms, received_at_ms, passed, has_image, problems, person_id, fetched = _OTHERS(row)
    found = RecordRow(
        id=number,
        terminal_id=terminal_id,
        serial=serial,
        terminal_name=name,
        site_id=site_id,
        site=site,
        timezone=timezone,
        uuid=uuid,
        at=moment(at_ms),
        recorded_at=moment(recorded_at_ms),
        received_at=moment(received_at_ms),
        recognition_type=kind,
        passed=None if passed is None else bool(passed),
        entry_mode=entry,
        abnormal_type=abnormal,
        score=score,
        temperature=degrees,
        mask=mask,
        mode=mode,
        person=None if person_id is None else _person(row),
        has_image=bool(has_image),
        dialect=dialect,
        peer=peer,
        problems=decode_problems(problems),
        original=original,
        backfilled=bool(fetched),
    )
    return found if visible.numbers else without_numbers(found)


Seen = TypeVar("Seen", bound=RecordRow | AlarmRow)

_NUMBER = re.compile(r"(?<![A-Za-z\d])[A-Za-z\d]*\d[A-Za-z\d]*|[A-Fa-f]{8,}")
"""What may be a number in a text: letters and digits in a row with a digit among them, also a full-width one; and what
may be the hexadecimal number of a card."""


def without_numbers(row: Seen) -> Seen:
    """Return an event without card and identity numbers: also where they may stand in a text."""
    if isinstance(row, AlarmRow):
        return replace(row, history=tuple(map(step_without_numbers, row.history)))
    person = None if row.person is None else replace(row.person, ic_number="", id_number="", remark="")
    return replace(row, person=person, problems=(), original=None)


def step_without_numbers(step: AlarmStep) -> AlarmStep:
    # The protocol page gives the description no form, so a terminal may write a card's number in it.
    said = step.description
    masked = None if said is None else _NUMBER.sub("\N{HORIZONTAL ELLIPSIS}", said)
    return replace(step, description=masked, problems=(), original=None)


def _person(row: Sequence[Any]) -> PersonRow:
    number, user_id, name, kind, job, ic, id_number, remark, begins_ms, ends_ms, groups = _PERSON(row)
    return PersonRow(
        identity_id=number,
        user_id=user_id,
        name=name,
        type=kind,
        job_number=job,
        ic_number=ic,
        id_number=id_number,
        remark=remark,
        guest_from=moment(begins_ms),
        guest_until=moment(ends_ms),
        groups=tuple(msgspec.json.decode(groups)) if groups else (),
    )


def record_sizes(db: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Return how large records are, by id."""
    return {row.id: row.size for row in db.execute(_SIZED.where(t.records.c.id.in_(ids)))} if ids else {}


def latest(db: Connection, ids: Sequence[int], visible: Visible) -> list[RecordRow]:
    """Return records, the highest id first, as many as are on a page."""
    c = t.records.c
    sized = db.execute(_SIZED.where(c.id.in_(ids)).order_by(c.id.desc())).all() if ids else []
    shown = records_by_id(db, [row.id for row in sized[: fitting([row.size for row in sized])]], visible)
    return sorted(shown, key=lambda row: -row.id)
