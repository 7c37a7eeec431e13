"""The ingest's part in tests that write to a store themselves: images go into packs, and events have their places."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from msgspec.structs import replace

from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Image, Place
from gatepost.journal.streams import RECORDS
from gatepost.journal.writer import Writer
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.query.reprocess import separated
from gatepost.store.types.arrivals import Arrival

__all__ = ["append", "packed", "packing"]


def packed(packs: Packs, batch: Sequence[Arrival]) -> list[Arrival]:
    """Return a batch without images, and with their places: they are in packs of the day on which each was received."""
    done: list[Arrival] = []
    by_day: dict[int, list[tuple[int, Sequence[Image], bool]]] = {}
    for number, arrival in enumerate(batch):
        event, original, images, has_texts = separated(arrival.event, arrival.original)
        if images:
            by_day.setdefault(arrival.received_at_ms // DAY_MS, []).append((number, images, has_texts))
        done.append(replace(arrival, event=event, original=original))
    for some in by_day.values():
        received_s = batch[some[0][0]].received_at_ms / 1000
        places = iter(_written(packs, [image for _, images, _ in some for image in images], received_s))
        for number, images, has_texts in some:
            mine = [next(places) for _ in images]
            image = mine[0] if len(mine) > has_texts else batch[number].image
            texts = mine[-1] if has_texts else batch[number].texts
            done[number] = replace(done[number], image=image, texts=texts)
    return done


def append(writer: Writer, frames: Frames, batch: Sequence[Arrival]) -> None:
    """Append events to a journal, and their images to its packs, with one sync."""
    bodies: list[tuple[bytes, int]] = []
    images: list[Image] = []
    for arrival in batch:
        event, original, found, has_texts = separated(arrival.event, arrival.original)
        frame = frames.encode(replace(arrival, event=event, original=original), has_texts=has_texts)
        bodies.append((frame, len(found)))
        images += found

    def join(places: Sequence[Place]) -> list[bytes]:
        rest = list(places)
        joined: list[bytes] = []
        for frame, count in bodies:
            joined.append(frames.join(frame, rest[:count]))
            del rest[:count]
        return joined

    writer.append_with_images(images, join)


def _written(packs: Packs, images: Sequence[Image], received_s: float) -> Sequence[Place]:
    found: list[Place] = []

    def keep(places: Sequence[Place]) -> Sequence[bytes]:
        found.extend(places)
        return ()

    with closing(Writer(packs.folder, RECORDS, now=lambda: received_s)) as writer:
        writer.append_with_images(images, keep)
    return found


def packing(store: BaseStore) -> BaseStore:
    """Let :meth:`~gatepost.store.interface.Store.write` of a store take events with their images."""
    write, packs = store.write, store.packs
    assert packs is not None

    def write_packed(batch: Sequence[Arrival], *args: Any, **named: Any) -> Any:
        return write(packed(packs, batch), *args, **named)

    store.write = write_packed  # type: ignore[method-assign]
    return store
