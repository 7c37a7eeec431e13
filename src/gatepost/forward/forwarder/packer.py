"""Render claimed events just before they are sent, and put together those that are sent together.

Data that was erased meanwhile is not in them. If an image cannot be read, its event waits and others go on. After
:data:`IMAGE_S` it is sent without the image.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gatepost.errors import ImageUnavailable
from gatepost.forward.forwarder.circuit_breaker import CircuitBreaker
from gatepost.forward.forwarder.outcomes import Outcomes
from gatepost.forward.forwarder.parcels import Parcel
from gatepost.forward.forwarder.renderer import Renderer
from gatepost.forward.forwarder.surroundings import Surroundings
from gatepost.forward.options.destination import Destination
from gatepost.forward.progress.progress import DELETED, Item, Progress
from gatepost.retry import Backoff
from gatepost.store.forwarding.destinations import DestinationRow
from gatepost.store.interface import Forwarded, happened_at

__all__ = ["OLD", "Packer"]

IMAGE_S = 3600.0
"""Seconds for which an event waits for an unreadable image. Then it is sent without."""

OLD = "older than max_age_s"
"""Why an event was dropped."""


class Packer:
    """Packs the events of one destination. Every method blocks."""

    def __init__(
        self,
        row: DestinationRow,
        told: Destination,
        breaker: CircuitBreaker,
        outcomes: Outcomes,
        around: Surroundings,
    ) -> None:
        self._told = told
        self._breaker = breaker
        self._outcomes = outcomes
        self._around = around
        self._policy = Backoff(max_refusals=told.max_refusals)
        self._renderer = Renderer(row, told, around)
        self._imageless: dict[int, float] = {}
        """Waiting events, each with the time since which its image cannot be read."""
        self.has_given_up = False
        """This turn has postponed or dropped something, which the next one commits."""

    def is_old(self, happened_at_ms: float) -> bool:
        """Return whether an event is too old to be sent."""
        age = self._told.max_age_s
        return age is not None and happened_at_ms < (self._around.now() - age) * 1000

    def give_up(self, progress: Progress, item: Item, why: str) -> None:
        """Drop an event."""
        progress.dropped(item, why)
        self.has_given_up = True

    def forget(self, waiting: Collection[int]) -> None:
        """Forget events that no longer wait."""
        if self._imageless:
            self._imageless = {number: at for number, at in self._imageless.items() if number in waiting}

    def pack(
        self, progress: Progress, claimed: Sequence[Item], fresh: Mapping[int, Forwarded], room: int
    ) -> list[Parcel]:
        """Return the parcels of the claimed events. The rest waits again, or is dropped.

        ``fresh``: the events that were just read; ``room``: bytes. A first event may be larger.
        """
        rows = self._renderer.rows_of(claimed, fresh)
        people = self._renderer.person_ids(rows.values())
        self._renderer.look_up_marks()
        parcels: list[Parcel] = []
        total, can_be_old = 0, self._told.max_age_s is not None
        for at, item in enumerate(claimed):
            row = rows.get(item.event_id)
            if row is None:
                self.give_up(progress, item, DELETED)
                continue
            if can_be_old and self.is_old(happened_at(row).timestamp() * 1000):
                progress.give_back([item])
                self.give_up(progress, item, OLD)
                continue
            if total and total >= room:
                progress.give_back(claimed[at:])
                break
            try:
                outgoing, note = self._renderer.outgoing(item, row, people), ""
            except ImageUnavailable as error:
                if self._waits_for_image(progress, item, str(error)):
                    continue
                outgoing = self._renderer.outgoing(item, row, people, with_image=False)
                note = f"sent without its image: {error}"
            size = len(outgoing.body) + len(outgoing.image or b"")
            total += size
            is_alone = item.number in self._outcomes.alone or progress.refusals(item.number) > 0
            if is_alone or not parcels or not parcels[-1].has_place(size, self._told.batch):
                parcels.append(Parcel([item], [outgoing], self._breaker.epoch, size, is_alone, note))
                continue
            parcels[-1].add(item, outgoing, size, note)
        return parcels

    def _waits_for_image(self, progress: Progress, item: Item, why: str) -> bool:
        """Try an event with an unreadable image later; False if it has waited for long enough."""
        tick, now = self._around.monotonic(), self._around.now()
        if tick - self._imageless.setdefault(item.number, tick) >= IMAGE_S:
            return False
        progress.retry(item, now + self._policy.delay(progress.attempts(item.number), self._around.rand), why)
        self.has_given_up = True
        return True
