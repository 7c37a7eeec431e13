"""The receiver's API, a method a route. See :class:`Client`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

from msgspec.structs import replace

from gatepost.client.connection import Connection, Parameter
from gatepost.client.stream import Happened, happened
from gatepost.errors import ReceiverAway
from gatepost.fleet_items import (
    AdoptionItem,
    AdoptionRowItem,
    AuditItem,
    DiscoveryItem,
    ImportItem,
    JobItem,
    ManagedItem,
    ScanItem,
    SeenItem,
)
from gatepost.items import (
    AcknowledgedItem,
    AlarmItem,
    AttemptItem,
    DeadLetterItem,
    DestinationDetail,
    DestinationItem,
    DoneItem,
    ErasedItem,
    InsideItem,
    JoinedNumberItem,
    Listing,
    MarkedPersonItem,
    NameItem,
    PersonMarkItem,
    PreviewItem,
    RecordItem,
    RefusalItem,
    RemovedItem,
    ReplayItem,
    RotatedItem,
    SampleItem,
    SomeoneItem,
    StaffImportItem,
    StatsItem,
    TerminalDetail,
    TerminalItem,
    TrialItem,
    ViewItem,
    WhyItem,
)

__all__ = ["Client", "Exported", "Filter", "Format", "format_of"]

T = TypeVar("T")

Filter = str | int | bool | datetime | None
"""What a filter may be; ``None`` does not filter. A ``datetime`` without a zone is taken for UTC."""

Format = Literal["csv", "xlsx", "jsonl", "zip"]
"""``zip`` has the images."""

Exported = Literal["records", "alarms", "attendance", "inside"]

_SUFFIXES: dict[str, Format] = {"csv": "csv", "xlsx": "xlsx", "jsonl": "jsonl", "zip": "zip"}

_SILENCE_S = 45.0
"""The stream says something every 15 seconds."""

_BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)


def format_of(name: str) -> Format | None:
    """What a file of this name is to be: ``march.xlsx`` a workbook."""
    return _SUFFIXES.get(name.rpartition(".")[2].lower())


class Client:
    """A receiver, for one thread.

    ::

        with Client("https://gatepost.example.com", token) as receiver:
            for record in receiver.records(since="2024-05-01", passed=False):
                ...

    Every method may raise :class:`~gatepost.errors.ReceiverAway` and :class:`~gatepost.errors.RequestRefused`. Lists
    are read page by page while they are iterated over: nothing is skipped or repeated while events arrive. Filters
    are those of the API, by name. ``include="original"`` among them adds to events the JSON as it was pushed.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = 30.0,
        ca_file: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``token`` as ``gatepost tokens create`` printed it. Raises :class:`~gatepost.errors.SettingsError`."""
        self._connection = Connection(url, token, timeout_s=timeout_s, ca_file=ca_file)
        self._patient = Connection(url, token, timeout_s=max(timeout_s, _SILENCE_S), ca_file=ca_file)
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._connection.close()
        self._patient.close()

    def stats(self) -> StatsItem:
        """Counts of everything that was ever stored."""
        return self._connection.get("stats", StatsItem)

    # Records

    def records(
        self, *, order: Literal["newest", "oldest"] = "newest", **filters: Filter
    ) -> Iterator[RecordItem]:
        """Every record that the filters leave."""
        return self._all("records", RecordItem, {**_given(filters), "order": order})

    def records_page(
        self,
        *,
        order: Literal["newest", "oldest", "received"] = "newest",
        limit: int = 100,
        cursor: str | None = None,
        **filters: Filter,
    ) -> Listing[RecordItem]:
        """One page. In the order ``received`` it always has a cursor: what arrives later follows it, without a gap."""
        given = {**_given(filters), "order": order, "limit": limit, "cursor": cursor}
        return self._connection.get("records", Listing[RecordItem], given)

    def record(self, record_id: int, *, include: Literal["original"] | None = None) -> RecordItem:
        """Return one record; with ``include="original"`` the JSON as it was pushed is in it."""
        return self._connection.get(f"records/{record_id}", RecordItem, {"include": include})

    def image(self, record_id: int) -> bytes:
        """Return the portrait of a record: a JPEG, PNG, WebP or BMP."""
        return self._connection.body("GET", f"records/{record_id}/image")

    def thumbnail(self, record_id: int, *, size: int = 128) -> bytes:
        """The portrait, with at most ``size`` pixels (32 to 320) on its longer edge."""
        return self._connection.body("GET", f"records/{record_id}/thumbnail", {"size": size})

    # Alarms

    def alarms(self, **filters: Filter) -> Iterator[AlarmItem]:
        """Every alarm that the filters leave, newest first."""
        return self._all("alarms", AlarmItem, _given(filters))

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
        return self._connection.send("POST", "alarms/acknowledge", AcknowledgedItem, order, _given(filters))

    def acknowledge_all(self, *, up_to: int, note: str = "", **filters: Filter) -> int:
        """Acknowledge all alarms that the filters choose; ``up_to`` is told by :meth:`alarms_to_acknowledge`.

        At most 10,000; returns how many.
        """
        order = {"up_to": up_to, "note": note}
        done = self._connection.send("POST", "alarms/acknowledge", AcknowledgedItem, order, _given(filters))
        return done.alarms

    def close_alarm(self, alarm_id: int, *, note: str) -> AlarmItem:
        """Close an open alarm whose terminal does not clear it. It cannot be opened again. Needs the role operator."""
        return self._connection.send("POST", f"alarms/{alarm_id}/close", AlarmItem, {"note": note})

    # Views

    def views(self, page: str | None = None) -> Iterator[ViewItem]:
        """Return the views that the token's user sees, of all pages or of one."""
        return self._pages("views", ViewItem, _given({"page": page}))

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

    # Terminals

    def terminals(self, **filters: Filter) -> Iterator[TerminalItem]:
        """In the order in which they appeared; ``state``, ``site`` and ``site_id`` filter."""
        return self._all("terminals", TerminalItem, _given(filters))

    def terminal(self, terminal_id: int) -> TerminalDetail:
        return self._connection.get(f"terminals/{terminal_id}", TerminalDetail)

    def create_terminal(self, **values: Any) -> TerminalItem:
        """Make one before it pushes: ``serial``, ``name``, ``site_id``, ``timezone``, ``networks``, ``token``.

        ``address`` of the answer is what to set as its ``event_dest``; it is not told again. Needs the role admin.
        """
        return self._connection.send("POST", "terminals", TerminalItem, values)

    def change_terminal(self, terminal_id: int, **values: Any) -> TerminalItem:
        """Set any of ``serial``, ``name``, ``site_id``, ``timezone``, ``networks``, ``state``. Needs the role admin."""
        return self._connection.send("PATCH", f"terminals/{terminal_id}", TerminalItem, values)

    def approve_terminal(self, terminal_id: int) -> TerminalItem:
        """List what it sent while it was held, and what it will send. Needs the role operator."""
        return self._connection.send("POST", f"terminals/{terminal_id}/approve", TerminalItem, {})

    def retire_terminal(self, terminal_id: int) -> TerminalItem:
        """Refuse what it pushes from now on. Needs the role admin."""
        return self._connection.send("POST", f"terminals/{terminal_id}/retire", TerminalItem, {})

    def approve_terminals(self, terminals: Sequence[int]) -> list[TerminalItem]:
        """Approve several, all or none. Needs the role operator."""
        return self._connection.send(
            "POST", "terminals/approve", Listing[TerminalItem], {"terminals": terminals}
        ).items

    def change_terminals(self, changes: Mapping[int, Mapping[str, Any]]) -> list[TerminalItem]:
        """Change several, by id, as :meth:`change_terminal` does; all or none. Needs the role admin."""
        told = [{"id": which, **values} for which, values in changes.items()]
        return self._connection.send("PATCH", "terminals", Listing[TerminalItem], {"terminals": told}).items

    def name_terminals(self, content: bytes, *, save: bool) -> list[NameItem]:
        """Check a CSV list of serials and names; ``save``: name the terminals. Needs the role admin."""
        body = self._connection.body("POST", "terminals/names", {"save": save}, content)
        return self._connection.decoded(body, Listing[NameItem]).items

    def delete_terminals(self, terminals: Sequence[int]) -> RemovedItem:
        """Delete several that are retired, with everything that they sent; all or none. Needs the role admin."""
        return self._patient.send("POST", "terminals/delete", RemovedItem, {"terminals": terminals})

    def rotate_token(self, terminal_id: int) -> TerminalItem:
        """Give it another ``address``, told once; the one before counts no more. Needs the role admin."""
        return self._connection.send("POST", f"terminals/{terminal_id}/token", TerminalItem, {})

    def backfill(self, terminal_id: int, *, since: datetime, until: datetime | None = None) -> JobItem:
        """Fetch the records of an adopted terminal that are not here. Alarms cannot be had. Needs the role admin."""
        values = {"since": since.isoformat(), "until": None if until is None else until.isoformat()}
        return self._connection.send("POST", f"fleet/{terminal_id}/backfill", JobItem, values)

    def fleet_jobs(self, **filters: Filter) -> Iterator[JobItem]:
        """Return what is fetched from terminals, and what is proposed; ``terminal`` filters. Needs the role admin."""
        return self._all("fleet/jobs", JobItem, _given(filters))

    def fleet_job(self, job_id: int) -> JobItem:
        """Return how far a job is. Needs the role admin."""
        return self._connection.get(f"fleet/jobs/{job_id}", JobItem)

    def turn_fleet_job(self, job_id: int, verb: Literal["pause", "resume", "cancel"]) -> JobItem:
        """Pause, resume or cancel a job; ``resume`` also starts a proposal. Needs the role admin."""
        return self._connection.send("POST", f"fleet/jobs/{job_id}/{verb}", JobItem, {})

    def fleet_audit(self, terminal_id: int, *, count_now: bool = False) -> list[AuditItem]:
        """Return how many records a terminal has of each day, and how many are here. Needs the role admin.

        ``count_now``: the terminal is asked; without it, what the daily audit counted.
        """
        if count_now:
            return self._patient.send("POST", f"fleet/{terminal_id}/audit", Listing[AuditItem], {}).items
        return self._connection.get(f"fleet/{terminal_id}/audit", Listing[AuditItem]).items

    def refusals(self, **filters: Filter) -> Iterator[RefusalItem]:
        """Return the refused pushes, newest first; ``status``, ``peer`` and ``serial`` filter."""
        return iter(self._connection.get("refusals", Listing[RefusalItem], _given(filters)).items)

    def refusal_sample(self, sample_id: int) -> SampleItem:
        """Return the beginning of a refused body. Needs the role admin."""
        return self._connection.get(f"refusals/samples/{sample_id}", SampleItem)

    def why(self, *, terminal: str | None = None, address: str | None = None) -> WhyItem:
        """Return why nothing arrives of a terminal, or from an address, and what to do next."""
        return self._connection.get("fleet/why", WhyItem, _given({"terminal": terminal, "address": address}))

    # Terminals to be adopted. All of it needs the role admin, of every site.

    def discover(self) -> DiscoveryItem:
        """Return terminals that announce themselves; the receiver listens for 30 seconds after each call."""
        return self._connection.send("POST", "fleet/discover", DiscoveryItem, {})

    def begin_scan(self, networks: Sequence[str]) -> ScanItem:
        """Have networks scanned for terminals; :meth:`scan` tells how far it is."""
        return self._connection.send("POST", "fleet/scan", ScanItem, {"networks": networks})

    def scan(self) -> ScanItem:
        """Return the scan that runs, or the last one."""
        return self._connection.get("fleet/scan", ScanItem)

    def end_scan(self) -> None:
        """End the scan that runs."""
        self._connection.body("DELETE", "fleet/scan")

    def import_terminals(self, content: bytes, *, adopt: bool) -> ImportItem:
        """Check a CSV file of terminals; ``adopt``: have them adopted, if nothing is wrong in it."""
        body = self._connection.body("POST", "fleet/import", {"adopt": adopt}, content)
        return self._connection.decoded(body, ImportItem)

    def people(self, **filters: Filter) -> Iterator[SomeoneItem]:
        """Return the people who have been seen; ``q``, ``site``, ``group`` and ``type`` filter."""
        return self._all("people", SomeoneItem, _given(filters))

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
            given = {**_given(filters), "cursor": cursor}
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
        """Erase whoever has a number, at one site or at all of them. It cannot be taken back. Needs the role admin."""
        order = {"user_id": user_id, "site_id": site_id, "terminal_id": terminal_id}
        return self._connection.send("POST", "people/erase", ErasedItem, order)

    # Forwarding: all of it needs the role admin, and every site

    def destinations(self) -> Iterator[DestinationItem]:
        """Return the destinations, by name."""
        return self._pages("destinations", DestinationItem)

    def destination(self, destination_id: int) -> DestinationDetail:
        """Return one destination with its replays."""
        return self._connection.get(f"destinations/{destination_id}", DestinationDetail)

    def create_destination(self, **values: Any) -> DestinationDetail:
        """Make one: ``name``, ``kind``, ``url``, and what of ``filter``, ``shape``, ``order``, ``secret`` … is wanted.

        Without a ``secret`` one is made for a webhook: it is in the answer, and not told again.
        """
        return self._connection.send("POST", "destinations", DestinationDetail, values)

    def change_destination(self, destination_id: int, **values: Any) -> DestinationDetail:
        """Set what is given; ``filter`` is replaced as a whole."""
        return self._connection.send("PATCH", f"destinations/{destination_id}", DestinationDetail, values)

    def delete_destination(self, destination_id: int) -> None:
        """Delete a destination with its replays and dead letters, or one replay."""
        self._connection.body("DELETE", f"destinations/{destination_id}")

    def test_destination(self, destination_id: int) -> TrialItem:
        """Send a made-up event, marked as a test."""
        return self._connection.send("POST", f"destinations/{destination_id}/test", TrialItem, {})

    def preview_destination(self, **values: Any) -> PreviewItem:
        """Return the latest event that a ``filter`` chooses in a ``shape``; nothing is sent."""
        return self._connection.send("POST", "destinations/preview", PreviewItem, values)

    def pause_destination(self, destination_id: int) -> DestinationDetail:
        """Let what arrives wait."""
        return self._connection.send("POST", f"destinations/{destination_id}/pause", DestinationDetail, {})

    def resume_destination(self, destination_id: int) -> DestinationDetail:
        """Go on, also where the destination said that it wants no more."""
        return self._connection.send("POST", f"destinations/{destination_id}/resume", DestinationDetail, {})

    def rotate_destination(self, destination_id: int, **values: Any) -> RotatedItem:
        """Give it another ``secret``, made here if none is given; those before are valid for ``keep_s`` (a day)."""
        return self._connection.send("POST", f"destinations/{destination_id}/rotate", RotatedItem, values)

    def replay_destination(self, destination_id: int, *, since: Filter, **values: Any) -> ReplayItem:
        """Send it what was received from ``since`` to ``until`` again; see ``filter`` and ``rate``, events a second."""
        order = _given({"since": since, **values})
        return self._connection.send("POST", f"destinations/{destination_id}/replay", ReplayItem, order)

    def destination_attempts(self, destination_id: int) -> Iterator[AttemptItem]:
        """Return the latest 1,000 attempts, the latest first."""
        return self._pages(f"destinations/{destination_id}/attempts", AttemptItem)

    def dead_letters(self, destination_id: int) -> Iterator[DeadLetterItem]:
        """Return the events that a destination refused for good."""
        return self._all(f"destinations/{destination_id}/dead", DeadLetterItem, {})

    def retry_dead_letters(self, destination_id: int, events: Sequence[int] | None = None) -> int:
        """Try dead letters again, these or all of them; return how many."""
        return self._decide(destination_id, "retry", events)

    def drop_dead_letters(self, destination_id: int, events: Sequence[int] | None = None) -> int:
        """Give dead letters up, these or all of them; return how many."""
        return self._decide(destination_id, "drop", events)

    def _decide(self, destination_id: int, verb: str, events: Sequence[int] | None) -> int:
        order = {"all": True} if events is None else {"events": list(events)}
        return self._connection.send("POST", f"destinations/{destination_id}/{verb}", DoneItem, order).events

    # Managed terminals

    def managed(self) -> Iterator[ManagedItem]:
        """Return the adopted terminals."""
        return self._pages("fleet", ManagedItem)

    def managed_terminal(self, terminal_id: int) -> ManagedItem:
        """Return one adopted terminal."""
        return self._connection.get(f"fleet/{terminal_id}", ManagedItem)

    def look(self, address: str) -> SeenItem:
        """Return who is at an address. No password is sent."""
        return self._connection.send("POST", "fleet/look", SeenItem, {"address": address})

    def adopt(self, address: str, username: str, password: str, **values: Any) -> ManagedItem:
        """Adopt a terminal; see ``serial``, ``certificate``, ``name`` and ``site_id``."""
        order = {"address": address, "username": username, "password": password, **values}
        return self._patient.send("POST", "fleet/adopt", ManagedItem, order)

    def verify(self, terminal_id: int) -> ManagedItem:
        """Look at an adopted terminal now."""
        return self._patient.send("POST", f"fleet/{terminal_id}/verify", ManagedItem, {})

    def resume_terminal(self, terminal_id: int) -> ManagedItem:
        """Look at a stopped or contested terminal again."""
        return self._patient.send("POST", f"fleet/{terminal_id}/resume", ManagedItem, {})

    def release(self, terminal_id: int, *, give_back: bool = True) -> ManagedItem:
        """Manage a terminal no more; it pushes to where it pushed before, unless ``give_back`` is false."""
        order = {"give_back": give_back}
        return self._patient.send("POST", f"fleet/{terminal_id}/release", ManagedItem, order)

    def adopt_many(self, terminals: Sequence[Mapping[str, Any]]) -> AdoptionItem:
        """Order terminals to be adopted, each with ``address``, ``username`` and ``password``."""
        return self._connection.send("POST", "fleet/adoptions", AdoptionItem, {"terminals": list(terminals)})

    def adoptions(self) -> Iterator[AdoptionItem]:
        """Return the adoptions of many that are kept, the latest first."""
        return self._pages("fleet/adoptions", AdoptionItem)

    def adoption(self, adoption_id: int) -> AdoptionItem:
        """Return how far an adoption of many is."""
        return self._connection.get(f"fleet/adoptions/{adoption_id}", AdoptionItem)

    def adoption_rows(self, adoption_id: int) -> Iterator[AdoptionRowItem]:
        """Return how it went with each terminal of an adoption."""
        after = 0
        while True:
            given = {"after": after, "limit": 500}
            page = self._connection.get(
                f"fleet/adoptions/{adoption_id}/rows", Listing[AdoptionRowItem], given
            )
            yield from page.items
            if not page.items:
                return
            after = page.items[-1].number

    # Streams

    def export(
        self, what: Exported = "records", *, format: Format = "csv", **options: Filter
    ) -> Iterator[bytes]:
        """A file in pieces; ``options`` are filters, ``columns``, ``lang`` and ``tz``. Needs the role operator.

        ``attendance`` wants to know which days: ``day``, ``month``, or ``first`` and ``last``.

        Raises :class:`~gatepost.errors.ReceiverAway` where it breaks off: the pieces so far are no whole file.
        """
        return self._patient.pieces(f"{what}/export", {**_given(options), "format": format})

    def live(self, *, after: int | None = None, **filters: Filter) -> Iterator[Happened]:
        """What arrives, as it arrives, for ever; from a place on (:attr:`Happened.id`) without a gap or a repeat.

        Where the connection breaks, it is opened again and goes on behind what was yielded last.
        :class:`~gatepost.errors.RequestRefused` is raised, and so is a receiver that cannot be reached at first.
        """
        place, failures = after, 0
        reached = False
        while True:
            headers = {} if place is None else {"Last-Event-ID": str(place)}
            try:
                for one in happened(self._patient.lines("live", _given(filters), headers)):
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

    def _all(self, path: str, kind: type[T], parameters: Mapping[str, Parameter]) -> Iterator[T]:
        return self._pages(path, kind, {"limit": 500, **parameters})

    def _pages(
        self, path: str, kind: type[T], parameters: Mapping[str, Parameter] | None = None
    ) -> Iterator[T]:
        cursor: str | None = None
        while True:
            given = {**(parameters or {}), "cursor": cursor}
            page = self._connection.get(path, Listing[kind], given)  # type: ignore[valid-type]
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return


def _given(filters: Mapping[str, Filter]) -> dict[str, Parameter]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()
    }
