"""Power cuts by the thousand, at either end: what was said to be safe must be there afterwards.

Rules:

- One run of the real code on a lossy disk is noted; every cut is made from that. What a cut leaves is opened by the
  real code on the real ``sqlite3``, which has to recover it, and then read.
- Terminal: each event that ``put`` returned for is there, and the ledger adds up. What a cut may take is an
  acknowledgement: such an event is pending again.
- Receiver: each event that ``write`` returned for is there, once, with its image; no event is there without its own.

Flow: :func:`terminal` or :func:`receiver` → a run → positions from the seed → cut, recover, compare → a Blackout.
"""

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gatepost import wire
from gatepost.conformance.torture import remains
from gatepost.conformance.torture.judge import Blackout
from gatepost.conformance.torture.lossy import lossy
from gatepost.conformance.torture.oracle import Issued, Oracle, digest, name_of
from gatepost.conformance.torture.powercut import Disk, Mark, Rest, Sync
from gatepost.errors import GatepostError
from gatepost.retry import Done
from gatepost.settings import TerminalSettings
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import Arrival
from gatepost.terminal.outbox.outbox import Outbox
from gatepost.terminal.outbox.schema import FILE

__all__ = ["Blackout", "receiver", "terminal"]

FEW = 5
ACCEPTED_AT = 1_700_000_000.0

Event = tuple[str, "wire.Record | wire.Alarm"]


def terminal(folder: Path, *, seed: int, cuts: int, events: int = 120) -> Blackout:
    """Cut a terminal's power. ``folder`` is empty, or not there."""
    run = folder / "run"
    run.mkdir(parents=True)
    disk = Disk()
    oracle = Oracle(random.Random(f"{seed}/blackout"), lambda: ACCEPTED_AT)  # noqa: S311 (events, no secrets)
    with lossy(disk, run):
        asyncio.run(_record(run, disk, oracle, events))
    return _cut(folder, "terminal", disk, oracle, seed=seed, cuts=cuts, look=_look_at_terminal)


def receiver(folder: Path, *, seed: int, cuts: int, events: int = 120) -> Blackout:
    """Cut a receiver's power. ``folder`` is empty, or not there."""
    run = folder / "run"
    run.mkdir(parents=True)
    disk = Disk()
    oracle = Oracle(random.Random(f"{seed}/blackout"), lambda: ACCEPTED_AT)  # noqa: S311 (events, no secrets)
    with lossy(disk, run):
        _store(run, disk, oracle, events, random.Random(seed))  # noqa: S311 (as above)
    return _cut(folder, "receiver", disk, oracle, seed=seed, cuts=cuts, look=_look_at_receiver)


# -- the runs


async def _record(run: Path, disk: Disk, oracle: Oracle, events: int) -> None:
    """Accept events, alone and together, deliver some of them, and start anew twice."""
    settings = TerminalSettings(history_events=20)
    for session in range(3):
        outbox = await Outbox.open(run / FILE, settings=settings, now=lambda: ACCEPTED_AT)
        if session == 0:
            await outbox.subscribe(wire.Subscription("http://192.0.2.1/Record", True))

        async def put(outbox: Outbox = outbox) -> None:
            name, event = _next(oracle)
            await outbox.put(event)
            disk.ops.append(Mark(name))

        for _ in range(events // 12):
            await put()
            await asyncio.gather(put(), put(), put())
            claimed = await outbox.claim(2, now=ACCEPTED_AT)
            await outbox.settle([(each.id, Done()) for each in claimed])
        await outbox.close()


def _store(run: Path, disk: Disk, oracle: Oracle, events: int, rand: random.Random) -> None:
    """Store events in batches, some twice, over two days, and start anew twice."""
    left = events
    known: list[tuple[str, Arrival]] = []
    for session in range(3):
        with closing(SqliteStore.open(run)) as store:
            number = store.ensure_terminal("TORTURE-0", peer="192.0.2.9", now_ms=1, state="new").id
            until = events - events * (session + 1) // 3
            while left > until:
                size = min(rand.choice((1, 1, 2, 3, 8)), left - until)
                left -= size
                fresh = [_arrival(oracle, number, day=session) for _ in range(size)]
                batch = fresh + rand.sample(known, min(len(known), rand.choice((0, 0, 1))))
                store.write([arrival for _, arrival in batch])
                disk.ops.extend(Mark(name) for name, _ in fresh)
                known += fresh


def _next(oracle: Oracle) -> Event:
    name, line = oracle.next(0)
    event = wire.decode(line).event
    assert not isinstance(event, wire.Unknown)  # noqa: S101 (the oracle makes records and alarms)
    return name, event


def _arrival(oracle: Oracle, terminal_id: int, *, day: int) -> tuple[str, Arrival]:
    name, line = oracle.next(0)
    decoded = wire.decode(line, lenient=True)
    event = decoded.event
    assert not isinstance(event, wire.Unknown)  # noqa: S101 (as above)
    return name, Arrival(
        terminal_id=terminal_id,
        key=wire.key_digest(wire.key(event, decoded)),
        event=event,
        received_at_ms=int(ACCEPTED_AT * 1000) + day // 2 * 86_400_000,
        original=decoded.original,
        image=event.image,
        dialect=decoded.dialect,
        peer="192.0.2.9",
    )


# -- the cuts

Look = Callable[[Path, frozenset[str], dict[str, Issued]], Iterator[str]]


def _cut(folder: Path, end: str, disk: Disk, oracle: Oracle, *, seed: int, cuts: int, look: Look) -> Blackout:
    rand = random.Random(f"{seed}/{end}")  # noqa: S311 (a plan, no secret)
    first = next(number for number, op in enumerate(disk.ops) if isinstance(op, Mark))
    positions = sorted(rand.randint(first, len(disk.ops)) for _ in range(cuts))
    differences: list[str] = []
    survived = 0
    for rest in disk.cuts(positions, rand):
        with _left_over(folder / "cut", rest) as place:
            found = _looked(look, place, rest.safe, oracle.issued)
        survived += len(rest.safe)
        differences += [f"after {rest.at} operations: {difference}" for difference in found]
    return Blackout(
        end=end,
        operations=len(disk.ops),
        syncs=sum(isinstance(op, Sync) for op in disk.ops),
        events=len(oracle.issued),
        cuts=cuts,
        survived=survived,
        differences=tuple(differences),
    )


def _looked(look: Look, place: Path, safe: frozenset[str], issued: dict[str, Issued]) -> list[str]:
    found = []
    try:
        for difference in look(place, safe, issued):
            found.append(difference)
    except sqlite3.DatabaseError as error:
        found.append(f"cannot be read: {error}")
    return found


@contextmanager
def _left_over(place: Path, rest: Rest) -> Iterator[Path]:
    rest.write(place)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def _look_at_terminal(place: Path, safe: frozenset[str], issued: dict[str, Issued]) -> Iterator[str]:
    try:
        asyncio.run(_recover(place))
    except GatepostError as error:
        yield f"the outbox cannot be opened: {error}"
        return
    with closing(sqlite3.connect(place / FILE)) as db:
        yield from _unsound(db)
        there = {}
        for head, image, tail in db.execute("SELECT head, image, tail FROM body JOIN entry USING (seq)"):
            data = json.loads(head + tail)["data"]
            there[name_of(data)] = None if image is None else digest(image)
        row = db.execute("SELECT accepted, delivered, dropped, dead, records + alarms FROM ledger").fetchone()
        accepted, delivered, dropped, dead, pending = row
        rows = dict(db.execute("SELECT state, count(*) FROM entry GROUP BY state"))
    if accepted != delivered + dropped + dead + pending:
        yield f"the ledger does not add up: {row}"
    if (rows.get(0, 0), rows.get(2, 0)) != (pending, dead):
        yield f"the ledger says {row}, the rows are {rows}"
    gone = delivered - rows.get(1, 0)  # delivered, and no longer kept in the history
    if len(safe - there.keys()) > gone or accepted < len(safe):
        yield f"accepted, and not there: {_few(safe - there.keys())}"
    for name, image in there.items():
        if issued[name].image != image:
            yield f"{name} has another image"


async def _recover(place: Path) -> None:
    outbox = await Outbox.open(place / FILE, now=lambda: ACCEPTED_AT)
    await outbox.close()


def _look_at_receiver(place: Path, safe: frozenset[str], issued: dict[str, Issued]) -> Iterator[str]:
    try:
        SqliteStore.open(place).close()
    except GatepostError as error:
        yield f"the store cannot be opened: {error}"
        return
    for path in (place / "gatepost.db", *(place / "images").glob("*.db")):
        with closing(sqlite3.connect(path)) as db:
            yield from _unsound(db)
    found = remains.stored(place)
    names = [each.name for each in found]
    if len(names) != len(set(names)):
        yield "an event is there twice"
    if safe - set(names):
        yield f"acknowledged, and not there: {_few(safe - set(names))}"
    for each in found:
        if each.image != issued[each.name].image:
            yield f"{each.name} has another image: {each.image}"


def _unsound(db: sqlite3.Connection) -> Iterator[str]:
    result = db.execute("PRAGMA integrity_check").fetchone()[0]
    if result != "ok":
        yield f"the file is damaged: {result}"


def _few(names: frozenset[str]) -> str:
    few = sorted(names)[:FEW]
    return f"{len(names)}: {', '.join(few)}"
