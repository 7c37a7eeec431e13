"""Numbers of this receiver for ``GET /metrics``, in the text format of Prometheus.

Rules:

* Counters are since the start of the desk; the store's own counts, over all time, are at ``/api/v1/stats``.
* What the ingest counts is a second old at most, and goes on where another process takes its place.
* While the store is away its numbers are left out, and are no zeros; those of these processes are there.
* A push costs what counting costs: some additions a batch. What has to be read is read when somebody asks.
* Labels are serials, reasons, states and destinations; no label names a person.
* A registry a receiver, none is global.

``deploy/grafana-dashboard.json`` asks for these; a test holds it against them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest

from gatepost.fleet.managing import Fleet
from gatepost.forward.forwarding import Forwarding
from gatepost.receiver.jobs.projector.listing import Rows
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.receiver.jobs.retention import RetentionJob
from gatepost.receiver.observability.collectors import (
    DestinationsCollector,
    FleetCollector,
    ProcessesCollector,
    StoreCollector,
)
from gatepost.receiver.processes.ingests import Ingests
from gatepost.store.interface import Arrival, Progress, Store, Stored
from gatepost.wire import Alarm, Record

__all__ = ["CONTENT_TYPE", "Measured", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)


class Measured:
    """A store's writing side, measured: what the projector is given."""

    def __init__(self, store: Rows, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self.secret = store.secret
        self.ensure_terminals = store.ensure_terminals
        self.holders = store.holders
        self.positions = store.positions
        self.forget_streams = store.forget_streams
        self.unused = store.unused

    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> Sequence[Stored]:
        """Store a batch, as :meth:`gatepost.store.interface.Store.write` does."""
        began = time.perf_counter()
        rows = self._store.write(batch, progress)
        self._metrics.committed(batch, rows, time.perf_counter() - began)
        return rows


class Metrics:
    """Every number of one receiver."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._accepted = Counter(
            "gatepost_events_accepted",
            "Events that were listed, duplicates not among them.",
            ["kind"],
            registry=self.registry,
        )
        self._kinds = {kind: self._accepted.labels(kind) for kind in ("record", "alarm")}
        self._quarantined = Counter(
            "gatepost_events_quarantined",
            "Pushes that were JSON objects but no known events, kept in the quarantine.",
            registry=self.registry,
        )
        self._duplicates = Counter(
            "gatepost_events_duplicate",
            "Events that were pushed again, and are listed once.",
            registry=self.registry,
        )
        self._size = Histogram(
            "gatepost_commit_events",
            "Events of one commit of the store.",
            buckets=_EVENTS,
            registry=self.registry,
        )
        self._time = Histogram(
            "gatepost_commit_seconds",
            "How long a commit of the store took; no push waits for it.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def committed(self, batch: Sequence[Arrival], rows: Sequence[Stored], seconds: float) -> None:
        """Count a commit. In the projector's thread."""
        self._time.observe(seconds)
        self._size.observe(len(batch))
        records = alarms = quarantined = duplicates = 0
        for arrival, row in zip(batch, rows, strict=True):
            if not row.new:
                duplicates += 1
            elif type(arrival.event) is Record:
                records += 1
            elif type(arrival.event) is Alarm:
                alarms += 1
            else:
                quarantined += 1
        self._kinds["record"].inc(records)
        self._kinds["alarm"].inc(alarms)
        self._quarantined.inc(quarantined)
        self._duplicates.inc(duplicates)

    def watch(
        self,
        store: Store,
        ingests: Ingests,
        projector: Projector,
        keeper: RetentionJob,
        forwarding: Forwarding,
        fleet: Fleet,
        *,
        now: Callable[[], float],
        per_terminal: bool,
    ) -> None:
        """Also tell what these parts know, when somebody asks. Once."""
        self.registry.register(ProcessesCollector(ingests, projector, keeper))
        self.registry.register(StoreCollector(store, ingests, projector, now, per_terminal=per_terminal))
        self.registry.register(DestinationsCollector(forwarding, projector, now))
        self.registry.register(FleetCollector(fleet, projector))

    def text(self) -> bytes:
        """Return everything. Blocks: it asks the store. Raises :class:`~gatepost.errors.JournalUnavailable`."""
        return generate_latest(self.registry)
