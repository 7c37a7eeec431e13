"""Gather what is known of a terminal whose events do not arrive, for :mod:`gatepost.fleet.why`.

Rules:

* Only what the user may see is looked at; a terminal of another site is as if it did not exist.
* Nothing is sent to a terminal: what its own service said last is stored by who tends it, or handed in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.fleet.client import checked_address
from gatepost.fleet.why import Facts, Finding, Known, Looked, Managed, Refused, findings, next_of
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.receiver.terminals.presence import backlog_arriving, last_heard, presence
from gatepost.store.interface import RefusedRow, TerminalRow
from gatepost.store.questions import UserStore
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.fleet import Adopted

__all__ = ["Diagnosis", "Told"]


class Told(Struct, frozen=True, kw_only=True):
    """Hold what was found about a terminal, or about an address at which none is known."""

    asked: str
    terminal: TerminalRow | None
    findings: list[Finding]

    @property
    def next(self) -> Finding | None:
        """The finding that has to be mended first."""
        return next_of(self.findings)


class Diagnosis:
    """Tells why nothing arrives. Every method blocks; any thread may call it."""

    def __init__(
        self,
        adopted: Adopted,
        lag: Callable[[], Lag],
        heard: Mapping[int, int],
        *,
        now: Callable[[], float],
    ) -> None:
        """``heard``: when terminals last pushed, in milliseconds; ``now`` returns Unix seconds."""
        self._adopted = adopted
        self._lag = lag
        self._heard = heard
        self._now = now

    def of_terminal(self, store: UserStore, asked: str) -> Told:
        """Tell of the terminal with a serial, a name or a number. Raises ``ValueError`` where several are meant."""
        rows = [row for row in map(store.terminal, store.terminals_named(asked)) if row is not None]
        if len(rows) > 1:
            raise ValueError(f"{len(rows)} terminals are called {asked}; give the serial of one")
        row = rows[0] if rows else None
        managed = None if row is None else self._adopted.one(row.id)
        return self._told(store, asked, row, managed)

    def of_address(self, store: UserStore, asked: str, looked: Looked | None = None) -> Told:
        """Tell of the terminal at an address: the adopted one, else the one that pushed from there last.

        Several may be at one host, each at a port of its own: where a port is given, that one is meant. ``looked``:
        what replied there just now; it says which terminal that is. Raises ``ValueError`` for what is no address.
        """
        host, place = _host(asked), _place(asked)
        all_there = [one for one in self._adopted.all() if _host(one.address) == host]
        exact = [one for one in all_there if _place(one.address) == place]
        for managed in exact or ([] if _has_port(asked) else all_there):
            if (row := store.terminal(managed.terminal_id)) is not None:
                return self._told(store, asked, row, managed, host)
        rows = store.terminals()
        if looked is not None and looked.serial is not None:
            there = [row for row in rows if row.serial == looked.serial]
            there = there or [row for row in rows if row.serial is None and row.anonymous_peer == host]
        else:
            there = [row for row in rows if host in (row.peer, row.anonymous_peer)]
        row = max(there, key=lambda one: (one.last_seen is not None, one.last_seen, one.id), default=None)
        adopted = None if row is None else self._adopted.one(row.id)
        return self._told(store, asked, row, adopted, host, looked)

    def of_each(self, store: UserStore, rows: Sequence[TerminalRow]) -> dict[int, Told]:
        """Tell of several terminals, by their ids."""
        managed = {one.terminal_id: one for one in self._adopted.all()}
        refused = _Refusals(store.refused())
        return {
            row.id: self._found(row.serial or f"#{row.id}", row, managed.get(row.id), refused.of(row))
            for row in rows
        }

    def _told(
        self,
        store: UserStore,
        asked: str,
        row: TerminalRow | None,
        managed: AdoptedRow | None,
        host: str | None = None,
        looked: Looked | None = None,
    ) -> Told:
        every = store.refused()
        if row is None:
            refused = [one for one in every if one.peer == host or one.serial == asked]
        else:
            refused = _Refusals(every).of(row, host)
        return self._found(asked, row, managed, refused, looked)

    def _found(
        self,
        asked: str,
        row: TerminalRow | None,
        managed: AdoptedRow | None,
        refused: Iterable[RefusedRow],
        looked: Looked | None = None,
    ) -> Told:
        now, lag = datetime.fromtimestamp(self._now(), UTC), self._lag()
        facts = Facts(
            asked=asked,
            now=now,
            known=None if row is None else _known(row, managed, self._heard.get(row.id), now),
            managed=None if managed is None else _managed(managed),
            looked=looked,
            refused=tuple(
                Refused(reason=one.reason, peer=one.peer, path=one.path, count=one.count, last_at=one.last_at)
                for one in refused
            ),
            unlisted=lag.events,
            unlisted_s=lag.oldest_s,
            is_store_away=lag.is_away,
        )
        return Told(asked=asked, terminal=row, findings=findings(facts))


class _Refusals:
    """Refused pushes by whose they are: of a serial, or without one of an address."""

    def __init__(self, rows: Iterable[RefusedRow]) -> None:
        self._rows: defaultdict[tuple[str | None, str], list[RefusedRow]] = defaultdict(list)
        for one in rows:
            self._rows[(None, one.peer) if one.serial is None else (one.serial, "")].append(one)

    def of(self, row: TerminalRow, host: str | None = None) -> list[RefusedRow]:
        """Return those of a terminal; ``host``: where it should be."""
        places = {place for place in (row.peer, row.anonymous_peer, host) if place}
        keys = [(None, place) for place in sorted(places)] + ([(row.serial, "")] if row.serial else [])
        return [one for key in keys for one in self._rows.get(key, [])]


def _host(address: str) -> str:
    try:
        return urlsplit(checked_address(address)).hostname or ""
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _place(address: str) -> tuple[str, int | None]:
    """Return host and port of an address, whichever way it is asked."""
    parts = urlsplit(checked_address(address))
    return parts.hostname or "", parts.port


def _has_port(asked: str) -> bool:
    return urlsplit(asked if "://" in asked else f"https://{asked}").port is not None


def _known(row: TerminalRow, managed: AdoptedRow | None, heard_ms: int | None, now: datetime) -> Known:
    last_seen = last_heard(row.last_seen, heard_ms)
    clock_error_ms = row.clock_error_ms
    if clock_error_ms is None and managed is not None:
        clock_error_ms = managed.clock_error_ms
    return Known(
        state=row.state,
        presence=presence(last_seen, row.interval_ms, now=now),
        last_seen=last_seen,
        interval_s=None if row.interval_ms is None else row.interval_ms / 1000,
        clock_error_s=None if clock_error_ms is None else clock_error_ms / 1000,
        has_backlog=backlog_arriving(row.late_at, now=now),
        repeated_ids=row.repeated_ids,
        unusable_ids=row.unusable_ids,
    )


def _managed(row: AdoptedRow) -> Managed:
    return Managed(
        address=row.address,
        state=row.state,  # type: ignore[arg-type]  # as it is stored
        found=row.found,
        said=row.said or "",
        shown=row.shown or "",
        has_account=row.secrets is not None,
        looked_at=row.looked_at,
        set_at=row.set_at,
    )
