"""Append events to the journal that no push brought: quarantined ones that are understood now, and fetched records.

There is one way into the list: a stream of the desk's own, which the projector reads like those of the ingests.

Flow: :func:`encoded` of each arrival → :meth:`DeskWriter.append` → the projector lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import JournalError, StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.places import Image, Place
from gatepost.journal.streams import ALARMS, RECORDS
from gatepost.journal.writer import Writer
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.store.conversion.limits import cut_texts
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.interface import Arrival
from gatepost.store.query.reprocess import separated
from gatepost.wire import Alarm

__all__ = ["DeskWriter", "Encoded"]

GROUP_BYTES = 16 * 1024 * 1024
"""Bytes of frames and images of one append; a single event may be larger."""


class Encoded(Struct, frozen=True):
    """An arrival as the journal has it."""

    arrival: Arrival
    """Without its image and long texts."""
    body: bytes
    images: Sequence[Image]
    is_alarm: bool
    day: int
    """On which it was received: its images leave when those of that day do."""

    @property
    def size(self) -> int:
        """Return how many bytes it takes, about."""
        return len(self.body) + sum(len(image.data) for image in self.images)


class DeskWriter:
    """Appends what the desk itself brings. Any thread."""

    def __init__(self, journal: Folder, frames: Frames, *, keep_images: bool = True) -> None:
        """``keep_images``: whether images of events are kept at all."""
        self._journal = journal
        self._frames = frames
        self._keep_images = keep_images

    def encoded(self, arrival: Arrival) -> Encoded:
        """Return an arrival as the journal has it. Its event has the image, and its original is whole."""
        event, cut = cut_texts(arrival.event)
        event, original, images, has_texts = separated(event, arrival.original)
        if not self._keep_images:
            images, has_texts = (), False
        arrival = replace(arrival, event=event, original=original, problems=arrival.problems + cut)
        body = self._frames.encode(arrival, has_texts=has_texts)
        return Encoded(arrival, body, images, isinstance(event, Alarm), arrival.received_at_ms // DAY_MS)

    def append(self, some: Sequence[Encoded]) -> None:
        """Append them, on disk when it returns. Raises :class:`~gatepost.errors.StoreUnavailable`."""
        groups: dict[tuple[bool, int], list[Encoded]] = {}
        for one in some:
            groups.setdefault((one.is_alarm, one.day), []).append(one)
        try:
            for (is_alarm, day), group in groups.items():
                lane = ALARMS if is_alarm else RECORDS
                with closing(Writer(self._journal, lane, now=partial(float, day * DAY_MS / 1000))) as writer:
                    for part in _parts(group):
                        images = [image for one in part for image in one.images]
                        writer.append_with_images(images, partial(self._bodies, part))
        except JournalError as error:
            raise StoreUnavailable(f"the journal takes nothing now ({error}); try again") from error

    def _bodies(self, some: Sequence[Encoded], places: Sequence[Place]) -> list[bytes]:
        rest = iter(places)
        return [self._frames.join(one.body, list(islice(rest, len(one.images)))) for one in some]


def _parts(some: Sequence[Encoded]) -> list[list[Encoded]]:
    parts: list[list[Encoded]] = [[]]
    size = 0
    for one in some:
        its_size = one.size
        if parts[-1] and size + its_size > GROUP_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += its_size
    return parts
