"""Power cuts of a terminal that has dead letters: what a person decided about one is not undone."""

import asyncio
import random
import shutil
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import Struct, field

from gatepost.retry import DeadLetter, Done, RetryAt
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.opening import FOLDER
from gatepost.terminal.outbox.outbox import Outbox, State
from gatepost.terminal.outbox.reader import Reader
from gatepost.torture.power_loss.disk_model import DiskModel
from gatepost.torture.power_loss.sqlite_vfs import RecordingFiles
from gatepost.wire import Alarm, Record, Subscription

AT = 1_700_000_000.0
HAPPENED = datetime.fromtimestamp(AT, UTC)
SETTINGS = TerminalSettings(history_events=10, capacity_bytes=1_000_000)

PENDING, DELIVERED, DEAD, DISCARDED = "pending", "delivered", "dead", "discarded"


class Step(Struct, frozen=True):
    """A change of an event: the operations of the disk before it began, and when its caller was told."""

    became: str
    began: int
    ended: int
    is_synced: bool


class Run(Struct):
    """A terminal's life on a disk whose operations are noted."""

    disk: DiskModel = field(default_factory=DiskModel)
    steps: dict[int, list[Step]] = field(default_factory=dict)

    async def note(
        self, numbers: list[int], became: str, work: Awaitable[object], *, is_synced: bool
    ) -> None:
        began = len(self.disk.ops)
        await work
        for number in numbers:
            self.steps.setdefault(number, []).append(Step(became, began, len(self.disk.ops), is_synced))

    def allowed(self, number: int, at: int) -> set[str | None]:
        """Return what an event may be after a cut; ``None``: not there."""
        states: set[str | None] = {None}
        for step in self.steps[number]:
            if step.began >= at:
                break
            states = {step.became} if step.is_synced and step.ended <= at else {*states, step.became}
        return states


def event(number: int) -> Record | Alarm:
    if number % 7 == 0:
        return Alarm(code=1, event_time=HAPPENED, trace_id=f"trace-{number // 2}", status=1)
    return Record(uuid=f"event-{number}", recognition_type=1, passed=True, image=b"\xff\xd8" + bytes(3_000))


async def life(folder: Path, seed: int, count: int) -> Run:
    """Record, deliver, refuse, retry and discard, over three starts."""
    run, rand = Run(), random.Random(seed)
    files = RecordingFiles(run.disk, folder)
    for start in range(3):
        outbox = await Outbox.open(folder / FOLDER, settings=SETTINGS, now=lambda: AT, files=files)
        if not start:
            await outbox.subscribe(Subscription("http://192.0.2.1/Record", True))
        for _ in range(count // 3):
            number = 1 + len(run.steps)
            await run.note([number], PENDING, outbox.put(event(number)), is_synced=True)
            for claimed in await outbox.claim(rand.choice((0, 1, 1, 2)), now=AT):
                step = rand.choice((Done(), Done(), DeadLetter("code 500"), RetryAt(AT, reason="HTTP 500")))
                became = {Done: DELIVERED, DeadLetter: DEAD}.get(type(step), PENDING)
                await run.note([claimed.id], became, outbox.settle([(claimed.id, step)]), is_synced=False)
            dead = [letter.id for letter in await outbox.dead_letters()]
            if dead and rand.random() < 0.3:
                chosen = rand.sample(dead, rand.randint(1, len(dead)))
                if rand.random() < 0.5:
                    await run.note(chosen, PENDING, outbox.retry_dead(chosen), is_synced=True)
                else:
                    await run.note(chosen, DISCARDED, outbox.discard_dead(chosen), is_synced=True)
        await outbox.close()
    return run


async def recovered(folder: Path) -> dict[int, str]:
    """Open what a cut has left; return the state of each event that is there."""
    outbox = await Outbox.open(folder / FOLDER, settings=SETTINGS, now=lambda: AT)
    try:
        status, rows = await outbox.status(), await outbox.count_rows()
    finally:
        await outbox.close()
    assert status.accepted == status.delivered + status.pending + status.dead + status.dropped
    assert rows == {"pending": status.pending, "dead": status.dead, "delivered": status.history}
    reader, found, after = Reader(folder / FOLDER), {}, 0
    while events := reader.step(tuple(State), after):
        found.update({each.id: str(each.state) for each in events})
        after = events[-1].id
    return found


@pytest.mark.parametrize(
    ("seed", "cuts"), [(1, 60), *(pytest.param(seed, 1000, marks=pytest.mark.soak) for seed in (2, 3))]
)
@pytest.mark.timeout(1200)
async def test_after_a_power_cut_no_event_is_missing_and_no_decision_is_undone(
    tmp_path: Path, seed: int, cuts: int
) -> None:
    (tmp_path / "run").mkdir()
    run = await life(tmp_path / "run", seed, 240)
    became = [step.became for steps in run.steps.values() for step in steps]
    assert min(became.count(each) for each in (DELIVERED, DEAD, DISCARDED)) > 10
    rand = random.Random(f"{seed}/cuts")
    first = run.steps[1][0].ended
    positions = sorted(rand.randint(first, len(run.disk.ops)) for _ in range(cuts))
    for rest in run.disk.cuts(positions, rand):
        rest.write(tmp_path / "cut")
        found = await asyncio.wait_for(recovered(tmp_path / "cut"), 60)
        for number in run.steps:
            # What was delivered leaves the history, and what was discarded is gone.
            states = run.allowed(number, rest.at)
            state = found.get(number)
            assert state in states or (state is None and states & {DELIVERED, DISCARDED}), (
                f"after {rest.at} operations event {number} is {state}, and not {states}"
            )
        shutil.rmtree(tmp_path / "cut")
