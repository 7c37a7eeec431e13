"""The line between ingest and desk where one of both is gone, slow, or one of several."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.receiver.kit import until

from gatepost.errors import StoreUnavailable
from gatepost.receiver.http.server import listen_locally
from gatepost.receiver.processes import desk_line, ingests
from gatepost.receiver.processes.desk_line import DeskLine
from gatepost.receiver.processes.gauges import Gauges
from gatepost.receiver.processes.ingests import Ingests
from gatepost.receiver.processes.link import Changed, Handler, Holder, Listed, Made, Numbers, Table, Welcome
from gatepost.receiver.terminals.claims import Known

KNOWN = Known(id=3, serial="SN-3")
NOTHING = Listed({}, False, 0, (), (0, ""))


class Desk:
    """The desk's end, and what it is asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ended: list[int] = []
        self.table = Table([KNOWN], [], {}, "UTC")
        self.listed = NOTHING
        self.gate = asyncio.Event()
        self.gate.set()
        self.ingests = Ingests(
            {Holder: self._holder}, welcome=lambda: Welcome(b"secret", self.table, self.listed, ["/records"]),
            listed=lambda: self.listed, end=self.ended.append,
        )  # fmt: skip
        self._server: asyncio.AbstractServer | None = None

    async def _holder(self, asked: Holder) -> Known | None:
        await self.gate.wait()
        return KNOWN if asked.digest == b"known" else None

    async def start(self) -> None:
        bound = listen_locally(self._path)[0]
        self._server = await asyncio.start_unix_server(self.ingests.accept, sock=bound)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink()
            self.ingests.close()
            await self.ingests.all_gone()


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    made = Desk(folder / "lines")
    await made.start()
    yield made
    await made.stop()


class Told:
    """What an ingest was told, in order; with a gate it takes nothing before that is open."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.all: list[Any] = []
        self.welcomes: list[Welcome] = []
        self._gate = gate

    async def take(self, message: Any) -> None:
        if self._gate is not None:
            await self._gate.wait()
        self.all.append(message)

    def of(self, kind: type) -> list[Any]:
        return [one for one in self.all if type(one) is kind]

    @property
    def handlers(self) -> Mapping[type, Handler]:
        return dict.fromkeys((Table, Changed, Made, Listed), self.take)


@asynccontextmanager
async def ingest(path: Path, told: Told) -> AsyncIterator[DeskLine]:
    line = DeskLine(str(path))
    told.welcomes.append(await line.connect())
    task = asyncio.create_task(line.run(told.handlers, told.welcomes.append))
    yield line
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await line.close()


async def test_an_ingest_is_told_first_what_it_has_to_know_and_asks(tmp_path: Path) -> None:
    told = Told()
    async with desk(tmp_path) as made, ingest(tmp_path / "lines", told) as line:
        (welcome,) = told.welcomes
        assert (welcome.secret, list(welcome.table.terminals), welcome.paths) == (
            b"secret",
            [KNOWN],
            ["/records"],
        )
        assert await line.holder(b"known") == KNOWN
        assert await line.holder(b"wrong") is None
        await made.ingests.call(Changed([KNOWN]))
        assert [list(one.terminals) for one in told.of(Changed)] == [[KNOWN]]


async def test_an_ingest_waits_for_a_desk_that_is_not_there_yet(tmp_path: Path) -> None:
    line = DeskLine(str(tmp_path / "lines"))
    connecting = asyncio.create_task(line.connect())
    await asyncio.sleep(0)
    assert not line.is_up
    with pytest.raises(StoreUnavailable):
        await line.holder(b"known")
    await line.tell(Numbers(Gauges()))  # is lost, and no error
    async with desk(tmp_path):
        assert (await asyncio.wait_for(connecting, 20)).secret == b"secret"
        assert line.is_up
        await line.close()


async def test_when_the_desk_comes_back_the_ingest_takes_over_what_it_says_then(tmp_path: Path) -> None:
    told = Told()
    async with desk(tmp_path) as made, ingest(tmp_path / "lines", told) as line:
        await made.stop()
        await until(lambda: not line.is_up)
        with pytest.raises(StoreUnavailable, match="starting again"):
            await line.use(b"known", at_ms=1)
        made.table = Table([], [], {}, "Asia/Shanghai")
        await made.start()
        await until(lambda: line.is_up)
        assert [one.table.new_timezone for one in told.welcomes] == ["UTC", "Asia/Shanghai"]
        await made.ingests.call(Changed([KNOWN]))
        assert len(told.of(Changed)) == 1


async def test_what_changes_while_an_ingest_connects_does_not_pass_it_by(tmp_path: Path) -> None:
    told = Told()
    async with desk(tmp_path) as made:
        line = DeskLine(str(tmp_path / "lines"))
        told.welcomes.append(await line.connect())
        changing = asyncio.create_task(made.ingests.call(Table([], [], {}, "Asia/Shanghai")))
        await asyncio.sleep(0)
        assert not changing.done()  # it is not in force before the ingest has it
        running = asyncio.create_task(line.run(told.handlers, told.welcomes.append))
        await asyncio.wait_for(changing, 20)
        assert [one.new_timezone for one in told.of(Table)] == ["Asia/Shanghai"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await line.close()


async def test_a_change_waits_for_every_ingest_and_not_for_one_that_ended(tmp_path: Path) -> None:
    gate = asyncio.Event()
    quick, slow = Told(), Told(gate)
    path = tmp_path / "lines"
    async with desk(tmp_path) as made, ingest(path, quick), ingest(path, slow):
        async with ingest(path, Told(asyncio.Event())) as ending:
            changing = asyncio.create_task(made.ingests.call(Changed([KNOWN])))
            await until(lambda: len(quick.of(Changed)) == 1)
            assert not changing.done()
            await ending.close()
        gate.set()
        await asyncio.wait_for(changing, 20)
        assert len(slow.of(Changed)) == 1


async def test_an_ingest_that_hangs_is_ended_so_that_it_decides_by_nothing_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, hanging = Told(), Told(asyncio.Event())
    path = tmp_path / "lines"
    async with desk(tmp_path) as made, ingest(path, told), ingest(path, hanging) as line:
        monkeypatch.setattr(ingests, "PATIENCE_S", 0.05)
        with capture_logs() as logged:
            await made.ingests.call(Changed([KNOWN]))
        assert len(told.of(Changed)) == 1
        assert made.ended == [os.getpid()]  # both ends are this process
        assert [(one["event"], one["pid"]) for one in logged] == [("ingests.one_ended", os.getpid())]
        await until(lambda: len(hanging.welcomes) == 2)  # it was not ended after all: it is told all again
        assert line.is_up


async def test_an_ingest_that_fails_to_take_a_change_is_ended(tmp_path: Path) -> None:
    class Failing(Told):
        async def take(self, message: Any) -> None:
            if isinstance(message, Changed):
                raise ValueError

    async with desk(tmp_path) as made, ingest(tmp_path / "lines", Failing()):
        with capture_logs() as logged:
            await made.ingests.call(Changed([KNOWN]))
        assert made.ended == [os.getpid()]
        assert [one["event"] for one in logged] == ["link.call_failed", "ingests.one_ended"]


async def test_what_is_counted_by_one_process_is_counted_once_though_its_line_breaks(tmp_path: Path) -> None:
    told = Told()
    async with desk(tmp_path) as made, ingest(tmp_path / "lines", told) as line:
        await line.tell(Numbers(Gauges(committed=5)))
        await until(lambda: made.ingests.gauges.committed == 5)
        made.ingests.close()
        await until(lambda: len(told.welcomes) == 2)
        assert made.ingests.gauges.committed == 5
        await line.tell(Numbers(Gauges(committed=7)))
        await until(lambda: made.ingests.gauges.committed == 7)


async def test_a_desk_that_does_not_respond_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_line, "PATIENCE_S", 0.05)
    async with desk(tmp_path) as made, ingest(tmp_path / "lines", Told()) as line:
        made.gate.clear()
        with pytest.raises(StoreUnavailable, match="starting again"):
            await line.holder(b"known")
        made.gate.set()
        assert await line.holder(b"known") == KNOWN


async def test_how_far_the_journal_is_listed_is_told_at_once_and_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingests, "LISTED_EVERY_S", 0.01)
    told = Told()
    async with desk(tmp_path) as made, ingest(tmp_path / "lines", told):
        made.listed = Listed({}, True, 0, (), (0, ""))
        await until(lambda: any(one.is_away for one in told.of(Listed)))
        monkeypatch.setattr(ingests, "LISTED_EVERY_S", 600)
        made.listed = Listed({}, False, 7, (), (0, ""))
        made.ingests.wake()
        await until(lambda: told.of(Listed)[-1].damaged == 7)


async def test_what_an_ingest_counted_stays_counted_when_it_ends(tmp_path: Path) -> None:
    busy = Gauges(connections=3, commits=2, committed=5, refused={"no JSON": 1}, guard={"shed": 4})
    path = tmp_path / "lines"
    async with desk(tmp_path) as made:
        async with ingest(path, Told()) as one, ingest(path, Told()) as other:
            await one.tell(Numbers(busy))
            await other.tell(Numbers(busy))
            await until(lambda: made.ingests.gauges.committed == 10)
            assert made.ingests.gauges.by_name() == {
                "connections": 6, "bodies_bytes": 0, "waiting": 0, "commits": 4, "committed": 10, "failed": 0,
                "refused": 2, "guard.shed": 8,
            }  # fmt: skip
        await made.ingests.all_gone()
        assert (made.ingests.gauges.connections, made.ingests.gauges.committed) == (0, 10)
        async with ingest(path, Told()) as again:
            await again.tell(Numbers(Gauges(committed=1)))
            await until(lambda: made.ingests.gauges.committed == 11)
