"""Brokers to test with: real ones, on loopback, that can be killed and started again."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from tests.receiver.kit import PATIENCE_S, until

BIN = Path(sys.executable).parent


class Broker:
    """A program that listens on a port of its own, whenever it is started."""

    def __init__(self, port: int, *command: str, log: Path) -> None:
        self.port = port
        self._command = command
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                assert self._process.returncode is None, self._log.read_text()
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def freeze(self) -> None:
        """Let it take connections, by the kernel, and nothing else."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)


@contextlib.asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[Broker]:
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()


def mosquitto(folder: Path, port: int, lines: Sequence[str] = ()) -> Broker:
    """An MQTT broker that takes anything, unless told otherwise. It stores nothing: a restart forgets."""
    settings = folder / "mosquitto.conf"
    given = list(lines)
    if not any(line.startswith("allow_anonymous") for line in given):
        given.append("allow_anonymous true")
    settings.write_text("\n".join([f"listener {port} 127.0.0.1", "user root", *given]) + "\n")
    return Broker(port, "/usr/sbin/mosquitto", "-c", str(settings), log=folder / "mosquitto.log")


def nats_server(folder: Path, port: int, lines: Sequence[str] = ()) -> Broker:
    """A NATS server with JetStream, which keeps its streams over a restart."""
    settings = folder / "nats.conf"
    stored = f'jetstream: {{store_dir: "{folder}/nats", sync_interval: always}}'
    settings.write_text("\n".join([f"listen: 127.0.0.1:{port}", stored, *lines]) + "\n")
    return Broker(port, str(BIN / "nats-server"), "-c", str(settings), log=folder / "nats.log")


class Subscriber:
    """A client of a broker: what it was sent, in order."""

    def __init__(self, port: int) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._is_subscribed = False
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.client.on_message = lambda _client, _userdata, message: self.messages.append(message)
        self.client.on_subscribe = self._subscribed
        self.client.connect("127.0.0.1", port)

    def _subscribed(self, *_: Any) -> None:
        self._is_subscribed = True

    @property
    def topics(self) -> list[str]:
        return [message.topic for message in self.messages]

    async def open(self, *topics: str) -> None:
        self.client.loop_start()
        self.client.subscribe([(topic, paho.SubscribeOptions(qos=1)) for topic in topics])
        await until(lambda: self._is_subscribed)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.asynccontextmanager
async def subscribed(port: int, *topics: str) -> AsyncIterator[Subscriber]:
    """A client that is sent everything of these topics from now on, and what is retained."""
    made = Subscriber(port)
    await made.open(*topics)
    try:
        yield made
    finally:
        made.close()
