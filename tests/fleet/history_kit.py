"""What a receiver has to fetch histories with: a store, its journal, and what lists the one into the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.fleet.double import ADMIN, Double
from tests.terminals import ensured

from gatepost import wire
from gatepost.fleet.client import Account, TerminalClient
from gatepost.fleet.history.around import Around
from gatepost.fleet.history.backfill import Backfill
from gatepost.journal.folder import Folder
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.jobs.desk_writer import DeskWriter
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.store.base import BaseStore
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import Arrival, RecordQuery, RecordRow
from gatepost.store.query.notices import Notices
from gatepost.store.receivers.leases import Leases
from gatepost.store.terminals.adopted import AdoptedRow, Credentials, NewAdopted
from gatepost.store.terminals.fleet import Adopted
from gatepost.store.terminals.fleet_jobs import FleetJobs, JobRow, NewJob

BEGIN_S = 1_700_000_000
JPEG = b"\xff\xd8\xff\xe0 a face"


def passage(second: int, number: int = 0, **fields: object) -> wire.Record:
    """Return a passage at a second after :data:`BEGIN_S`, by the person of a number."""
    values: dict[str, object] = {
        "serial": "SN-7",
        "uuid": f"4d3987c1-a3b3-470b-{number:04d}-{second:012d}",
        "recorded_at": datetime.fromtimestamp(BEGIN_S + second, UTC),
        "recognition_type": 1,
        "passed": True,
        "entry_mode": 1,
        "user": wire.User(user_id=str(number), name=f"王{number}", type=1),
    }
    return wire.Record(**(values | fields))  # type: ignore[arg-type]


async def remember(double: Double, records: Iterable[wire.Record]) -> None:
    """Have a terminal keep passages that it delivers to no receiver."""
    await double.terminal.outbox.subscribe(wire.Subscription("http://127.0.0.1:9/Record", True))
    for record in records:
        await double.terminal.record(record)


class Desk:
    """The part of a receiver that fetches."""

    def __init__(self, store: BaseStore) -> None:
        assert store.packs is not None
        self.store = store
        self.folder: Folder = store.packs.folder
        self.frames = Frames(store.secret, ImageKeys())
        self.writer = DeskWriter(self.folder, self.frames)
        self.projector = Projector(self.folder, store, self.frames)
        self.jobs, self.adopted = FleetJobs(store), Adopted(store)
        self.notices = Notices(store)
        self.ahead_s = 0.0
        self.talks = 0
        self.before_take: Callable[[], object] = lambda: None
        self.after_take: Callable[[], object] = lambda: None
        self.backfill = Backfill(
            Around(
                jobs=self.jobs,
                adopted=self.adopted,
                leases=Leases(store),
                notices=self.notices,
                talk=self.talk,
                take=self.take,
                catch_up=self.catch_up,
                secret=store.secret,
                owner="test",
                now=self.now,
                monotonic=time.monotonic,
            )
        )

    def now(self) -> float:
        return time.time() + self.ahead_s

    def take(self, arrivals: Sequence[Arrival]) -> None:
        self.before_take()
        self.writer.append([self.writer.encoded(one) for one in arrivals])
        self.after_take()

    def catch_up(self) -> None:
        while self.projector.step():
            pass

    @asynccontextmanager
    async def talk(self, row: AdoptedRow) -> AsyncIterator[TerminalClient]:
        self.talks += 1
        credentials = await asyncio.to_thread(self.adopted.opened, row)
        assert credentials is not None
        async with TerminalClient(row.address, serial=row.serial, pin=row.certificate) as client:
            await client.look()
            await client.login(Account(credentials.username, credentials.password))
            yield client

    def adopt(
        self,
        address: str,
        serial: str = "SN-7",
        password: str = ADMIN.password,
        certificate: bytes | None = None,
    ) -> int:
        row = ensured(self.store, serial, now_ms=0, state="approved")
        self.adopted.adopt(
            NewAdopted(
                terminal_id=row.id,
                address=address,
                ours="http://here/Record",
                credentials=Credentials(ADMIN.username, password, "token"),
                certificate=certificate,
                previous=None,
                previous_shown=None,
                must_set=False,
                clock_error_ms=None,
                by="test",
            ),
            now_ms=0,
        )
        return row.id

    def ask(self, terminal_id: int, since: int = 0, until: int = 86_400 * 2) -> int:
        """Ask for a span of seconds after :data:`BEGIN_S`; return the job's number."""
        new = NewJob(terminal_id=terminal_id, since_s=BEGIN_S + since, until_s=BEGIN_S + until)
        return self.jobs.make(new, now_ms=0).id

    async def fetch(self, job_id: int) -> JobRow:
        """Work on what is due until it ends; return how the job is then."""
        await self.backfill.once()
        await self.backfill.idle()
        await asyncio.to_thread(self.catch_up)
        return self.job(job_id)

    def job(self, job_id: int) -> JobRow:
        found = self.jobs.one(job_id)
        assert found is not None
        return found

    def rows(self) -> Sequence[RecordRow]:
        found: list[RecordRow] = []
        cursor = None
        while True:
            page = self.store.records(RecordQuery(limit=1000, cursor=cursor))
            found += page.items
            if (cursor := page.next_cursor) is None:
                return found

    def close(self) -> None:
        self.projector.close(timeout_s=0)


async def double_with(folder: Path, records: Iterable[wire.Record], *options: str) -> Double:
    """Open a terminal over plain HTTP that remembers passages."""
    double = await Double(folder, "SN-7", *options, tls=False).open()
    await remember(double, records)
    return double
