"""Read people and attendance by the settings ``people_scope`` and ``repeat_s``."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.settings import ReceiverSettings
from gatepost.store.attendance.attendance import Attendance
from gatepost.store.interface import ForUser, RecordRow
from gatepost.store.people.inside import WhoIsInside
from gatepost.store.people.marked import Marked, who_is_marked
from gatepost.store.people.people import People
from gatepost.store.people.person import Rules

__all__ = ["Meaning", "rules_of"]


class Meaning:
    """People, attendance and statistics by the receiver's settings."""

    def __init__(self, store: ForUser, rules: Rules, now_ms: int | None = None) -> None:
        """``now_ms`` is the present: a planned shift that is not over has no marks yet."""
        self.store = store
        self.rules = rules
        self.now_ms = now_ms
        self.people = People(store, rules)
        self.attendance = Attendance(store, rules, now_ms)
        self.inside = WhoIsInside(store, rules)

    def marked(self, now_ms: int) -> Marked:
        """Return who is marked."""
        return who_is_marked(self.store, self.rules, now_ms)

    def person_ids(self, rows: Iterable[RecordRow | object]) -> dict[tuple[int, int], str]:
        """Return the ids of the people whom records are about, as :meth:`People.ids` does."""
        return self.people.ids(
            (row.person.identity_id, row.terminal_id)
            for row in rows
            if isinstance(row, RecordRow) and row.person is not None
        )


def rules_of(settings: ReceiverSettings) -> Rules:
    """Return how the settings want events to be read."""
    return Rules(scope=settings.people_scope, repeat_ms=round(settings.repeat_s * 1000))
