"""Read the feed for one destination: the events that its filter chooses, page by page."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from gatepost.forward.forwarder.surroundings import Surroundings
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.filters import queries
from gatepost.forward.options.notify import NotifyOptions
from gatepost.forward.progress.progress import Progress, Track
from gatepost.forward.sinks.notify.rules import check_sites
from gatepost.store.forwarding.destinations import DestinationRow
from gatepost.store.interface import (
    FeedKind,
    Forwarded,
    ForwardQuery,
    NoticeQuery,
    RecordQuery,
    SiteRow,
    StepQuery,
    ToForward,
    received_at,
)

__all__ = ["PAGE", "Reader", "questions"]

PAGE = 256
"""Events that are read at once."""

PROBED = 32
"""Events that are read to find one to try after a refused one."""

AHEAD = 512
"""Events of a kind that are read ahead. After a crash at most as many are sent again."""


def questions(
    told: Destination, sites: Iterable[SiteRow]
) -> tuple[RecordQuery | None, StepQuery | None, NoticeQuery]:
    """Return the queries of the store that choose a destination's events.

    Raises :class:`~gatepost.errors.SettingsError` for an unknown site in its filter or a rule.
    """
    known = list(sites)
    check_sites(told.notify or NotifyOptions(), {site.name for site in known})
    return queries(told.filter, known)


class Reader:
    """Reads the feed for one destination. Every method blocks."""

    def __init__(self, row: DestinationRow, told: Destination, around: Surroundings) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for an invalid filter or rule."""
        self._span = row.span
        self._around = around
        of_records, of_alarms, of_notices = questions(told, around.store.sites())
        # No terminal has the id 0.
        self._queries: dict[FeedKind, ForwardQuery] = {
            "record": of_records or RecordQuery(terminal=0),
            "alarm": of_alarms or StepQuery(terminal=0),
            # No terminal pushes one.
            "notice": NoticeQuery() if told.shape == "push" else of_notices,
        }
        self.fresh: dict[int, Forwarded] = {}
        """The events that were read last."""

    def read(self, progress: Progress, limit: int) -> bool:
        """Read a page of each track that needs one; return whether there is more to read."""
        end, held = self._around.destinations.horizon()
        for track in progress.wanted(end, held, limit=AHEAD):
            page = self._page(track, min(limit, PROBED) if progress.is_blocked(track) else limit)
            progress.read(track, page)
            self.fresh.update(page.chosen)
        return bool(progress.wanted(end, held, limit=AHEAD))

    def _page(self, track: Track, most: int) -> ToForward:
        store, query = self._around.store, self._queries[track.kind]
        if track.terminal_id is None:
            return self._in_span(store.to_forward(track.place, query, most, until=track.until))
        until = track.until or track.place
        return self._in_span(store.to_forward_of(track.terminal_id, track.place, until, query, most))

    def _in_span(self, page: ToForward) -> ToForward:
        """Leave out events that were received outside the span of a replay: ids are not in that order."""
        span = self._span
        if span is None:
            return page
        chosen = {
            number: row
            for number, row in page.chosen.items()
            if span[0] <= received_at(row).timestamp() * 1000 < span[1]
        }
        return replace(page, chosen=chosen)
