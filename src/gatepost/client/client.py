"""The receiver's API, a method a route. See :class:`Client`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from gatepost.client.calls import Filter, parameters_of
from gatepost.client.destinations import DestinationCalls
from gatepost.client.fleet import FleetCalls
from gatepost.client.people import PeopleCalls
from gatepost.client.stream import Happened, happened
from gatepost.client.terminals import TerminalCalls
from gatepost.errors import ReceiverAway
from gatepost.items import (
    AcknowledgedItem,
    AlarmItem,
    Listing,
    RecordItem,
    StatsItem,
    ViewItem,
)

__all__ = ["Client", "Exported", "Filter", "Format", "format_of"]

Format = Literal["csv", "xlsx", "jsonl", "zip"]
"""``zip`` has the images."""

Exported = Literal["records", "alarms", "attendance", "inside"]

_SUFFIXES: dict[str, Format] = {"csv": "csv", "xlsx": "xlsx", "jsonl": "jsonl", "zip": "zip"}

_BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)


def format_of(name: str) -> Format | None:
    """Return the format that the name of a file says: ``march.xlsx`` is a workbook."""
    return _SUFFIXES.get(name.rpartition(".")[2].lower())


class Client(TerminalCalls, FleetCalls, PeopleCalls, DestinationCalls):
    """A receiver, for one thread.

    ::

        with Client("https://gatepost.example.com", token) as receiver:
            for record in receiver.records(since="2024-05-01", passed=False):
                ...

    Every method may raise :class:`~gatepost.errors.ReceiverAway` and :class:`~gatepost.errors.RequestRefused`. Lists
    are read page by page while they are iterated over: nothing is skipped or repeated while events arrive. Filters
    are those of the API, by name. ``include="original"`` among them adds to events the JSON as it was pushed.
    """

    def stats(self) -> StatsItem:
        """Return counts of everything that was ever stored."""
        return self._connection.get("stats", StatsItem)

    # Records

    def records(
        self, *, order: Literal["newest", "oldest"] = "newest", **filters: Filter
    ) -> Iterator[RecordItem]:
        """Every record that the filters leave."""
        return self._all("records", RecordItem, {**parameters_of(filters), "order": order})

    def records_page(
        self,
        *,
        order: Literal["newest", "oldest", "received"] = "newest",
        limit: int = 100,
        cursor: str | None = None,
        **filters: Filter,
    ) -> Listing[RecordItem]:
        """One page. In the order ``received`` it always has a cursor: what arrives later follows it, without a gap."""
        given = {**parameters_of(filters), "order": order, "limit": limit, "cursor": cursor}
        return self._connection.get("records", Listing[RecordItem], given)

    def record(self, record_id: int, *, include: Literal["original"] | None = None) -> RecordItem:
        """Return one record; with ``include="original"`` the JSON as it was pushed is in it."""
        return self._connection.get(f"records/{record_id}", RecordItem, {"include": include})

    def image(self, record_id: int) -> bytes:
        """Return the portrait of a record: a JPEG, PNG, WebP or BMP."""
        return self._connection.body("GET", f"records/{record_id}/image")

    def thumbnail(self, record_id: int, *, size: int = 128) -> bytes:
        """Return the portrait, with at most ``size`` pixels (32 to 320) on its longer edge."""
        return self._connection.body("GET", f"records/{record_id}/thumbnail", {"size": size})

    # Alarms

    def alarms(self, **filters: Filter) -> Iterator[AlarmItem]:
        """Every alarm that the filters leave, newest first."""
        return self._all("alarms", AlarmItem, parameters_of(filters))

    def alarm(self, alarm_id: int, *, include: Literal["original"] | None = None) -> AlarmItem:
        """Return one alarm; with ``include="original"`` the JSON of each report as it was pushed is in it."""
        return self._connection.get(f"alarms/{alarm_id}", AlarmItem, {"include": include})

    def acknowledge(self, alarm_id: int, *, note: str = "") -> AlarmItem:
        """Say that somebody has looked at it. Needs the role operator."""
        return self._connection.send("POST", f"alarms/{alarm_id}/acknowledge", AlarmItem, {"note": note})

    def acknowledge_many(self, alarms: Sequence[int], *, note: str = "") -> int:
        """Acknowledge up to 1,000 alarms by their ids; return how many were not acknowledged before."""
        order = {"alarms": list(alarms), "note": note}
        return self._connection.send("POST", "alarms/acknowledge", AcknowledgedItem, order).alarms

    def alarms_to_acknowledge(self, **filters: Filter) -> AcknowledgedItem:
        """Count what :meth:`acknowledge_all` with the same filters would acknowledge."""
        order = {"check": True}
        return self._connection.send(
            "POST", "alarms/acknowledge", AcknowledgedItem, order, parameters_of(filters)
        )

    def acknowledge_all(self, *, up_to: int, note: str = "", **filters: Filter) -> int:
        """Acknowledge all alarms that the filters choose; ``up_to`` is told by :meth:`alarms_to_acknowledge`.

        At most 10,000; returns how many.
        """
        order = {"up_to": up_to, "note": note}
        done = self._connection.send(
            "POST", "alarms/acknowledge", AcknowledgedItem, order, parameters_of(filters)
        )
        return done.alarms

    def close_alarm(self, alarm_id: int, *, note: str) -> AlarmItem:
        """Close an open alarm whose terminal does not clear it. It cannot be opened again. Needs the role operator."""
        return self._connection.send("POST", f"alarms/{alarm_id}/close", AlarmItem, {"note": note})

    # Views

    def views(self, page: str | None = None) -> Iterator[ViewItem]:
        """Return the views that the token's user sees, of all pages or of one."""
        return self._pages("views", ViewItem, parameters_of({"page": page}))

    def save_view(
        self, page: str, name: str, filters: Mapping[str, str], *, shared: bool = False
    ) -> ViewItem:
        """Save the filters of a page. To share it needs the role operator."""
        order = {"page": page, "name": name, "filters": dict(filters), "shared": shared}
        return self._connection.send("POST", "views", ViewItem, order)

    def change_view(self, view_id: int, **values: Any) -> ViewItem:
        """Set any of ``name``, ``filters``, ``shared`` and ``start``."""
        return self._connection.send("PATCH", f"views/{view_id}", ViewItem, values)

    def delete_view(self, view_id: int) -> None:
        """Delete a view of one's own, or that one shared; an administrator also one that another user shared."""
        self._connection.body("DELETE", f"views/{view_id}")

    # Streams

    def export(
        self, what: Exported = "records", *, format: Format = "csv", **options: Filter
    ) -> Iterator[bytes]:
        """Return a file in pieces; ``options`` are filters, ``columns``, ``lang`` and ``tz``. Needs the role operator.

        ``attendance`` wants to know which days: ``day``, ``month``, or ``first`` and ``last``.

        Raises :class:`~gatepost.errors.ReceiverAway` where it breaks off: the pieces so far are no whole file.
        """
        return self._patient.pieces(f"{what}/export", {**parameters_of(options), "format": format})

    def live(self, *, after: int | None = None, **filters: Filter) -> Iterator[Happened]:
        """Yield events as they arrive, for ever; from a place on (:attr:`Happened.id`) without a gap or a repeat.

        Where the connection breaks, it is opened again and goes on behind what was yielded last.
        :class:`~gatepost.errors.RequestRefused` is raised, and so is a receiver that cannot be reached at first.
        """
        place, failures = after, 0
        reached = False
        while True:
            headers = {} if place is None else {"Last-Event-ID": str(place)}
            try:
                for one in happened(self._patient.lines("live", parameters_of(filters), headers)):
                    reached, failures, place = True, 0, one.id
                    if one.kind is not None:
                        yield one
            except ReceiverAway as error:
                if not reached:
                    raise
                self._sleep(error.retry_after_s or _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
                failures += 1
            else:
                self._sleep(_BACK_OFF_S[0])  # the receiver ended it: it stops, or we were too slow
