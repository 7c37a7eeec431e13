"""Keep schedules, holidays, and whose schedule is which from which day on.

Rules:

* An assignment is a group's or a person's. That of a person goes before those of their groups; the latest one counts.
  One without a schedule says that from this day on there is none.
* A person is referred to by a form of their data. It leaves with the person.
* A schedule that is assigned is not deleted. A change of it counts for days that are past, too.
* From one day on a group, or a person, has one assignment; of two that are made at once one is refused.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from gatepost.store.attendance.schedules import Schedule, checked
from gatepost.store.conversion.values import moment, text
from gatepost.store.fold import alike
from gatepost.store.interface import Transactions, Visible
from gatepost.store.people.forms import latest_form
from gatepost.store.people.groups import forms_at_sites, group_key, listed_groups
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict
from gatepost.store.turns import take_turns
from gatepost.store.versions import Versions, check_version, version_of

__all__ = [
    "EVERY_SITE",
    "MAX_SCHEDULES",
    "AssignmentRow",
    "HolidayRow",
    "ScheduleRow",
    "Schedules",
    "place_of",
    "schedule_of",
]

EVERY_SITE = 0
"""Site of a holiday that is one everywhere."""

MAX_SCHEDULES = 500

MAX_HOLIDAYS = 5_000

MAX_ASSIGNMENTS = 20_000


class ScheduleRow(Struct, frozen=True):
    """Hold a stored schedule."""

    id: int
    schedule: Schedule
    assignments: int
    """How many there are of it."""

    @property
    def version(self) -> str:
        """Return the version of the schedule."""
        return version_of(_columns(self.schedule))


class HolidayRow(Struct, frozen=True):
    """Hold a stored holiday."""

    id: int
    day: date
    name: str
    site_id: int | None
    """``None``: at every site."""
    is_half: bool


class AssignmentRow(Struct, frozen=True, kw_only=True):
    """Say whose schedule is which from a day on."""

    id: int
    schedule_id: int | None
    schedule: str | None
    """Its name; ``None``: no schedule from that day on."""
    group: str | None
    """Name of the group, or ``#`` and its id; ``None``: it is a person's."""
    identity_id: int | None
    user_id: str | None
    person: str | None
    """Name of the person."""
    since: date
    made_by: str
    created_at: datetime


class Schedules:
    """Change and list schedules, holidays and assignments. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def schedules(self) -> list[ScheduleRow]:
        """Return every schedule, by name."""
        with self._store.reading() as db:
            return _schedules(db)

    def one(self, number: int) -> ScheduleRow | None:
        """Return a schedule; ``None`` if there is none."""
        with self._store.reading() as db:
            return next(iter(_schedules(db, t.schedules.c.id == number)), None)

    def create(self, schedule: Schedule, *, now_ms: int) -> ScheduleRow:
        """Store a schedule. Raises ``ValueError`` and :class:`~gatepost.store.terminals.registry.Conflict`."""
        schedule = checked(schedule)
        c = t.schedules.c
        try:
            with self._store.changing() as db:
                _check_room(db, t.schedules, MAX_SCHEDULES, "schedules")
                values = {**_columns(schedule), "created_at_ms": now_ms}
                number = db.execute(t.schedules.insert().values(values).returning(c.id)).scalar_one()
        except IntegrityError:
            raise Conflict(f"name: there is already a schedule called {schedule.name}") from None
        return ScheduleRow(number, schedule, 0)

    def change(
        self, number: int, schedule: Schedule, *, versions: Versions = None
    ) -> tuple[ScheduleRow, ScheduleRow] | None:
        """Put another schedule in the place of one; return what it was and what it is, ``None`` if there is none.

        ``versions``: those of the schedule that may be replaced. Raises as :meth:`create`, and
        :class:`~gatepost.store.versions.ChangedMeanwhile`.
        """
        schedule = checked(schedule)
        c = t.schedules.c
        try:
            with self._store.changing() as db:
                take_turns(db)
                before = next(iter(_schedules(db, c.id == number)), None)
                if before is None:
                    return None
                check_version(versions, before.version)
                db.execute(update(t.schedules).where(c.id == number).values(_columns(schedule)))
                return before, _schedules(db, c.id == number)[0]
        except IntegrityError:
            raise Conflict(f"name: there is already a schedule called {schedule.name}") from None

    def delete(self, number: int) -> ScheduleRow | None:
        """Delete a schedule and return it; ``None`` if there is none. Raises ``Conflict`` if it is assigned."""
        c = t.schedules.c
        try:
            with self._store.changing() as db:
                row = next(iter(_schedules(db, c.id == number)), None)
                if row is None or row.assignments == 0:
                    db.execute(delete(t.schedules).where(c.id == number))
                    return row
        except IntegrityError:  # assigned meanwhile
            pass
        raise Conflict("this schedule is assigned; delete its assignments first")

    # Holidays

    def holidays(self, visible: Visible) -> list[HolidayRow]:
        """Return the holidays at visible sites, by day."""
        c = t.holidays.c
        here = [] if visible.sites is None else [c.site_id.in_([EVERY_SITE, *sorted(visible.sites)])]
        with self._store.reading() as db:
            rows = db.execute(select(t.holidays).where(*here).order_by(c.day, c.site_id))
            return [_holiday(row) for row in rows]

    def add_holiday(self, day: date, name: str, *, site_id: int | None, is_half: bool) -> HolidayRow:
        """Store a holiday. Raises ``Conflict`` where that day is one already."""
        site = EVERY_SITE if site_id is None else site_id
        values = {"day": day.isoformat(), "site_id": site, "name": text(name), "is_half": int(is_half)}
        try:
            with self._store.changing() as db:
                _check_room(db, t.holidays, MAX_HOLIDAYS, "holidays")
                number = db.execute(
                    t.holidays.insert().values(values).returning(t.holidays.c.id)
                ).scalar_one()
        except IntegrityError:
            raise Conflict(f"day: {day} is a holiday there already; delete it first") from None
        return HolidayRow(number, day, text(name), site_id, is_half)

    def delete_holiday(self, number: int) -> HolidayRow | None:
        """Delete a holiday and return it; ``None`` if there is none."""
        gone = delete(t.holidays).where(t.holidays.c.id == number).returning(t.holidays)
        with self._store.changing() as db:
            row = db.execute(gone).one_or_none()
        return None if row is None else _holiday(row)

    # Assignments

    def assignments(self, visible: Visible) -> list[AssignmentRow]:
        """Return the assignments of groups and people at visible sites: by target, the latest last."""
        with self._store.reading() as db:
            found = _assignments(db, *_shown(visible))
            if visible.sites is None:
                return found
            groups = listed_groups(db, visible)
        return [row for row in found if row.group is None or key_of(row.group) in groups]

    def assign(
        self,
        schedule_id: int | None,
        since: date,
        *,
        group: str | None = None,
        identities: Sequence[int] = (),
        by: str,
        now_ms: int,
    ) -> AssignmentRow:
        """Say that a schedule is a group's, or a person's by the forms of their data, from a day on.

        Raises ``ValueError`` if there is no such schedule, ``Conflict`` if something is assigned from that day on or
        the person is gone.
        """
        a = t.assignments.c
        values: dict[str, Any] = {
            "schedule_id": schedule_id,
            "since": since.isoformat(),
            "made_by": by,
            "created_at_ms": now_ms,
        }
        if group is None:
            same = a.identity_id.in_(identities)
        else:
            values |= {"group_key": key_of(group), "group_name": text(group)}
            same = a.group_key == values["group_key"]
        with self._store.changing() as db:
            take_turns(db)
            if group is None:
                values["identity_id"] = latest_form(db, identities)
            # To delete the schedule waits for this transaction.
            known = select(t.schedules.c.id).where(t.schedules.c.id == schedule_id)
            known = known.with_for_update(read=True, key_share=True)
            if schedule_id is not None and db.execute(known).first() is None:
                raise ValueError("schedule_id: there is no such schedule; /api/v1/schedules lists them")
            if db.execute(select(a.id).where(same, a.since == values["since"])).first() is not None:
                raise Conflict(f"since: there is an assignment from {since} on already; delete it first")
            _check_room(db, t.assignments, MAX_ASSIGNMENTS, "assignments")
            number = db.execute(t.assignments.insert().values(values).returning(a.id)).scalar_one()
            return _assignments(db, a.id == number)[0]

    def unassign(self, number: int) -> AssignmentRow | None:
        """Delete an assignment and return it; ``None`` if there is none."""
        a = t.assignments.c
        with self._store.changing() as db:
            found = _assignments(db, a.id == number)
            db.execute(delete(t.assignments).where(a.id == number))
        return found[0] if found else None


def key_of(group: str) -> str:
    """Return the key of a group by what a filter names it: its name, or ``#`` and its id."""
    is_id = group.startswith("#") and alike(group[1:]) != ""
    return group_key({"id": group[1:]}) if is_id else group_key({"name": group})


def schedule_of(row: Any) -> Schedule:
    """Return the schedule of a row of ``schedules``."""
    return Schedule(
        name=row.name,
        start_min=row.start_min,
        end_min=row.end_min,
        grace_min=row.grace_min,
        break_min=row.break_min,
        days=frozenset(map(int, row.days)),
        half_days=frozenset(map(int, row.half_days)),
        half_end_min=row.half_end_min,
        on_holidays=bool(row.on_holidays),
    )


def _columns(schedule: Schedule) -> dict[str, Any]:
    return {
        "name": text(schedule.name),
        "folded_name": alike(schedule.name),
        "start_min": schedule.start_min,
        "end_min": schedule.end_min,
        "grace_min": schedule.grace_min,
        "break_min": schedule.break_min,
        "days": "".join(map(str, sorted(schedule.days))),
        "half_days": "".join(map(str, sorted(schedule.half_days))),
        "half_end_min": schedule.half_end_min,
        "on_holidays": int(schedule.on_holidays),
    }


def _schedules(db: Connection, *conditions: ColumnElement[bool]) -> list[ScheduleRow]:
    c, a = t.schedules.c, t.assignments.c
    uses = select(func.count()).where(a.schedule_id == c.id).scalar_subquery().label("uses")
    rows = db.execute(select(t.schedules, uses).where(*conditions).order_by(c.folded_name))
    return [ScheduleRow(row.id, schedule_of(row), row.uses) for row in rows]


def _holiday(row: Row[Any]) -> HolidayRow:
    site_id = None if row.site_id == EVERY_SITE else row.site_id
    return HolidayRow(row.id, date.fromisoformat(row.day), row.name, site_id, bool(row.is_half))


def _shown(visible: Visible) -> list[ColumnElement[bool]]:
    here = forms_at_sites(visible)
    return [t.assignments.c.identity_id.is_(None) | here[0]] if here else []


def _assignments(db: Connection, *conditions: ColumnElement[bool]) -> list[AssignmentRow]:
    a, i, s = t.assignments.c, t.identities.c, t.schedules.c
    wanted = (
        select(t.assignments, s.name.label("schedule"), i.user_id, i.name.label("person"))
        .outerjoin(t.schedules, s.id == a.schedule_id)
        .outerjoin(t.identities, i.id == a.identity_id)
        .where(*conditions)
    )
    found = [
        AssignmentRow(
            id=row.id,
            schedule_id=row.schedule_id,
            schedule=row.schedule,
            group=row.group_name,
            identity_id=row.identity_id,
            user_id=row.user_id,
            person=row.person,
            since=date.fromisoformat(row.since),
            made_by=row.made_by,
            created_at=moment(row.created_at_ms),
        )
        for row in db.execute(wanted)
    ]
    return sorted(found, key=place_of)


def place_of(row: AssignmentRow) -> tuple[str, str, int, str, int]:
    """Return where an assignment stands in the list: groups by name, then people by number."""
    return row.group or "", row.user_id or "", row.identity_id or 0, row.since.isoformat(), row.id


def _check_room(db: Connection, table: Any, limit: int, what: str) -> None:
    if db.execute(select(func.count()).select_from(table)).scalar_one() >= limit:
        raise Conflict(f"there are {limit} {what} already; delete some first")
