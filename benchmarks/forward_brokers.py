"""How fast do events leave for NATS, MQTT and Kafka, against the broker's own client alone?

Real brokers on loopback, and librdkafka's mock cluster for Kafka. SQLite, no images, as CloudEvents. The peer publishes
bodies of the same size and waits for each as gatepost does: until the broker says that it has it, with as many under
way. Each side is a process of its own.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import nats
from tests.forward.sinks.mock_kafka import MockKafka

from benchmarks.bench import Bench
from benchmarks.forward_roles import TO_BROKER, role
from benchmarks.programs import free_port, need, start
from benchmarks.report import Row
from benchmarks.stocked import stock

RECORDS = 20_000
TARGET = 0.4


def run(bench: Bench) -> list[Row]:
    """Fill a store, and empty it into each broker `rounds` times."""
    folder = bench.folder("forward-brokers")
    count = bench.sized(RECORDS)
    bench.say(f"storing {count:,} records")
    stock(folder / "data", count)
    rows = []
    for name, broker in (("nats", _nats), ("mqtt", _mqtt), ("kafka", _kafka)):
        ours, peers = [], []
        with broker(folder) as url:
            for _ in range(bench.rounds):
                peers.append(role(name, url, str(count))["rate"])
                ours.append(role("send", str(folder / "data"), url, "1", str(count))["rate"])
                bench.say(f"  {name}: {ours[-1]:.0f}/s, the client alone {peers[-1]:.0f}/s")
        rows.append(
            Row(
                what=f"events a second to {name}",
                value=median(ours),
                unit="/s",
                peer=f"its client alone, {TO_BROKER} in flight",
                peer_value=median(peers),
                target=TARGET,
            )
        )
    shutil.rmtree(folder)
    return rows


@contextmanager
def _nats(folder: Path) -> Iterator[str]:
    """A server with JetStream, as it is by default, and a stream."""
    port, settings = free_port(), folder / "nats.conf"
    settings.write_text(f'listen: 127.0.0.1:{port}\njetstream: {{store_dir: "{folder}/nats"}}\n')
    with start("nats", [need("nats-server"), "-c", settings], folder=folder, port=port):
        asyncio.run(_make_stream(port))
        yield f"nats://127.0.0.1:{port}"


async def _make_stream(port: int) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    await client.jetstream().add_stream(name="gatepost", subjects=["gatepost.>"])
    await client.close()


@contextmanager
def _mqtt(folder: Path) -> Iterator[str]:
    port, settings = free_port(), folder / "mosquitto.conf"
    lines = f"listener {port} 127.0.0.1\nallow_anonymous true\n"
    settings.write_text(lines + ("user root\n" if os.geteuid() == 0 else ""))
    with start("mosquitto", [need("mosquitto"), "-c", settings], folder=folder, port=port):
        yield f"mqtt://127.0.0.1:{port}"


@contextmanager
def _kafka(folder: Path) -> Iterator[str]:
    with MockKafka() as cluster:
        yield f"kafka://127.0.0.1:{cluster.port}"
