"""``/api/v1/stats``: everything that was ever counted, and what the ingest is doing."""

from __future__ import annotations

from litestar import Controller, get

from gatepost.items import JournalItem, StatsItem
from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest
from gatepost.receiver.api.shapes import TheIngests, TheProjector, TheStore, read

__all__ = ["StatsController", "StatsItem"]


class StatsController(Controller):
    path = "/api/v1/stats"
    opt = VIEWER
    tags = ("stats",)

    @get(sync_to_thread=True, summary="Counts")
    def stats(
        self, request: AnyRequest, store: TheStore, ingests: TheIngests, projector: TheProjector
    ) -> StatsItem:
        """``process`` counts what came from every site; it is empty for a user of some sites only."""
        counted = read(store.stats)
        lag = read(projector.lag)
        return StatsItem(
            records=counted.records,
            alarms=counted.alarms,
            open_alarms=counted.open_alarms,
            unacknowledged_alarms=counted.unacknowledged_alarms,
            duplicates=counted.duplicates,
            quarantined=counted.quarantined,
            refused=counted.refused,
            terminals=counted.terminals,
            refusals=dict(counted.refusals),
            journal=JournalItem(events=lag.events, bytes=lag.bytes, oldest_s=round(lag.oldest_s, 3)),
            process=ingests.gauges.by_name() if request.user.sites is None else {},
        )
