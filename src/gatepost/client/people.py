"""Call the API about people: who there is, who is inside, marks, joined numbers, erasure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from msgspec.structs import replace

from gatepost.client.calls import Calls, Filter, parameters_of
from gatepost.items import (
    ErasedItem,
    InsideItem,
    JoinedNumberItem,
    MarkedPersonItem,
    PersonMarkItem,
    SomeoneItem,
    StaffImportItem,
)

__all__ = ["PeopleCalls"]


class PeopleCalls(Calls):
    """People."""

    def people(self, **filters: Filter) -> Iterator[SomeoneItem]:
        """Return the people who have been seen; ``q``, ``site``, ``group`` and ``type`` filter."""
        return self._all("people", SomeoneItem, parameters_of(filters))

    def erase_person(self, person_id: str) -> ErasedItem:
        """Erase a person by the ``id`` of :meth:`people`. It cannot be taken back. Needs the role admin."""
        return self._connection.send("POST", f"people/{quote(person_id, safe='')}/erase", ErasedItem, {})

    def import_people(self, csv: str, *, site_id: int | None = None, check: bool = False) -> StaffImportItem:
        """Store names and departments for numbers, or check what that would do. Needs the role operator."""
        order = {"csv": csv, "site_id": site_id, "check": check}
        return self._connection.send("POST", "people/import", StaffImportItem, order)

    def inside(self, **filters: Filter) -> InsideItem:
        """Return who is inside, all pages; ``site``, ``at``, ``group`` and ``kind`` filter."""
        found: InsideItem | None = None
        cursor: str | None = None
        while True:
            given = {**parameters_of(filters), "cursor": cursor}
            page = self._connection.get("inside", InsideItem, given)
            found = page if found is None else replace(found, items=[*found.items, *page.items])
            cursor = page.next_cursor
            if cursor is None:
                return replace(found, next_cursor=None)

    def marked(self) -> Iterator[MarkedPersonItem]:
        """Return the marked people, the latest first."""
        return self._pages("people/marked", MarkedPersonItem)

    def mark_person(
        self, person_id: str, reason: str, *, until: datetime | str | None = None
    ) -> PersonMarkItem:
        """Mark a person by the ``id`` of :meth:`people`. Needs the role operator."""
        order = {"reason": reason, "until": until}
        return self._connection.send("PUT", f"people/{quote(person_id, safe='')}/mark", PersonMarkItem, order)

    def unmark_person(self, person_id: str) -> None:
        """Take the mark of a person away. Needs the role operator."""
        self._connection.body("DELETE", f"people/{quote(person_id, safe='')}/mark")

    def joined_numbers(self, person_id: str) -> Iterator[JoinedNumberItem]:
        """Return the numbers of a joined person."""
        return self._pages(f"people/{quote(person_id, safe='')}/joined", JoinedNumberItem)

    def join_people(self, person_id: str, other_id: str) -> SomeoneItem:
        """Say that two people are one, and return that one. Needs the role operator."""
        path = f"people/{quote(person_id, safe='')}/joined"
        return self._connection.send("POST", path, SomeoneItem, {"other_id": other_id})

    def part_person(self, person_id: str, number_id: int) -> None:
        """Part a number of :meth:`joined_numbers` from a joined person. Needs the role operator."""
        self._connection.body("DELETE", f"people/{quote(person_id, safe='')}/joined/{number_id}")

    def erase_number(
        self, user_id: str, *, site_id: int | None = None, terminal_id: int | None = None
    ) -> ErasedItem:
        """Erase the people with a number, at one site or at all of them. It cannot be undone. Needs the role admin."""
        order = {"user_id": user_id, "site_id": site_id, "terminal_id": terminal_id}
        return self._connection.send("POST", "people/erase", ErasedItem, order)
