"""``/api/v1/stats``: everything that was ever counted, and what this process is doing."""

from __future__ import annotations

from litestar import Controller, get

from gatepost.items import StatsItem
from gatepost.receiver.api.access import VIEWER
from gatepost.receiver.api.shapes import TheGauges, TheStore, read

__all__ = ["StatsController", "StatsItem"]


class StatsController(Controller):
    path = "/api/v1/stats"
    opt = VIEWER
    tags = ("stats",)

    @get(sync_to_thread=True, summary="Counts")
    def stats(self, store: TheStore, gauges: TheGauges) -> StatsItem:
        counted = read(store.stats)
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
            process=gauges.read(),
        )
