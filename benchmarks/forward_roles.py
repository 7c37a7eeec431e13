"""The processes that the benchmarks of forwarding measure, each of which prints its result as JSON.

python -m benchmarks.forward_roles ROLE ARGUMENTS…

``send`` and ``idle`` are gatepost; ``client`` and those named after a broker are its peers: a client of the same target
that does nothing else, with as many messages under way.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from benchmarks.programs import ROOT, BenchmarkError
from gatepost.egress import Egress
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.image_links import ImageLinks
from gatepost.forward.options.destination import decode, encode
from gatepost.receiver.people_rules import Meaning, rules_of
from gatepost.receiver.program import tune
from gatepost.settings import ReceiverSettings
from gatepost.store.base import BaseStore
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.store import SqliteStore

IN_FLIGHT = 8
"""Requests under way to a webhook."""
TO_BROKER = 64
"""Messages under way to a broker."""
BODY = 900
"""Bytes of a passage as a CloudEvent."""
SPAN = (0, 1 << 60)
TOPIC = "gatepost/passages"


def role(*told: str) -> dict[str, float]:
    """Run one of :data:`ROLES` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.forward_roles", *told]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise BenchmarkError(f"{told} failed: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def opened(data: str) -> BaseStore:
    """Open the store in a folder, or in the database of a URL."""
    return PostgresStore.open(data) if "://" in data else SqliteStore.open(Path(data))


def destination(
    store: BaseStore, url: str, *, name: str = "one", batch: int = 1, span: tuple[int, int] | None = None
) -> int:
    """Make a destination at an address, of the kind that its scheme says."""
    kind = url.partition(":")[0]
    told: dict[str, Any] = {"kind": "webhook", "url": url, "batch": batch, "in_flight": IN_FLIGHT}
    if kind in ("mqtt", "nats", "kafka"):
        told = {"kind": kind, "url": url, "in_flight": TO_BROKER}
    found = decode(told)
    now_ms = int(time.time() * 1000)
    return Destinations(store).create(name, found.kind, encode(found), b"{}", now_ms=now_ms, span=span).id


async def _client(url: str, count: int) -> dict[str, float]:
    body = b"x" * BODY
    left = iter(range(count))
    headers = {"Content-Type": "application/cloudevents+json"}

    async def worker(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, data=body, headers=headers) as reply:
                await reply.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(IN_FLIGHT)))
        return _result(count, began)


async def _nats(url: str, count: int) -> dict[str, float]:
    import nats

    client = await nats.connect(url)
    stream = client.jetstream()

    async def publish(number: int) -> None:
        await stream.publish("gatepost.bench.record", b"x" * BODY, headers={"Nats-Msg-Id": f"{url} {number}"})

    await publish(-1)
    result = await _in_flight(publish, count)
    await client.close()
    return result


async def _in_flight(publish: Callable[[int], Awaitable[None]], count: int) -> dict[str, float]:
    left = iter(range(count))

    async def worker() -> None:
        for number in left:
            await publish(number)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(TO_BROKER)))
    return _result(count, began)


def _mqtt(url: str, count: int) -> dict[str, float]:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    room, connected = threading.BoundedSemaphore(TO_BROKER), threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(TO_BROKER)
    client.on_connect = lambda *_: connected.set()
    client.on_publish = lambda *_: room.release()
    host, _, port = url.removeprefix("mqtt://").partition(":")
    client.connect(host, int(port))
    client.loop_start()
    if not connected.wait(20):
        raise BenchmarkError("the broker takes no connection")
    began = time.perf_counter()
    for _ in range(count):
        room.acquire()
        client.publish(TOPIC, b"x" * BODY, qos=1)
    for _ in range(TO_BROKER):
        room.acquire()
    result = _result(count, began)
    client.disconnect()
    client.loop_stop()
    return result


def _kafka(url: str, count: int) -> dict[str, float]:
    import confluent_kafka

    under_way = 0

    def taken(error: Any, _message: Any) -> None:
        nonlocal under_way
        if error is not None:
            raise BenchmarkError(f"Kafka does not take it: {error}")
        under_way -= 1

    config = {"bootstrap.servers": url.removeprefix("kafka://"), "acks": "all", "linger.ms": 0}
    producer = confluent_kafka.Producer(config)
    began = time.perf_counter()
    for _ in range(count):
        while under_way >= TO_BROKER:
            producer.poll(0.1)
        under_way += 1
        producer.produce("gatepost", b"x" * BODY, key=b"BENCH", on_delivery=taken)
        producer.poll(0)
    producer.flush()
    return _result(count, began)


async def _send(data: str, url: str, batch: int, count: int) -> dict[str, float]:
    tune()  # as the process that forwards is
    with closing(opened(data)) as store:
        destinations = Destinations(store)
        which = destination(store, url, batch=batch, span=SPAN)
        task = asyncio.create_task(_forwarding(store).run())
        began = time.perf_counter()
        done = 0
        while done < count:
            await asyncio.sleep(0.05)
            (row,) = await asyncio.to_thread(destinations.some, [which])
            done = row.ledger.delivered
            if row.ledger.dead or row.failure or task.done():
                raise BenchmarkError(f"events were not taken: {row.failure}")
        result = _result(done, began)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        destinations.delete(which)
    return result


async def _idle(data: str, url: str, count: int, seconds: float) -> dict[str, float]:
    with closing(opened(data)) as store:
        made = [destination(store, url, name=str(number)) for number in range(count)]
        forwarding = _forwarding(store)
        task = asyncio.create_task(forwarding.run())
        while len(forwarding.sends_to()) < count:  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        before, began = time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        cores = (time.process_time() - before) / (time.perf_counter() - began)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for which in made:
            Destinations(store).delete(which)
    return {"cores": cores}


def _forwarding(store: BaseStore) -> Forwarding:
    people = Meaning(store, rules_of(ReceiverSettings())).people
    return Forwarding(
        store,
        Destinations(store),
        people,
        Egress(["127.0.0.0/8"]),
        source=lambda: "bench",
        links=ImageLinks("", lambda: b""),
    )


def _result(count: int, began: float) -> dict[str, float]:
    seconds = time.perf_counter() - began
    # Not getrusage: a child begins with the peak of its parent.
    (peak,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")
    )
    return {"rate": count / seconds, "seconds": seconds, "mb": int(peak.split()[1]) * 1024 / 1e6}


ROLES: dict[str, Callable[..., Any]] = {
    "client": lambda url, count: uvloop.run(_client(url, int(count))),
    "nats": lambda url, count: uvloop.run(_nats(url, int(count))),
    "mqtt": lambda url, count: _mqtt(url, int(count)),
    "kafka": lambda url, count: _kafka(url, int(count)),
    "send": lambda data, url, batch, count: uvloop.run(_send(data, url, int(batch), int(count))),
    "idle": lambda data, url, count, seconds: uvloop.run(_idle(data, url, int(count), float(seconds))),
}

if __name__ == "__main__":
    print(json.dumps(ROLES[sys.argv[1]](*sys.argv[2:])))
