"""Staff: names and departments for numbers, imported by the personnel office.

Rules:

* A row is of a site, or of every site; that of the site counts first. It names a person, and puts them into a group
  called like the department. Records stay as terminals sent them, and so do the names of past shifts.
* An import is checked as a whole before any of it is stored.
* Erasing a person deletes the rows with their number.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, exists, func, or_, select

from gatepost.store.conversion.values import text
from gatepost.store.dialect import insert
from gatepost.store.fold import ESCAPE, alike, fold_person, like
from gatepost.store.interface import Transactions, Visible
from gatepost.store.schema import tables as t

__all__ = [
    "EVERY_SITE",
    "MAX_ROWS",
    "Checked",
    "Entry",
    "Fault",
    "Staff",
    "departments",
    "forget",
    "imported",
    "in_department",
    "named_like",
    "parse",
]

EVERY_SITE = 0

MAX_ROWS = 20_000
"""Rows of one import, and of a store."""

_MAX_TEXT = 128

_MAX_FAULTS = 100

_HEADINGS = {
    **dict.fromkeys(("number", "user_id", "person id", "编号", "人员编号", "工号"), "user_id"),
    **dict.fromkeys(("name", "姓名"), "name"),
    **dict.fromkeys(("department", "group", "部门", "分组"), "department"),
}


class Entry(Struct, frozen=True):
    """Hold the name and the department of a number."""

    user_id: str
    name: str
    department: str


class Fault(Struct, frozen=True):
    """Say what is wrong with a line of a file."""

    line: int
    why: str


class Checked(Struct, frozen=True, kw_only=True):
    """Say what an import does, or did."""

    rows: int
    new: int
    changed: int
    same: int
    faults: tuple[Fault, ...]
    """At most the first hundred; with any of them nothing is stored."""


def parse(content: bytes) -> tuple[list[Entry], list[Fault]]:
    """Read a CSV file with a line of headings: number, name, department. Raises ``ValueError`` with a sentence."""
    rows = _rows(content)
    heading = next(rows, (1, []))[1]
    columns = {_HEADINGS.get(cell.strip().lower()): place for place, cell in enumerate(heading)}
    if "user_id" not in columns or not columns.keys() & {"name", "department"}:
        raise ValueError("the first line has to name the columns: number, name, department")
    entries: list[Entry] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        values = {
            name: " ".join(row[place].split()) if place < len(row) else ""
            for name, place in columns.items()
            if name is not None
        }
        if not any(values.values()):
            continue
        entry = Entry(values["user_id"], values.get("name", ""), values.get("department", ""))
        why = _fault(entry, seen)
        if why is None:
            seen[entry.user_id] = line
            entries.append(entry)
        else:
            faults.append(Fault(line, why))
    if len(entries) > MAX_ROWS:
        raise ValueError(f"the file has more than {MAX_ROWS} rows; import it in parts")
    return entries, faults


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of a file with their numbers."""
    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            decoded = content.decode("gb18030")
        except UnicodeDecodeError:
            raise ValueError("the file is neither UTF-8 nor GB18030; save it as CSV UTF-8") from None
    if "\0" in decoded:
        raise ValueError("the file has a NUL character; save it as CSV UTF-8")
    first = decoded.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(decoded, newline=""), delimiter=mark)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is no CSV: {error}") from None


def _fault(entry: Entry, seen: dict[str, int]) -> str | None:
    if not entry.user_id:
        return "has no number"
    if not entry.name and not entry.department:
        return "has neither a name nor a department"
    if max(map(len, (entry.user_id, entry.name, entry.department))) > _MAX_TEXT:
        return f"has a cell of more than {_MAX_TEXT} characters"
    if entry.user_id in seen:
        return f"has the number of line {seen[entry.user_id]}"
    return None


class Staff:
    """Import names and departments. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def load(self, content: bytes, *, site_id: int | None, check: bool, now_ms: int) -> Checked:
        """Store the rows of a file, unless it has a fault, or only a check is asked for. Raises ``ValueError``."""
        entries, faults = parse(content)
        site = EVERY_SITE if site_id is None else site_id
        with self._store.changing() as db:
            known = _known(db, site)
            fresh = [one for one in entries if one.user_id not in known]
            changed = [
                one
                for one in entries
                if one.user_id in known and known[one.user_id] != (one.name, one.department)
            ]
            if len(fresh) + db.execute(select(func.count()).select_from(t.staff)).scalar_one() > MAX_ROWS:
                raise ValueError(f"the store would have more than {MAX_ROWS} rows; forget some first")
            if not faults and not check:
                _put(db, [*fresh, *changed], site, now_ms)
        return Checked(
            rows=len(entries),
            new=len(fresh),
            changed=len(changed),
            same=len(entries) - len(fresh) - len(changed),
            faults=tuple(faults[:_MAX_FAULTS]),
        )

    def clear(self, site_id: int | None) -> int:
        """Delete the rows of a site, or those of every site; return how many there were."""
        site = EVERY_SITE if site_id is None else site_id
        with self._store.changing() as db:
            return db.execute(delete(t.staff).where(t.staff.c.site_id == site)).rowcount


def _known(db: Connection, site: int) -> dict[str, tuple[str, str]]:
    c = t.staff.c
    rows = db.execute(select(c.user_id, c.name, c.department).where(c.site_id == site))
    return {row.user_id: (row.name, row.department) for row in rows}


def _put(db: Connection, entries: Sequence[Entry], site: int, now_ms: int) -> None:
    rows = [
        {
            "site_id": site,
            "user_id": text(one.user_id),
            "name": text(one.name),
            "department": text(one.department),
            "folded": fold_person((one.name, one.user_id, "", "", "")),
            "group_key": f"name {alike(one.department)}" if alike(one.department) else "",
            "changed_at_ms": now_ms,
        }
        for one in entries
    ]
    for start in range(0, len(rows), 500):
        new = insert(db, t.staff)
        columns = ("name", "department", "folded", "group_key", "changed_at_ms")
        values = {name: new.excluded[name] for name in columns}
        statement = new.on_conflict_do_update(index_elements=["user_id", "site_id"], set_=values)
        db.execute(statement, rows[start : start + 500])


def imported(db: Connection, people: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Entry]:
    """Return what was imported for people, by number and site; that of their site first."""
    c = t.staff.c
    if db.execute(select(c.id).limit(1)).first() is None:
        return {}
    wanted = sorted(set(people))
    numbers = sorted({user_id for user_id, _ in wanted if user_id})
    found: dict[tuple[str, int], Entry] = {}
    for start in range(0, len(numbers), 1000):
        for row in db.execute(select(t.staff).where(c.user_id.in_(numbers[start : start + 1000]))):
            found[row.user_id, row.site_id] = Entry(row.user_id, row.name, row.department)
    everywhere = ((user_id, site, found.get((user_id, EVERY_SITE))) for user_id, site in wanted)
    return {
        (user_id, site): entry
        for user_id, site, other in everywhere
        if (entry := found.get((user_id, site), other)) is not None
    }


def _of_form() -> list[ColumnElement[bool]]:
    """Return the conditions that a row is of a form of a person's data."""
    c, i = t.staff.c, t.identities.c
    return [c.user_id == i.user_id, or_(c.site_id == EVERY_SITE, c.site_id == i.site_id)]


def named_like(asked: str) -> ColumnElement[bool]:
    """Return the condition on ``identities`` that the imported name contains a text."""
    c = t.staff.c
    return exists(select(c.id).where(*_of_form(), c.folded.like(like(asked, "any"), escape=ESCAPE)))


def in_department(keys: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition on ``identities`` that the imported department is one of these groups."""
    c = t.staff.c
    return exists(select(c.id).where(*_of_form(), c.group_key.in_(sorted(keys))))


def departments(db: Connection, visible: Visible, site_id: int | None = None) -> list[str]:
    """Return the departments that were imported for visible sites and in which anyone has been seen."""
    c, i = t.staff.c, t.identities.c
    here = [c.group_key != ""]
    if visible.sites is not None:
        here.append(i.site_id.in_(sorted(visible.sites)))
    if site_id is not None:
        here.append(i.site_id == site_id)
    seen = exists(select(i.id).where(*_of_form(), *here[1:]))
    return list(db.execute(select(c.department).where(here[0], seen).distinct()).scalars())


def forget(db: Connection, numbers: Iterable[str], site_id: int | None) -> None:
    """Delete the rows with these numbers: of a site and of every site; without a site everywhere."""
    c = t.staff.c
    mine = [c.user_id.in_(sorted({number for number in numbers if number}))]
    if site_id is not None:
        mine.append(c.site_id.in_([EVERY_SITE, site_id]))
    db.execute(delete(t.staff).where(*mine))
