"""Ask for alarms, acknowledge and close them."""

from collections.abc import Sequence

from msgspec.structs import replace
from sqlalchemy import ColumnElement, func, select, update

from gatepost.store.conversion.values import text
from gatepost.store.query import alarms, counting
from gatepost.store.questions.visible_store import VisibleStore
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import events_of
from gatepost.store.types.events import AlarmRow, AlarmStepRow
from gatepost.store.types.lists import AlarmCounts, Counted, Page, ToAcknowledge
from gatepost.store.types.queries import AlarmQuery

__all__ = ["MAX_ACKNOWLEDGED", "TOO_MANY_ALARMS", "AlarmQuestions"]

MAX_ACKNOWLEDGED = 10_000
"""Alarms that are acknowledged at once."""

TOO_MANY_ALARMS = (
    f"more than {MAX_ACKNOWLEDGED} alarms fit these filters, and at most so many are acknowledged at once;"
    " choose a shorter time with since and until"
)


class AlarmQuestions(VisibleStore):
    """See :class:`~gatepost.store.interface.Store`."""

    def alarms(self, query: AlarmQuery) -> Page[AlarmRow]:
        with self.reading() as db:
            return alarms.alarms_page(db, query, self.visible)

    def alarm_counts(self) -> AlarmCounts:
        with self.reading() as db:
            return alarms.alarm_counts(db, self.visible)

    def alarm(self, alarm_id: int) -> AlarmRow | None:
        with self.reading() as db:
            return alarms.alarm(db, alarm_id, self.visible)

    def acknowledge_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        statement = update(t.alarms).where(t.alarms.c.id == alarm_id, *self._is_visible_alarm())
        with self.changing() as db:
            done = db.execute(
                statement.values(acknowledged_at_ms=now_ms, acknowledged_by=by, note=text(note))
            )
            return done.rowcount == 1

    def count_alarms(self, query: AlarmQuery) -> Counted:
        with self.reading() as db:
            return counting.counted(len(alarms.alarm_ids(db, query, self.visible, counting.COUNT_MOST + 1)))

    def alarms_to_acknowledge(self, query: AlarmQuery) -> ToAcknowledge:
        with self.reading() as db:
            ids = alarms.alarm_ids(db, replace(query, acknowledged=False), self.visible, MAX_ACKNOWLEDGED + 1)
        return ToAcknowledge(
            min(len(ids), MAX_ACKNOWLEDGED), max(ids, default=0), len(ids) > MAX_ACKNOWLEDGED
        )

    def acknowledge_alarms(
        self, which: AlarmQuery | Sequence[int], *, by: str, note: str, now_ms: int
    ) -> int:
        c = t.alarms.c
        values = {"acknowledged_at_ms": now_ms, "acknowledged_by": by, "note": text(note)}
        done = 0
        with self.changing() as db:
            if isinstance(which, AlarmQuery):
                asked = replace(which, acknowledged=False)
                which = alarms.alarm_ids(db, asked, self.visible, MAX_ACKNOWLEDGED + 1)
                if len(which) > MAX_ACKNOWLEDGED:
                    raise ValueError(TOO_MANY_ALARMS)
            for start in range(0, len(which), 500):
                some = c.id.in_(which[start : start + 500])
                these = [some, c.acknowledged_at_ms.is_(None), *self._is_visible_alarm()]
                done += db.execute(update(t.alarms).where(*these).values(values)).rowcount
        return done

    def close_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        c = t.alarms.c
        values = {
            "closed_at_ms": now_ms,
            "closed_by": by,
            "closed_note": text(note),
            "acknowledged_at_ms": func.coalesce(c.acknowledged_at_ms, now_ms),
            "acknowledged_by": func.coalesce(c.acknowledged_by, by),
        }
        which = [c.id == alarm_id, alarms.is_open(), *self._is_visible_alarm()]
        with self.changing() as db:
            done = db.execute(update(t.alarms).where(*which).values(values))
            return done.rowcount == 1

    def alarm_steps_by_id(self, ids: Sequence[int]) -> list[AlarmStepRow]:
        with self.reading() as db:
            return alarms.alarm_steps_by_id(db, ids, self.visible)

    def _is_visible_alarm(self) -> list[ColumnElement[bool]]:
        """Return the condition that an alarm is of a terminal whose alarms are visible."""
        here = events_of(self.visible)
        return [t.alarms.c.terminal_id.in_(select(t.terminals.c.id).where(*here))] if here else []
