"""Events go in at the door, and what the door answers becomes their fate."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from gatepost.torture.event_source import EventSource
from gatepost.torture.oracle import Fate, Oracle
from gatepost.torture.system.processes import End

Answer = Callable[[int], dict[str, Any] | None]


@dataclass
class Up:
    """What an issuer needs of an end."""

    folder: Path
    up: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def door(folder: Path, answer: Answer) -> AsyncIterator[Up]:
    """A door that answers the n-th line so; None closes it."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        while await reader.readline():
            count += 1
            said = answer(count)
            if said is None:
                break
            writer.write(json.dumps(said).encode() + b"\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, str(folder / "door.sock"), limit=1 << 20)
    end = Up(folder)
    end.up.set()
    yield end
    server.close()
    await server.wait_closed()


def issuer(end: Up, oracle: Oracle) -> EventSource:
    return EventSource(0, cast(End, end), oracle, rate=2000.0, rand=random.Random(1))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 (what is looked at has no event)
            await asyncio.sleep(0.005)


async def test_answers_become_fates_and_a_stop_waits_for_them(tmp_path: Path) -> None:
    oracle = Oracle(random.Random(1), lambda: 1.7e9)
    refusal = {"ok": False, "error": "outbox-unavailable"}
    async with door(tmp_path, lambda count: refusal if count % 5 == 0 else {"ok": True, "id": count}) as end:
        issuing = issuer(end, oracle)
        running = asyncio.create_task(issuing.run())
        await until(lambda: len(oracle.names(Fate.ACCEPTED)) > 100)
        issuing.stop()
        await asyncio.wait_for(running, 10)
    assert oracle.names(Fate.UNKNOWN) == set()
    assert len(oracle.names(Fate.REFUSED)) == issuing.refusals["outbox-unavailable"] > 20
    assert issuing.interruptions == 0


async def test_events_that_wait_when_the_door_closes_stay_unknown_and_issuing_goes_on(tmp_path: Path) -> None:
    oracle = Oracle(random.Random(1), lambda: 1.7e9)
    async with door(tmp_path, lambda count: None if count == 20 else {"ok": True, "id": count}) as end:
        issuing = issuer(end, oracle)
        issuing.surge(True)
        running = asyncio.create_task(issuing.run())
        await until(lambda: len(oracle.names(Fate.ACCEPTED)) > 100)
        issuing.surge(False)
        issuing.stop()
        await asyncio.wait_for(running, 10)
    assert issuing.interruptions == 1
    assert len(oracle.names(Fate.UNKNOWN)) >= 1


async def test_nothing_is_issued_while_the_terminal_is_down(tmp_path: Path) -> None:
    oracle = Oracle(random.Random(1), lambda: 1.7e9)
    end = Up(tmp_path)
    running = asyncio.create_task(issuer(end, oracle).run())
    await asyncio.sleep(0)
    end.up.set()  # …and nobody is at the door: killed between the two
    await until(lambda: not running.done())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert oracle.issued == {}
