"""Power cuts by the thousand, at either end: every acknowledged event must be there afterwards.

Rules:

- The real code runs once on a lossy disk, which records its operations. Every cut is made from that record. The real
  code opens on a real disk what a cut leaves, recovers it and reads it.
- Terminal: each event for which ``put`` returned is there, and the ledger adds up. A cut may lose an acknowledgement of
  the receiver. Such an event is pending again. An event that was being stored may count as dropped.
- Receiver: each event that ``GroupCommit`` reported as synced is listed, once, with its image, when the projector has
  listed the journal. No event is listed without its image, and no event that was pushed once counts as a duplicate.
  Journal and database are on the same disk.
- After some cuts one byte of a segment is changed, too. That costs one event at most.

Flow: :func:`terminal` or :func:`receiver` → a run → positions from the seed → cut, recover, compare → the result.
"""

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec.structs import replace
from structlog.testing import capture_logs

from gatepost import wire
from gatepost.errors import GatepostError
from gatepost.journal.folder import Folder
from gatepost.journal.format import HEADER_BYTES
from gatepost.journal.packs.packs import Packs
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.ingest.commit.group_commit import GroupCommit
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.retry import Done
from gatepost.settings import TerminalSettings
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import Arrival, NewTerminal
from gatepost.store.query.reprocess import separated
from gatepost.store.sqlite.data_folder import JOURNAL
from gatepost.store.sqlite.store import SqliteStore
from gatepost.terminal.outbox.opening import FOLDER
from gatepost.terminal.outbox.outbox import Outbox, OutboxStatus, State
from gatepost.terminal.outbox.reader import Reader
from gatepost.torture import read_disk
from gatepost.torture.judge import PowerCuts
from gatepost.torture.oracle import Issued, Oracle, digest, name_of
from gatepost.torture.power_loss.disk_model import CrashState, DiskModel, Mark, Sync
from gatepost.torture.power_loss.sqlite_vfs import RecordingFiles, lossy

__all__ = ["PowerCuts", "receiver", "terminal"]

FEW = 5
ACCEPTED_AT = 1_700_000_000.0

_AGAIN = "again "
"""Prefix of the mark that is set before an event is pushed again."""

Event = tuple[str, "wire.Record | wire.Alarm"]


def terminal(folder: Path, *, seed: int, cuts: int, events: int = 120) -> PowerCuts:
    """Cut a terminal's power. ``folder`` is empty or does not exist."""
    run = folder / "run"
    run.mkdir(parents=True)
    disk = DiskModel()
    oracle = Oracle(random.Random(f"{seed}/blackout"), lambda: ACCEPTED_AT)  # noqa: S311 (events, no secrets)
    asyncio.run(_record(run, disk, oracle, events))
    return _cut(folder, "terminal", disk, oracle, seed=seed, cuts=cuts, look=_look_at_terminal, harm=_harmed)


def receiver(folder: Path, *, seed: int, cuts: int, events: int = 120) -> PowerCuts:
    """Cut a receiver's power. ``folder`` is empty or does not exist."""
    run = folder / "run"
    run.mkdir(parents=True)
    disk = DiskModel()
    oracle = Oracle(random.Random(f"{seed}/blackout"), lambda: ACCEPTED_AT)  # noqa: S311 (events, no secrets)
    with lossy(disk, run):
        asyncio.run(_receive(run, disk, oracle, events, random.Random(seed)))  # noqa: S311 (as above)
    return _cut(folder, "receiver", disk, oracle, seed=seed, cuts=cuts, look=_look_at_receiver, harm=_harmed)


# -- the runs


async def _record(run: Path, disk: DiskModel, oracle: Oracle, events: int) -> None:
    """Accept events, alone and together, deliver some of them, and restart twice."""
    # Segments are small, so that some are deleted. Everything that waits at the end has space.
    settings = TerminalSettings(history_events=20, capacity_bytes=8_500 * events)
    files = RecordingFiles(disk, run)
    for session in range(3):
        outbox = await Outbox.open(run / FOLDER, settings=settings, now=lambda: ACCEPTED_AT, files=files)
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


async def _receive(run: Path, disk: DiskModel, oracle: Oracle, events: int, rand: random.Random) -> None:
    """Take pushes at two writers, some twice, over two days, list now and then, and restart twice."""
    left = events
    known: list[tuple[str, Arrival]] = []
    journal = Folder.open(run / JOURNAL, files=RecordingFiles(disk, run))
    for life in range(3):
        with (
            closing(SqliteStore.open(run)) as store,
            _projecting(store, journal) as projector,
        ):
            store.packs = Packs(journal)
            number = store.ensure_terminals([NewTerminal("TORTURE-0", at_ms=1)])[0].id
            frames = _frames(store)
            writers = [GroupCommit(journal) for _ in range(2)]
            until = events - events * (life + 1) // 3
            while left > until:
                writer = rand.choice(writers)
                size = min(rand.choice((1, 1, 2, 3, 8)), left - until)
                left -= size
                fresh = [_arrival(oracle, number, day=life) for _ in range(size)]
                again = rand.sample(known, min(len(known), rand.choice((0, 0, 1))))
                if rand.random() < 0.3:
                    writer.tend(finish=True)
                disk.ops.extend(Mark(f"{_AGAIN}{name} {left}") for name, _ in again)
                pushes = [_submit(writer, frames, one) for _, one in fresh + again]
                await asyncio.gather(*pushes)
                disk.ops.extend(Mark(name) for name, _ in fresh)
                known += fresh
                if rand.random() < 0.4:
                    _list_all(projector)
            for writer in writers:
                await writer.close()


async def _submit(writer: GroupCommit, frames: Frames, arrival: Arrival) -> None:
    event, original, images, has_texts = separated(arrival.event, arrival.original)
    frame = frames.encode(replace(arrival, event=event, original=original), has_texts=has_texts)
    await writer.submit(frame, is_alarm=isinstance(event, wire.Alarm), images=images)


@contextmanager
def _projecting(store: SqliteStore, journal: Folder) -> Iterator[Projector]:
    projector = Projector(journal, store, _frames(store), max_batch=8)
    try:
        yield projector
    finally:
        projector.close(timeout_s=0)


def _frames(store: SqliteStore) -> Frames:
    return Frames(store.secret, ImageKeys())


def _list_all(projector: Projector) -> None:
    while projector.step():
        pass


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
        dialect=decoded.dialect,
        peer="192.0.2.9",
    )


# -- the cuts

Look = Callable[[Path, frozenset[str], dict[str, Issued], int], Iterator[str]]
"""Opens what is left, and yields what is wrong. The number: safe events that may be missing."""

Harm = Callable[[Path, random.Random], int]
"""Damages what is left, and returns how many events that may cost."""


def _unharmed(place: Path, rand: random.Random) -> int:
    return 0


def _harmed(place: Path, rand: random.Random) -> int:
    """Change one byte of a segment, every second time."""
    segments = [path for path in sorted(place.glob("*/*.events")) if path.stat().st_size > HEADER_BYTES]
    if not segments or rand.random() < 0.5:
        return 0
    path = rand.choice(segments)
    data = bytearray(path.read_bytes())
    data[rand.randrange(len(data))] ^= 1 + rand.randrange(255)
    path.write_bytes(data)
    return 1


def _cut(
    folder: Path,
    end: str,
    disk: DiskModel,
    oracle: Oracle,
    *,
    seed: int,
    cuts: int,
    look: Look,
    harm: Harm = _unharmed,
) -> PowerCuts:
    rand = random.Random(f"{seed}/{end}")  # noqa: S311 (a plan, no secret)
    harming = random.Random(f"{seed}/{end}/harm")  # noqa: S311 (as above)
    first = next(number for number, op in enumerate(disk.ops) if isinstance(op, Mark))
    positions = sorted(rand.randint(first, len(disk.ops)) for _ in range(cuts))
    differences: list[str] = []
    survived = 0
    for rest in disk.cuts(positions, rand):
        with _left_over(folder / "cut", rest) as place:
            found = _looked(look, place, rest.safe, oracle.issued, harm(place, harming))
        survived += len(rest.safe & oracle.issued.keys())
        differences += [f"after {rest.at} operations: {difference}" for difference in found]
    return PowerCuts(
        end=end,
        operations=len(disk.ops),
        syncs=sum(isinstance(op, Sync) for op in disk.ops),
        events=len(oracle.issued),
        cuts=cuts,
        survived=survived,
        differences=tuple(differences),
    )


def _looked(look: Look, place: Path, safe: frozenset[str], issued: dict[str, Issued], harm: int) -> list[str]:
    found = []
    try:
        for difference in look(place, safe, issued, harm):
            found.append(difference)
    except sqlite3.DatabaseError as error:
        found.append(f"cannot be read: {error}")
    return found


@contextmanager
def _left_over(place: Path, rest: CrashState) -> Iterator[Path]:
    rest.write(place)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def _look_at_terminal(
    place: Path, safe: frozenset[str], issued: dict[str, Issued], harm: int
) -> Iterator[str]:
    try:
        with capture_logs():  # the log is about deliberate damage
            status, rows = asyncio.run(_recover(place))
            reader = Reader(place / FOLDER)
    except GatepostError as error:
        yield f"the outbox cannot be opened: {error}"
        return
    there: dict[str, str | None] = {}
    after = 0
    while found := reader.step(tuple(State), after):
        for each in found:
            name = name_of(json.loads(each.head + each.tail)["data"])
            there[name] = None if each.image is None else digest(each.image)
        after = found[-1].id
    if status.accepted != status.delivered + status.dropped + status.dead + status.pending:
        yield f"the ledger does not add up: {status}"
    if (rows["pending"], rows["dead"], rows["delivered"]) != (status.pending, status.dead, status.history):
        yield f"the ledger says {status}, the events are {rows}"
    torn = max(0, status.accepted - len(safe))  # it had an id when the power went, and no caller knew
    if status.dropped > harm + torn:
        yield f"dropped without being damaged: {status.drops}"
    gone = status.delivered - status.history  # delivered, and no longer kept in the history
    if len(safe - there.keys()) > gone + harm or status.accepted < len(safe) - harm:
        yield f"accepted, and not there: {_few(safe - there.keys())}"
    for name, image in there.items():
        if issued[name].image != image:
            yield f"{name} has another image"


async def _recover(place: Path) -> tuple[OutboxStatus, dict[str, int]]:
    outbox = await Outbox.open(place / FOLDER, now=lambda: ACCEPTED_AT)
    try:
        return await outbox.status(), await outbox.count_rows()
    finally:
        await outbox.close()


def _look_at_receiver(
    place: Path, safe: frozenset[str], issued: dict[str, Issued], harm: int
) -> Iterator[str]:
    try:
        # The log is about deliberate damage.
        with (
            capture_logs(),
            closing(SqliteStore.open(place)) as store,
            _projecting(store, Folder.open(place / JOURNAL)) as projector,
        ):
            _list_all(projector)
            behind = projector.lag()
    except GatepostError as error:
        yield f"the store cannot be opened, or the journal is not listed to its end: {error}"
        return
    if behind.bytes:
        yield f"the journal is not listed to its end: {behind.bytes} bytes wait"
    if projector.set_aside or (projector.damaged and not harm):
        yield f"told as damaged: {projector.damaged}, set aside: {projector.set_aside}"
    with closing(sqlite3.connect(place / "gatepost.db")) as db:
        yield from _unsound(db)
    found = read_disk.stored(place)
    names = [each.name for each in found]
    if len(names) != len(set(names)):
        yield "an event is there twice"
    if spurious := set(names) - issued.keys():
        yield f"there, and never pushed: {_few(frozenset(spurious))}"
    missing = (safe & issued.keys()) - set(names)
    if len(missing) > harm:
        yield f"acknowledged, and not there: {_few(missing)}"
    if read_disk.duplicates_seen(place) > len(safe - issued.keys()):
        yield "counted as a duplicate, and pushed once"
    for each in found:
        if each.name in issued and each.image != issued[each.name].image:
            yield f"{each.name} has another image: {each.image}"


def _unsound(db: sqlite3.Connection) -> Iterator[str]:
    result = db.execute("PRAGMA integrity_check").fetchone()[0]
    if result != "ok":
        yield f"the file is damaged: {result}"


def _few(names: frozenset[str]) -> str:
    few = sorted(names)[:FEW]
    return f"{len(names)}: {', '.join(few)}"
