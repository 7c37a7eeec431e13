"""Render events for one destination from the store, just before they are sent, without erased data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gatepost.forward.forwarder.surroundings import Surroundings
from gatepost.forward.image_links import ImageLink
from gatepost.forward.options.destination import Destination
from gatepost.forward.progress.progress import Item
from gatepost.forward.shapes.data import event_id
from gatepost.forward.shapes.shape import Shaper
from gatepost.forward.sinks import Outgoing
from gatepost.store.forwarding.destinations import DestinationRow
from gatepost.store.interface import FORWARD_KINDS, Forwarded, Notice, RecordRow
from gatepost.store.people.marked import Marked, who_is_marked

__all__ = ["Renderer", "mark_of"]


def mark_of(row: Forwarded, marked: Marked | None) -> str:
    """Return the reason why the person of a record is marked; empty for any other event."""
    if not marked or not isinstance(row, RecordRow) or row.person is None:
        return ""
    mark = marked.of_form(row.person.identity_id, row.person.user_id, row.site_id)
    return "" if mark is None else mark.reason


class Renderer:
    """Renders events for one destination. Every method blocks."""

    def __init__(self, row: DestinationRow, told: Destination, around: Surroundings) -> None:
        self._row = row
        self._told = told
        self._around = around
        self._shaper: Shaper | None = None
        rules = () if told.notify is None else told.notify.rules
        self._looks_for_marks = any(rule.marked for rule in rules)
        self._marked: Marked | None = None

    def look_up_marks(self) -> None:
        """Read the marked people for the next events, if a rule needs them."""
        if self._looks_for_marks:
            around = self._around
            self._marked = who_is_marked(around.store, around.people.rules, int(around.now() * 1000))

    def rows_of(self, claimed: Sequence[Item], fresh: Mapping[int, Forwarded]) -> dict[int, Forwarded]:
        """Return the events that still exist, by id. ``fresh``: those that were just read."""
        rows = {item.event_id: fresh[item.event_id] for item in claimed if item.event_id in fresh}
        for kind in FORWARD_KINDS:
            again = [item.event_id for item in claimed if item.kind == kind and item.event_id not in rows]
            if again:
                rows.update(self._around.store.forwarded_again(kind, again))
        return rows

    def person_ids(self, rows: Iterable[Forwarded]) -> dict[tuple[int, int], str]:
        """Return the ids of the people in these events, as the API has them."""
        if self._told.shape == "push":
            return {}
        return self._around.people.ids(
            (row.person.identity_id, row.terminal_id)
            for row in rows
            if isinstance(row, RecordRow) and row.person is not None
        )

    def outgoing(
        self, item: Item, row: Forwarded, people: dict[tuple[int, int], str], *, with_image: bool = True
    ) -> Outgoing:
        """Return an event, ready to be sent. Raises :class:`~gatepost.errors.ImageUnavailable`."""
        image = original = link = None
        if not isinstance(row, Notice):
            said = row if isinstance(row, RecordRow) else row.step
            if said.has_image and self._told.images == "inline" and with_image:
                image = self._around.store.image(item.event_id)
            if said.has_image and self._told.images == "link" and with_image:
                link = self._link(item.event_id)
            if self._told.shape == "push":
                original = said.original or b""
                if with_image:
                    original = self._around.store.original(item.event_id, original)
        person_id = ""
        if isinstance(row, RecordRow) and row.person is not None:
            person_id = people.get((row.person.identity_id, row.terminal_id), "")
        is_replay = self._row.replay_of is not None
        shaper = self._shaper = self._shaper or Shaper(self._told.shape, self._around.source())
        body = shaper.body(
            row, person_id=person_id, image=image, link=link, original=original, is_replay=is_replay
        )
        return Outgoing(
            id=event_id(row),
            event_id=item.event_id,
            kind=item.kind,
            body=body,
            content_type=shaper.content_type,
            row=row,
            image=image,
            is_replay=is_replay,
            is_backfilled=isinstance(row, RecordRow) and bool(row.backfilled),
            mark=mark_of(row, self._marked),
        )

    def _link(self, event_id: int) -> str:
        until = int(self._around.now() + self._told.image_link_s)
        return self._around.links.make(ImageLink(event_id, self._row.replay_of or self._row.id, until))
