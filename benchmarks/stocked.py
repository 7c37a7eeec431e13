"""A receiver's data folder with 2 million passages in it, as after years of a site: written by the store itself."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.payloads import bodies, run_id
from gatepost.store.base import BaseStore
from gatepost.store.interface import Arrival, NewTerminal
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import Record, decode, key, key_digest

RECORDS = 2_000_000
TERMINALS = 64
DAYS = 365
BATCH = 2_000


def stock(data: Path, count: int) -> float:
    """Store `count` passages of 1,000 people at 64 terminals over a year, without images; return the seconds."""
    began = time.perf_counter()
    store = SqliteStore.open(data)
    try:
        stock_into(store, count)
    finally:
        store.close()
    return time.perf_counter() - began


def stock_into(store: BaseStore, count: int) -> None:
    """Do the same in a store that is open."""
    waiting = arrivals(count, terminals(store))
    while batch := list(islice(waiting, BATCH)):
        store.write(batch)


def terminals(store: BaseStore) -> dict[str, int]:
    """Make the terminals of the passages; return their ids by serial."""
    now_ms = int(time.time() * 1000)
    serials = [f"BENCH{n:07d}" for n in range(TERMINALS)]
    rows = store.ensure_terminals([NewTerminal(serial, now_ms) for serial in serials])
    return {serial: row.id for serial, row in zip(serials, rows, strict=True)}


def arrivals(count: int, ids: dict[str, int]) -> Iterator[Arrival]:
    """Passages in the order in which they happened; each arrives a second after it happened."""
    first = int(time.time()) - DAYS * 86_400
    step = DAYS * 86_400 / count
    body = bodies(run_id(), image=False, start=first, step=step)
    for n in range(count):
        decoded = decode(body(n))
        event = decoded.event
        assert isinstance(event, Record)
        assert event.serial is not None
        yield Arrival(
            terminal_id=ids[event.serial],
            key=key_digest(key(event)),
            event=event,
            received_at_ms=int((first + n * step + 1) * 1000),
            original=decoded.original,
            dialect=decoded.dialect,
            peer="127.0.0.1",
        )
