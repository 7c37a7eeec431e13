"""Collect the numbers that receiver, store, destinations and fleet have, when ``/metrics`` is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import get_args

from msgspec import structs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gatepost import __version__
from gatepost.errors import StoreUnavailable
from gatepost.fleet.managing import Fleet
from gatepost.fleet.tending.decisions import Found
from gatepost.fleet_items import ManagedState
from gatepost.forward.forwarding import Forwarding
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.receiver.jobs.retention import RetentionJob
from gatepost.receiver.observability.silent_receivers import silent
from gatepost.receiver.processes.gauges import REPLY_SECONDS, ReplyTimes
from gatepost.receiver.processes.ingests import Ingests
from gatepost.receiver.terminals.presence import Presence, last_heard, presence
from gatepost.store.forwarding.destinations import DestinationRow
from gatepost.store.interface import Store, TerminalRow
from gatepost.store.privacy.retention import PARTS

__all__ = [
    "MAX_DESTINATIONS",
    "MAX_TERMINALS",
    "DestinationsCollector",
    "FleetCollector",
    "ProcessesCollector",
    "StoreCollector",
]

MAX_TERMINALS = 5000
"""How many terminals have numbers of their own; ``gatepost_terminals`` counts all of them."""

MAX_DESTINATIONS = 1000
"""How many destinations have numbers."""


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help, value=value)


def _labelled(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    help: str,
    label: str,
    values: Iterable[tuple[str, float]],
) -> Metric:
    family = kind(name, help, labels=[label])
    for text, value in values:
        family.add_metric([text], value)
    return family


class ProcessesCollector(Collector):
    """Collect the numbers of ingests, projector and jobs."""

    def __init__(self, ingests: Ingests, projector: Projector, keeper: RetentionJob) -> None:
        self._ingests = ingests
        self._projector = projector
        self._keeper = keeper

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        gauges = self._ingests.gauges
        build = GaugeMetricFamily("gatepost_build_info", "Which gatepost this is.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield _labelled(
            CounterMetricFamily,
            "gatepost_events_refused",
            "Pushes that were refused.",
            "reason",
            sorted(gauges.refused.items()),
        )
        yield CounterMetricFamily(
            "gatepost_commit_failed_events",
            "Events that could not be written to the journal; none of them was acknowledged.",
            value=gauges.failed,
        )
        yield _gauge("gatepost_queue_events", "Events that wait for a sync.", gauges.waiting)
        yield from self._journal()
        yield _reply_times(gauges.replies)
        yield _gauge("gatepost_connections", "Open connections.", gauges.connections)
        yield _gauge("gatepost_bodies_bytes", "Bodies in memory, until their replies.", gauges.bodies_bytes)
        yield CounterMetricFamily(
            "gatepost_connections_shed",
            "Silent connections that gave way to newcomers.",
            value=gauges.guard.get("shed", 0),
        )
        yield from self._retention()

    def _journal(self) -> Iterable[Metric]:
        lag = self._projector.lag()
        yield _gauge(
            "gatepost_journal_events", "Events that are acknowledged and not listed yet.", lag.events
        )
        yield _gauge("gatepost_journal_bytes", "Bytes of the journal that are not listed yet.", lag.bytes)
        yield _gauge(
            "gatepost_journal_oldest_seconds", "How long the oldest event of the journal waits.", lag.oldest_s
        )
        yield CounterMetricFamily(
            "gatepost_journal_damaged",
            "Places in the journal that could not be read, and segments that were gone.",
            value=self._projector.damaged,
        )
        yield CounterMetricFamily(
            "gatepost_journal_set_aside",
            "Events that neither list nor quarantine took; each is a file in the journal's folder.",
            value=self._projector.set_aside,
        )

    def _retention(self) -> Iterable[Metric]:
        yield _labelled(
            CounterMetricFamily,
            "gatepost_retention_deleted",
            "What was deleted because its time was over, or because somebody was erased.",
            "part",
            [(part, self._keeper.deleted[part]) for part in (*PARTS, "erased")],
        )
        yield _gauge(
            "gatepost_retention_asks",
            "Parts of which something is due and waits until an administrator confirms it.",
            len(self._keeper.asks),
        )
        yield _gauge(
            "gatepost_retention_finished_timestamp_seconds",
            "When nothing was left to delete, last; 0: not yet.",
            self._keeper.finished_at or 0.0,
        )


def _reply_times(replies: ReplyTimes) -> Metric:
    """Return the histogram of reply times; its counts are of all up to each bound."""
    family = HistogramMetricFamily(
        "gatepost_reply_seconds", "How long pushes waited for their replies, refused ones too."
    )
    bounds = [*map(str, REPLY_SECONDS), "+Inf"]
    family.add_metric([], list(zip(bounds, accumulate(replies.counts), strict=True)), replies.seconds)
    return family


class StoreCollector(Collector):
    """Read what stands in the store, each time that the numbers are asked for."""

    def __init__(
        self,
        store: Store,
        ingests: Ingests,
        projector: Projector,
        now: Callable[[], float],
        *,
        per_terminal: bool,
    ) -> None:
        self._store = store
        self._per_terminal = per_terminal
        self._heard = ingests.heard
        self._projector = projector
        self._now = now

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        if self._projector.lag().is_away:
            return ()  # a database that hangs would keep whoever asks waiting
        try:
            return list(self._families())
        except StoreUnavailable:
            return ()

    def _families(self) -> Iterable[Metric]:
        yield _labelled(
            GaugeMetricFamily,
            "gatepost_store_bytes",
            "What the store takes on disk.",
            "part",
            self._store.sizes().items(),
        )
        stats = self._store.stats()
        yield _labelled(
            GaugeMetricFamily,
            "gatepost_open_alarms",
            "Alarms that are not cleared, by whether they are acknowledged.",
            "acknowledged",
            [
                ("false", stats.unacknowledged_alarms),
                ("true", stats.open_alarms - stats.unacknowledged_alarms),
            ],
        )
        now = self._now()
        yield _gauge(
            "gatepost_receivers_silent",
            "Receivers of this database that are silent; what they acknowledged may wait in their journals.",
            len(silent(self._store.receivers(), now=_moment(now))),
        )
        terminals = [
            structs.replace(row, last_seen=last_heard(row.last_seen, self._heard.get(row.id)))
            for row in self._store.terminals()
        ]
        seen = [(row, presence(row.last_seen, row.interval_ms, now=_moment(now))) for row in terminals]
        states = [state for _, state in seen]
        yield _labelled(
            GaugeMetricFamily,
            "gatepost_terminals",
            "Terminals, by whether they are heard of as usual.",
            "presence",
            [(state, states.count(state)) for state in get_args(Presence)],
        )
        if self._per_terminal:
            yield from _by_terminal(seen[:MAX_TERMINALS])


class DestinationsCollector(Collector):
    """Collect the ledger of each destination, its replays apart; at most :data:`MAX_DESTINATIONS` of them."""

    def __init__(self, forwarding: Forwarding, projector: Projector, now: Callable[[], float]) -> None:
        self._forwarding = forwarding
        self._projector = projector
        self._now = now

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        if self._projector.lag().is_away:
            return ()
        try:
            rows = self._forwarding.destinations.all(with_replays=False)[:MAX_DESTINATIONS]
            return list(self._families(rows))
        except StoreUnavailable:
            return ()

    def _families(self, rows: Sequence[DestinationRow]) -> Iterable[Metric]:
        for part, help in _LEDGER.items():
            kind = GaugeMetricFamily if part in ("waiting", "dead") else CounterMetricFamily
            counts = [
                (row.name, row.attempts if part == "attempts" else getattr(row.ledger, part)) for row in rows
            ]
            yield _labelled(kind, f"gatepost_forward_{part}", help, "destination", counts)
        oldest = [(row.name, self._forwarding.destinations.oldest_waiting_ms(row)) for row in rows]
        yield _labelled(
            GaugeMetricFamily,
            "gatepost_forward_lag_seconds",
            "How long ago the oldest event was received that waits for a destination; 0: none waits.",
            "destination",
            [(name, 0.0 if ms is None else max(0.0, self._now() - ms / 1000)) for name, ms in oldest],
        )
        yield _labelled(
            GaugeMetricFamily,
            "gatepost_forward_up",
            "1: events go out; 0: the destination cannot be reached, is paused or closed, or its settings are broken.",
            "destination",
            [(row.name, self._forwarding.standing(row).state == "running") for row in rows],
        )


class FleetCollector(Collector):
    """Count adopted terminals by state, and looks at them by what they found."""

    def __init__(self, fleet: Fleet, projector: Projector) -> None:
        self._fleet = fleet
        self._projector = projector

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        yield _labelled(
            CounterMetricFamily,
            "gatepost_fleet_looks",
            "Looks of this process at adopted terminals, by what they found.",
            "found",
            [(found, self._fleet.tender.looks.get(found, 0)) for found in get_args(Found)],
        )
        if self._projector.lag().is_away:
            return
        try:
            counts = self._fleet.adopted.counts()
        except StoreUnavailable:
            return
        yield _labelled(
            GaugeMetricFamily,
            "gatepost_fleet_terminals",
            "Adopted terminals by state: adopted, ours, away, contested, stopped.",
            "state",
            [(state, counts.get(state, 0)) for state in get_args(ManagedState)],
        )


_LEDGER = {
    "seen": "Events that a destination is to be sent, those that its filter leaves out among them.",
    "filtered": "Events that the filter of a destination left out.",
    "delivered": "Events that a destination took.",
    "waiting": "Events that are not settled.",
    "dead": "Dead letters: events that a destination refused for good.",
    "dropped": "Events that were given up: deleted by retention, too old, or dropped by a person.",
    "attempts": "Attempts that were begun, each event of a request by itself.",
}


_PRESENCE: dict[Presence, int] = {"never": 0, "offline": 1, "late": 2, "online": 3}
"""A terminal has one series whose value changes; a label would begin another one with each change."""


def _by_terminal(seen: Sequence[tuple[TerminalRow, Presence]]) -> Iterable[Metric]:
    standing = GaugeMetricFamily(
        "gatepost_terminal_presence", "3: online; 2: late; 1: offline; 0: never seen.", labels=["terminal"]
    )
    last = GaugeMetricFamily(
        "gatepost_terminal_last_seen_timestamp_seconds", "When it last pushed.", labels=["terminal"]
    )
    lag = GaugeMetricFamily(
        "gatepost_terminal_lag_seconds",
        "From when its latest event happened until it was received: how far behind it is.",
        labels=["terminal"],
    )
    clock = GaugeMetricFamily(
        "gatepost_terminal_clock_error_seconds", "How far its clock is ahead.", labels=["terminal"]
    )
    events = CounterMetricFamily(
        "gatepost_terminal_events", "What it ever sent, by what became of it.", labels=["terminal", "outcome"]
    )
    for row, state in seen:
        name = row.serial or row.anonymous_peer or str(row.id)
        standing.add_metric([name], _PRESENCE[state])
        if row.last_seen is not None:
            last.add_metric([name], row.last_seen.timestamp())
            if row.last_recorded_at is not None:
                lag.add_metric([name], max(0.0, (row.last_seen - row.last_recorded_at).total_seconds()))
        if row.clock_error_ms is not None:
            clock.add_metric([name], row.clock_error_ms / 1000)
        for outcome in ("records", "alarms", "duplicates", "quarantined", "refused", "late"):
            events.add_metric([name, outcome], getattr(row, outcome))
    return (standing, last, lag, clock, events)


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
