"""Publish events to Apache Kafka, with the terminal as key, so that a partition has them in the order of their ids.

Rules:

* An event is delivered when all replicas that are in sync have it (``acks=all``).
* What the brokers say about one record is a refusal: too large, not authorized for the topic. What the library says by
  itself, its time-out included, is none.
* A producer that could not deliver is replaced, after the address was checked again. What it holds is dropped from its
  queue: the forwarder sends it again.

The library is confluent-kafka, whose reports of deliveries a thread hands to the loop: ``docs/decisions/brokers.md``.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gatepost.egress import Egress, Forbidden
from gatepost.forward.options.destination import Destination, KafkaOptions
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.options.templates import filled, place_of
from gatepost.forward.sinks import Outgoing, Result, library
from gatepost.forward.sinks.http import why
from gatepost.forward.sinks.tls import context_for
from gatepost.wire import Delivered, Refused, Unreachable

if TYPE_CHECKING:
    from confluent_kafka import Producer

__all__ = ["Kafka"]

PORT = 9092

BATCH_BYTES = 256 * 1024
"""Of records that are sent together. A larger one goes alone, so that none is refused because of another one."""

LARGEST = 100_000_000
"""Bytes of a record; the brokers have smaller limits."""

POLL_S = 0.2
"""So long the thread waits for a report before it looks whether it is to end."""

GRACE_S = 2.0
"""So much later than the library's time-out ours is."""

_NOT_AUTHORIZED = 29

_REFUSALS = frozenset({2, 10, 17, _NOT_AUTHORIZED, 44, 87})
"""Corrupt, too large, a topic that cannot be, not authorized for the topic, against a policy, invalid."""


class Kafka:
    """See :class:`gatepost.forward.sinks.Sink`."""

    def __init__(self, told: Destination, secrets: Secrets, egress: Egress) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for what cannot be used."""
        self._told = told
        self._egress = egress
        self._options = told.kafka or KafkaOptions()
        self._kafka = library("confluent_kafka", "confluent-kafka", "kafka")
        parts = urlsplit(told.url)
        self._host, self._port = parts.hostname or "", parts.port or PORT
        context_for(told, secrets)  # says what cannot be used
        self._config = _config(told, secrets, self._options, f"{_bracketed(self._host)}:{self._port}")
        self._running: _Running | None = None
        self._opening = asyncio.Lock()

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """See :meth:`gatepost.forward.sinks.Sink.send`."""
        (event,) = batch
        running = None
        try:
            async with asyncio.timeout(self._told.timeout_s + GRACE_S):
                running = await self._open()
                return [await self._publish(running, event)]
        except TimeoutError:
            reason = f"no acknowledgement within {self._told.timeout_s:g} s"
        except _Lost as error:
            reason = str(error)
        except (Forbidden, OSError, ValueError) as error:
            reason = why(error)
        if running is not None:
            await self._drop(running)
        return [Result(outcome=Unreachable(reason))]

    async def close(self) -> None:
        """See :meth:`gatepost.forward.sinks.Sink.close`."""
        if self._running is not None:
            await self._drop(self._running)

    async def _publish(self, running: _Running, event: Outgoing) -> Result:
        topic = re.sub(r"[^A-Za-z0-9._-]", "_", filled(self._options.topic, event.row, event.id, "/"))
        key = place_of(event.row)
        headers = [
            ("id", event.id.encode()),
            ("content-type", event.content_type.encode()),
            ("replay", b"true" if event.is_replay else b"false"),
            ("backfilled", b"true" if event.is_backfilled else b"false"),
        ]
        error = await running.publish(topic, event.body, key.encode(), headers)
        if error is None:
            return Result(outcome=Delivered())
        status = f"error {error.code()}"
        reason = f"{status}: {error.str()}"
        if error.code() == _NOT_AUTHORIZED:
            await self._drop(running)  # the library remembers it, of the whole topic
        if error.code() in _REFUSALS:
            return Result(outcome=Refused(reason), status=status)
        await self._drop(running)
        return Result(outcome=Unreachable(reason), status=status)

    async def _open(self) -> _Running:
        async with self._opening:
            if self._running is not None and self._running.is_lost:
                await self._drop(self._running)
            if self._running is None:
                await self._egress.check(self._host, self._port)
                self._running = _Running(self._kafka, self._config)
            return self._running

    async def _drop(self, running: _Running) -> None:
        if self._running is running:
            self._running = None
        await running.close()


class _Lost(Exception):
    """The brokers cannot be reached, for the reason that it has."""


class _Running:
    """A producer and the thread that waits for its reports. Used on one event loop."""

    def __init__(self, kafka: Any, config: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._kafka = kafka
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._ends = threading.Event()
        self._said = ""
        """What the library said last of why something failed."""
        self._producer: Producer | None = kafka.Producer({**config, "error_cb": self._note_error})
        self._closing: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._poll, name="gatepost-kafka", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Return whether nothing can be delivered with it any more."""
        return self._lost.done()

    async def publish(self, topic: str, body: bytes, key: bytes, headers: Any) -> Any:
        """Publish; return the error, if any. Raises :class:`_Lost`."""
        reported: asyncio.Future[Any] = self._loop.create_future()

        def report(error: Any, _message: Any) -> None:
            self._on_loop(_settle, reported, error)

        if self._producer is None or self._lost.done():
            raise _Lost(self._lost.result() if self._lost.done() else "the connection was given up")
        try:
            self._producer.produce(topic, value=body, key=key, headers=headers, on_delivery=report)
        except self._kafka.KafkaException as error:
            return error.args[0]
        except BufferError:
            raise _Lost("the library's queue is full") from None
        await asyncio.wait([reported, self._lost], return_when=asyncio.FIRST_COMPLETED)
        if reported.done():
            return reported.result()
        raise _Lost(self._lost.result())

    async def close(self) -> None:
        """End the producer and its thread; what is not delivered is forgotten. Idempotent."""
        self._lose("the connection was given up")
        if self._closing is None:
            self._closing = self._loop.run_in_executor(None, self._end)
        await asyncio.shield(self._closing)

    def _end(self) -> None:
        producer, self._producer = self._producer, None
        self._ends.set()
        if producer is not None:
            producer.purge(in_queue=True, in_flight=True)
        self._thread.join()
        if producer is not None:
            producer.flush(0)

    def _poll(self) -> None:
        producer = self._producer
        while producer is not None and not self._ends.is_set():
            producer.poll(POLL_S)

    def _note_error(self, error: Any) -> None:
        # On our thread. A single broker of a cluster that is away is the library's affair.
        kinds = self._kafka.KafkaError
        is_all = error.code() == kinds._ALL_BROKERS_DOWN
        if not is_all or not self._said:
            self._said = error.str()
        if is_all or error.fatal() or error.code() in (kinds._AUTHENTICATION, kinds._SSL, kinds._RESOLVE):
            self._on_loop(self._lose, f"it cannot be reached: {self._said}"[:300])

    def _lose(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)

    def _on_loop(self, call: Any, *values: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call, *values)


def _settle(reported: asyncio.Future[Any], error: Any) -> None:
    if not reported.done():
        reported.set_result(error)


def _config(told: Destination, secrets: Secrets, options: KafkaOptions, address: str) -> dict[str, Any]:
    """Return the library's configuration."""
    is_tls = told.url.startswith("kafkas:")
    has_user = bool(secrets.username)
    config: dict[str, Any] = {
        "bootstrap.servers": address,
        "client.id": "gatepost",
        "security.protocol": ("SASL_" if has_user else "") + ("SSL" if is_tls else "PLAINTEXT"),
        "acks": "all",
        "linger.ms": 0,
        "batch.size": BATCH_BYTES,
        "message.max.bytes": LARGEST,
        "message.timeout.ms": int(told.timeout_s * 1000),
        "socket.timeout.ms": min(60_000, max(1_000, int(told.timeout_s * 1000))),
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 0,  # it would write to the standard error; what is wrong comes through error_cb
    }
    if has_user:
        config |= {
            "sasl.mechanism": options.sasl,
            "sasl.username": secrets.username,
            "sasl.password": secrets.password,
        }
    if is_tls:
        config["ssl.ca.location"] = told.ca_file or "probe"
        if secrets.client_certificate:
            config |= {
                "ssl.certificate.pem": secrets.client_certificate,
                "ssl.key.pem": secrets.client_certificate,
            }
    return config


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
