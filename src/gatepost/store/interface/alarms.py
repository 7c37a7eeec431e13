"""Read alarms, acknowledge and close them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gatepost.store.types.events import AlarmRow, AlarmStepRow
from gatepost.store.types.lists import AlarmCounts, Counted, Page, ToAcknowledge
from gatepost.store.types.queries import AlarmQuery

__all__ = ["AlarmStore"]


class AlarmStore(Protocol):
    """See the module and :class:`~gatepost.store.interface.Store`."""

    def alarms(self, query: AlarmQuery) -> Page[AlarmRow]: ...

    def alarm_counts(self) -> AlarmCounts:
        """Count the open alarms of terminals that are not held."""

    def alarm(self, alarm_id: int) -> AlarmRow | None: ...

    def acknowledge_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        """Note that a person looked at it. False if there is no such alarm; the latest note counts."""

    def count_alarms(self, query: AlarmQuery) -> Counted:
        """Count the alarms of a query, up to 10,000."""

    def alarms_to_acknowledge(self, query: AlarmQuery) -> ToAcknowledge:
        """Count the alarms of a query that are not acknowledged."""

    def acknowledge_alarms(
        self, which: AlarmQuery | Sequence[int], *, by: str, note: str, now_ms: int
    ) -> int:
        """Acknowledge those alarms that are not acknowledged, of a query or with these ids; return how many.

        Raises ``ValueError`` for a query that chooses more than may be acknowledged at once.
        """

    def close_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        """Close an alarm whose terminal does not clear it. It is cleared then, and acknowledged.

        False if there is no such alarm, or it is not open. What its terminal reports later joins its history.
        """

    def alarm_steps_by_id(self, ids: Sequence[int]) -> list[AlarmStepRow]:
        """Return those of them that there are, in no order."""
