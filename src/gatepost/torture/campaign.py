"""A whole run: both ends, proxies between them, events, faults, and the judgement.

Flow: receiver, proxies and terminals start, terminals are subscribed → event sources and four tracks of faults run for
the given time → everything is healed → events that the destination refuses become dead letters → the event sources
stop → the outboxes drain → both ends stop → the disks are judged.
"""

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from gatepost.conformance.raw_http import Target
from gatepost.terminal.local_socket import client as door_client
from gatepost.torture import read_api, read_disk
from gatepost.torture.event_source import EventSource
from gatepost.torture.fault_injection import SystemUnderTest, inflict, subscribe
from gatepost.torture.fault_plan import TRACKS, Kind, plan
from gatepost.torture.judge import Evidence, judge
from gatepost.torture.oracle import Oracle
from gatepost.torture.report import Outcome
from gatepost.torture.system import destination
from gatepost.torture.system.destination import is_refused
from gatepost.torture.system.disks import DiskError, Disks, MountedDisk
from gatepost.torture.system.processes import LAUNCHER, End, EndError
from gatepost.torture.system.proxy import Proxy, Traffic
from gatepost.torture.wanted import wanted

__all__ = ["Campaign", "Settings"]

DRAIN_S = 120.0
"""Seconds for draining, once no fault is left, counted from the last event that was delivered."""

AFTERWARDS = ("duplicates recognised",)
"""Counts that are known only when both ends have stopped."""

# Short waits, so that hundreds of faults fit into minutes. No guarantee depends on them.
TERMINAL = """
overflow = "refuse-newest"  # on a full disk nothing that was accepted makes room
retry_first_s = 0.1
retry_cap_s = 1.0
connect_timeout_s = 2.0
send_timeout_s = 3.0
reply_timeout_s = 2.0
drain_timeout_s = 2.0
max_refusals = 10
"""


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of a run."""

    seed: int = 1
    seconds: float = 600.0
    """Seconds during which faults happen."""
    longer: float | None = None
    """Seconds to go on at most if too little has happened by then; ``None``: as long again."""
    terminals: int = 3
    rate: float = 15.0
    """Events per second of each terminal."""
    tracks: Sequence[tuple[Kind, ...]] = TRACKS
    launcher: Sequence[str] = LAUNCHER
    disks: Disks = Disks(False, why="nobody asked for them")
    keep: bool = False
    """The content of real disks stays in the folder."""
    wanted: Mapping[str, int] | None = None
    """How often each thing has to happen; ``None``: every fault of the tracks once, and what follows from it."""


class EndState(Struct, frozen=True):
    """The observations at the end, while both ends still ran."""

    undrained: Sequence[str]
    listed: Sequence[str]
    kept: Sequence[str]
    seconds: float


class Campaign:
    """One run in ``folder``, which is empty or does not exist. ``say`` receives its progress."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        say: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._folder = folder
        self._settings_file = folder / "receiver.toml"
        self._say = say
        self._sleep = sleep
        self._clock = clock
        self._rand = random.Random(settings.seed)  # noqa: S311 (makes events, no secrets)
        self.oracle = Oracle(random.Random(f"{settings.seed}/events"), time.time)  # noqa: S311 (as above)
        self.traffic = Traffic()
        least = wanted(settings.tracks, real=settings.disks.real)
        self._wanted = least if settings.wanted is None else settings.wanted
        self._unbalanced: list[str] = []
        self._audits = 0
        self._forward_audits = 0

    async def run(self) -> Outcome:
        """Run it. Raises EndError if an end cannot be started, DiskError if a disk cannot be made."""
        system = self._build()
        ends = (*system.terminals, system.receiver)
        try:
            for end in ends:
                if self.settings.disks.real:
                    end.disk = MountedDisk(end.folder, self.settings.disks.size)
                end.disk.open()
            return await self._run(system)
        finally:
            for end in ends:
                end.disk.close(keep=self.settings.keep)

    async def _run(self, system: SystemUnderTest) -> Outcome:
        issuers = [
            EventSource(
                number,
                end,
                self.oracle,
                rate=self.settings.rate,
                rand=random.Random(f"{self.settings.seed}/{number}"),  # noqa: S311 (as above)
                sleep=self._sleep,
            )
            for number, end in enumerate(system.terminals)
        ]
        system.issuers = issuers
        began = self._clock()
        try:
            await self._start(system)
            issuing = [asyncio.create_task(issuer.run()) for issuer in issuers]
            auditing = asyncio.create_task(self._audit(system))
            await self._torment(system)
            await self._heal(system)
            kept = await self._given_up(system)
            for issuer in issuers:
                issuer.stop()
            await asyncio.wait_for(asyncio.gather(*issuing), DRAIN_S)
            undrained = await self._drain(system)
            listed = await read_api.listed(system.receiver.address, system.receiver.folder)
            undrained += await self._forwarded(system)
            auditing.cancel()
            await asyncio.gather(auditing, return_exceptions=True)
            late = [end.name for end in (*system.terminals, system.receiver) if not await end.term()]
        finally:
            await self._clear(system)
        system.late += late
        return await asyncio.to_thread(
            self._judge, system, EndState(undrained, listed, kept, self._clock() - began)
        )

    # -- before

    def _build(self) -> SystemUnderTest:
        settings = self.settings
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "terminal.toml"
        config.write_text(TERMINAL, encoding="utf-8")
        data = self._folder / "receiver"
        serve: tuple[str, ...] = ("serve", "--data", str(data), "--listen", "127.0.0.1:{port}")
        # The destination is on this machine. The receiver sends nothing there unless it is allowed by name.
        self._settings_file.write_text('forward_networks = ["127.0.0.0/8"]\n', encoding="utf-8")
        serve += ("--config", str(self._settings_file))
        receiver = End("receiver", serve, data, launcher=settings.launcher)
        terminals = []
        for number in range(settings.terminals):
            data = self._folder / f"terminal-{number}"
            run: tuple[str, ...] = ("terminal", "run", "--sn", f"TORTURE-{number}", "--data", str(data))
            run += ("--listen", "127.0.0.1:{port}", "--config", str(config))
            terminals.append(End(f"terminal {number}", run, data, launcher=settings.launcher))
        lines = [
            Proxy(lambda: Target.parse(f"{receiver.address}/Record"), self.traffic, sleep=self._sleep)
            for _ in terminals
        ]
        return SystemUnderTest(terminals, lines, receiver, traffic=self.traffic, sleep=self._sleep)

    async def _start(self, system: SystemUnderTest) -> None:
        await system.receiver.start()
        await system.destination.open()
        await asyncio.to_thread(
            _add_destination, system.receiver.folder, system.destination.url, self._settings_file
        )
        for number, (end, line) in enumerate(zip(system.terminals, system.lines, strict=True)):
            await line.open()
            await end.start()
            if not await subscribe(system, number):
                raise EndError(f"{end.name} does not let itself be subscribed")

    # -- during

    async def _torment(self, system: SystemUnderTest) -> None:
        ends = self._clock() + self.settings.seconds
        try:
            async with asyncio.TaskGroup() as tracks:
                for track in self.settings.tracks:
                    tracks.create_task(self._track(system, track, ends))
        except* (EndError, DiskError) as errors:
            raise errors.exceptions[0] from None

    async def _track(self, system: SystemUnderTest, track: tuple[Kind, ...], ends: float) -> None:
        faults = plan(self.settings.seed, track, terminals=self.settings.terminals)
        # On a slow machine too little may have happened by then. The run goes on, with a limit.
        last = ends + (self.settings.seconds if self.settings.longer is None else self.settings.longer)
        while (now := self._clock()) < ends or (now < last and self._missing(system)):
            fault = next(faults)
            await inflict(system, fault)
            self._say(f"{system.done.total()} {fault.kind} {fault.target}")

    def _happened(self, system: SystemUnderTest) -> Counter[str]:
        """Count what happened so far, as far as it can be observed from outside."""
        happened: Counter[str] = system.done + system.met
        happened.update({f"met {kind}": count for kind, count in self.traffic.met.items()})
        happened.update(system.destination.met)
        happened["refused always"] = system.destination.refusals
        happened["pushes"] = self.traffic.pushes
        happened["resends"] = self.traffic.resends
        happened["audits"] = self._audits
        happened["audits of the destination"] = self._forward_audits
        happened["interruptions"] = sum(issuer.interruptions for issuer in system.issuers)
        for issuer in system.issuers:
            happened.update({f"refused {kind}": count for kind, count in issuer.refusals.items()})
        return happened

    def _missing(self, system: SystemUnderTest) -> bool:
        """Tell whether something has to happen yet that only faults cause."""
        happened = self._happened(system)
        return any(happened[name] < least for name, least in self._wanted.items() if name not in AFTERWARDS)

    async def _audit(self, system: SystemUnderTest) -> None:
        """Check the ledgers while everything runs."""
        while True:
            for end in system.terminals:
                if not end.up.is_set():
                    continue
                try:
                    status = await asyncio.to_thread(door_client.ask, end.folder, "status", timeout_s=2.0)
                except Exception:  # noqa: S112 (it was killed or stopped meanwhile)
                    continue
                self._balance(end.name, status)
            with contextlib.suppress(sqlite3.Error, ValueError):  # it is starting, or its disk fails
                self._balance_of_destination(
                    await asyncio.to_thread(read_disk.forwarded, system.receiver.folder)
                )
            await self._sleep(0.5)

    def _balance(self, name: str, status: Mapping[str, int]) -> None:
        self._audits += 1
        parts = {part: status[part] for part in ("delivered", "pending", "dead", "dropped")}
        if status["accepted"] != sum(parts.values()):
            self._unbalanced.append(f"{name}: {status['accepted']} is not {parts}")

    def _balance_of_destination(self, ledger: read_disk.Forwarded) -> None:
        self._forward_audits += 1
        if not ledger.adds_up:
            self._unbalanced.append(f"the destination: {ledger}")

    # -- after

    async def _heal(self, system: SystemUnderTest) -> None:
        for end in (*system.terminals, system.receiver):
            end.resume()
            end.limit(None)
            if not end.up.is_set():
                await end.start()  # it died, which is recorded
        for number in range(len(system.terminals)):
            for _ in range(50):
                if await subscribe(system, number):
                    break
                await self._sleep(0.2)

    async def _given_up(self, system: SystemUnderTest) -> list[str]:
        """Wait until the events that the destination always refuses are dead letters; return which are not.

        Other events still come meanwhile, because the receiver gives none up before others of its kind were accepted.
        """
        data, destination = system.receiver.folder, system.destination
        destination.expect_dead_letters()
        names = frozenset(filter(is_refused, await asyncio.to_thread(read_disk.waiting, data)))
        before, ends = None, 0.0
        while names and not destination.overdue:
            if before != (now := (names, destination.refusals)):
                before, ends = now, self._clock() + DRAIN_S
            if self._clock() > ends:
                return sorted(names)
            await self._sleep(0.1)
            names &= await asyncio.to_thread(read_disk.waiting, data)
        return destination.overdue

    async def _drain(self, system: SystemUnderTest) -> list[str]:
        undrained = []
        for end in system.terminals:
            pending, ends = None, 0.0
            while True:
                status = await asyncio.to_thread(door_client.ask, end.folder, "status", timeout_s=30.0)
                if status["pending"] == 0:
                    break
                if status["pending"] != pending:
                    pending, ends = status["pending"], self._clock() + DRAIN_S
                if self._clock() > ends:
                    undrained.append(f"{end.name}: {status['pending']} pending, {status['last_error']}")
                    break
                await self._sleep(0.1)
        return undrained

    async def _forwarded(self, system: SystemUnderTest) -> list[str]:
        """Wait until the destination has received everything."""
        data, before, ends = system.receiver.folder, None, 0.0
        while True:
            ledger = await asyncio.to_thread(read_disk.forwarded, data)
            if not ledger.waiting + ledger.unread:
                return []
            if ledger != before:
                before, ends = ledger, self._clock() + DRAIN_S
            if system.destination.refuses and not ledger.unread:
                names = await asyncio.to_thread(read_disk.waiting, data)
                system.destination.refuses = len(names) < ledger.waiting or not all(map(is_refused, names))
            if self._clock() > ends:
                return [f"the destination: {ledger}"]
            await self._sleep(0.1)

    async def _clear(self, system: SystemUnderTest) -> None:
        for end in (*system.terminals, system.receiver):
            await end.kill()
            end.clock.close()
        for line in system.lines:
            await line.close()
        await system.destination.close()

    def _judge(self, system: SystemUnderTest, ended: EndState) -> Outcome:
        data = system.receiver.folder
        happened = self._happened(system)
        happened["duplicates recognised"] = read_disk.duplicates_seen(data)
        ledgers = [read_disk.ledger(end.folder) for end in system.terminals]
        for end, each in zip(system.terminals, ledgers, strict=True):
            self._balance(end.name, each)
        evidence = Evidence(
            issued=self.oracle.issued,
            fates=self.oracle.fates,
            stored=read_disk.stored(data),
            quarantined=read_disk.quarantined(data),
            pending=frozenset().union(*(read_disk.held(end.folder, "pending") for end in system.terminals)),
            dead=frozenset().union(*(read_disk.held(end.folder, "dead") for end in system.terminals)),
            ledgers=ledgers,
            unbalanced=self._unbalanced,
            acknowledged=frozenset(self.traffic.acknowledged),
            disordered=self.traffic.disordered,
            died=[died for end in (*system.terminals, system.receiver) for died in end.died],
            late=system.late,
            defects=[*self.traffic.defects, *system.destination.defects],
            passed_on=system.destination.taken,
            several_ids=frozenset(name for name, ids in system.destination.ids.items() if len(ids) > 1),
            given_up=read_disk.dead_letters(data),
            seen=read_disk.forwarded(data).seen - read_disk.notices(data),
            undrained=ended.undrained,
            kept=ended.kept,
            listed=ended.listed,
            happened=happened,
            wanted=self._wanted,
        )
        return Outcome(
            seed=self.settings.seed,
            seconds=round(ended.seconds, 1),
            faults=system.done.total(),
            happened=dict(happened),
            judgement=judge(evidence),
            disks=self.settings.disks,
        )


def _add_destination(folder: Path, url: str, settings: Path) -> None:
    """Add a destination to a receiver, for all events. Raises EndError."""
    words = ["forward", "add", "torture", "--data", str(folder), "--url", url, "--config", str(settings)]
    for option in destination.OPTIONS:
        words += ["--set", option]
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "gatepost.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise EndError(f"no destination could be made: {done.stderr.strip()}")
