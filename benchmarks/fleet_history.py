"""What does it cost to count a day of 2,000 terminals, and how fast is a history fetched against reading it out alone?

SQLite. The 2,000 are one server that stands for all of them, over plain HTTP. The history that is fetched is that of
`gatepost terminal run` over TLS: records without images, none of which is here. Reading out alone is done by the
client of the receiver, page after page, with nothing stored. How long fetching took, the job itself says, from the
order until everything is listed: asking for it again and again is work of the receiver, too.
"""

import asyncio
import http.client
import json
import multiprocessing
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.bench import Bench
from benchmarks.programs import BenchmarkError, api_token, free_port, gatepost, start
from benchmarks.report import Row
from gatepost import wire
from gatepost.fleet.client import Account, TerminalClient
from gatepost.fleet.history.around import Around
from gatepost.fleet.history.audit import Auditor, due_days
from gatepost.store.interface import NewTerminal
from gatepost.store.query.notices import Notices
from gatepost.store.receivers.leases import Leases
from gatepost.store.sqlite.store import SqliteStore
from gatepost.store.terminals.adopted import AdoptedRow, Credentials, NewAdopted
from gatepost.store.terminals.fleet import Adopted
from gatepost.store.terminals.fleet_jobs import AuditRow, FleetJobs
from gatepost.terminal import Terminal

TERMINALS = 2_000
WITHIN_S = 300
HISTORIES = (9_000, 45_000)
"""Records: of a day without the receiver, and nearly all that a terminal keeps (50,000)."""
SERIAL, USER, PASSWORD = "BENCH-1", "admin", "a password of the benchmark"
SPAN_DAYS = 3
ASK_S = 0.5
"""Between two questions how far the job is."""


def run(bench: Bench) -> list[Row]:
    """Count days; then fetch histories, and read each out alone."""
    return [asyncio.run(_audit(bench)), *(asyncio.run(_fetch(bench, count)) for count in HISTORIES)]


async def _audit(bench: Bench) -> Row:
    count = bench.sized(TERMINALS)
    here, there = multiprocessing.Pipe()
    peer = multiprocessing.Process(target=_stand_for_all, args=(there,), daemon=True)
    peer.start()
    port = here.recv()
    store = SqliteStore.open(bench.folder("audit") / "data")
    try:
        adopted = Adopted(store)
        rows = store.ensure_terminals(
            [NewTerminal(f"SN-{number}", 0, "", "approved") for number in range(count)]
        )
        for row in rows:
            adopted.adopt(_new(row.id, f"http://127.0.0.1:{port}"), now_ms=0)

        @asynccontextmanager
        async def talk(row: AdoptedRow) -> AsyncIterator[TerminalClient]:
            async with TerminalClient(row.address) as client:
                await client.look()
                await client.login(Account(USER, PASSWORD))
                yield client

        around = Around(
            jobs=FleetJobs(store),
            adopted=adopted,
            leases=Leases(store),
            notices=Notices(store),
            talk=talk,
            take=lambda _: None,
            catch_up=lambda: None,
            secret=store.secret,
            owner="benchmark",
            now=time.time,
            monotonic=time.monotonic,
        )
        auditor = Auditor(around, dict)
        at = datetime.now(UTC)
        around.jobs.keep_audits(
            [
                AuditRow(terminal_id=row.terminal_id, day=day.isoformat(), there=0, here=0, at=at, reason="")
                for row in adopted.all()
                for day in due_days(row, "UTC", (), now=time.time())[:-1]
            ]
        )
        began = time.monotonic()
        counted = await auditor.once()
        took = time.monotonic() - began
    finally:
        store.close()
        peer.terminate()
        peer.join()
    if counted != count:
        raise BenchmarkError(f"{counted} of {count} terminals were counted")
    return Row(
        what=f"a day of {count:,} terminals counted", value=took, unit="s", target=WITHIN_S, at_most=True
    )


def _new(terminal_id: int, address: str) -> NewAdopted:
    return NewAdopted(
        terminal_id=terminal_id,
        address=address,
        ours="http://127.0.0.1/Record",
        credentials=Credentials(USER, PASSWORD, "token"),
        certificate=None,
        previous=None,
        previous_shown=None,
        must_set=False,
        clock_error_ms=None,
        by="benchmark",
    )


def _stand_for_all(told: Connection) -> None:
    """Reply as a terminal of which nothing is missing."""

    async def reply(request: web.Request) -> web.Response:
        data = {"token": "t"} if request.path.endswith("login") else {"total": 0, "items": []}
        return web.json_response({"code": 200, "msg": "OK", "data": data}, headers={"sn": "SN", "model": "T"})

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", reply)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        told.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(serve())


async def _fetch(bench: Bench, records: int) -> Row:
    folder, count = bench.folder(f"fetch-{records}"), bench.sized(records)
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=SPAN_DAYS)
    port, service, elsewhere = free_port(), free_port(), free_port()
    await _remember(folder / "terminal", begin, count, elsewhere)
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}")
    env = {"GATEPOST_FLEET_NETWORKS": "127.0.0.0/8", "GATEPOST_INGEST_URL": f"http://127.0.0.1:{port}"}
    account = {"GATEPOST_USERNAME": USER, "GATEPOST_PASSWORD": PASSWORD, "GATEPOST_TLS": "true"}
    run_it = gatepost(
        "terminal",
        "run",
        "--serial",
        SERIAL,
        "--data",
        folder / "terminal",
        "--listen",
        f"127.0.0.1:{service}",
    )
    with (
        start("receiver", command, folder=folder, env=env, port=port),
        start("terminal", run_it, folder=folder, env=account, port=service),
    ):
        address = f"https://127.0.0.1:{service}"
        alone = await _read_out(address, begin, count)
        ask = _Api(port, api_token(folder / "data"))
        which = ask("POST", "adopt", {"address": address, "username": USER, "password": PASSWORD})[
            "terminal_id"
        ]
        job = ask("POST", f"{which}/backfill", {"since": begin.isoformat()})
        while job["state"] in ("waiting", "running"):
            await asyncio.sleep(ASK_S)
            job = ask("GET", f"jobs/{job['id']}")
    if (job["state"], job["added"]) != ("done", count):
        raise BenchmarkError(f"the job is {job['state']} with {job['added']} of {count}: {job['reason']}")
    ordered, listed = (datetime.fromisoformat(job[name]) for name in ("created_at", "finished_at"))
    took = (listed - ordered).total_seconds()
    return Row(
        what=f"{count:,} records fetched, listed at the end",
        value=count / took,
        unit="records/s",
        peer="read out alone",
        peer_value=count / alone,
        target=0.8,
    )


class _Api:
    """The receiver's API of managed terminals."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        self._connection.request(method, f"/api/v1/fleet/{path}", content, self._headers)
        reply = self._connection.getresponse()
        text = reply.read()
        if reply.status >= 300:
            raise BenchmarkError(f"{method} {path} answered {reply.status} {text[:300]!r}")
        return json.loads(text)


async def _remember(folder: Path, begin: datetime, count: int, port: int) -> None:
    """Have a terminal that delivered everything to another program."""

    async def take(_: web.Request) -> web.Response:
        return web.json_response({"code": 200, "message": "success", "data": {}})

    app = web.Application()
    app.router.add_post("/Record", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    step = timedelta(days=SPAN_DAYS - 1) / count
    async with Terminal(SERIAL, folder, history_events=count + 1000) as terminal:
        await terminal.subscribe(f"http://127.0.0.1:{port}/Record")
        records = [
            wire.Record(
                serial=SERIAL,
                uuid=f"4d3987c1-a3b3-470b-9fb7-{number:012d}",
                recorded_at=begin + (step * number),
                recognition_type=1,
                passed=True,
                entry_mode=1,
                user=wire.User(user_id=str(number % 500), name=f"王{number % 500}", type=1),
            )
            for number in range(count)
        ]
        for at in range(0, count, 500):
            await terminal.store(records[at : at + 500])
        while (await terminal.status()).pending:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.05)
    await runner.cleanup()


async def _read_out(address: str, begin: datetime, count: int) -> float:
    """Return the seconds in which all pages of a history are read, hour by hour so that offsets stay small."""
    found = 0
    async with TerminalClient(address) as client:
        await client.look()
        await client.login(Account(USER, PASSWORD))
        began = time.monotonic()
        at, hours = int(begin.timestamp()), 6
        while found < count:
            offset = 0
            while items := (await client.history(at, at + hours * 3600 - 1, offset=offset)).items:
                offset += len(items)
                if len(items) < 100:
                    break
            found, at = found + offset, at + hours * 3600
        return time.monotonic() - began
