"""Publish events to an MQTT 5 broker, and make terminals known to Home Assistant.

Rules:

* An event is delivered when the broker has acknowledged it (QoS 1) with a reason code that says so. A broker that
  forbids the topic acknowledges too, with another one: that is a refusal.
* Events are not retained: who subscribes later is not sent an event that opens a door.
* A connection that is lost is not repaired but replaced: the address is checked again, and nothing is sent twice
  without having been claimed again.

The library is paho-mqtt itself, whose network thread hands each acknowledgement to the loop. Why not another one:
``docs/decisions/brokers.md``.

Specification: MQTT 5.0, sections 3.2.2 (reasons of a connection), 3.3 (publish), 3.4.2.1 (reasons of acknowledgements).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gatepost.egress import Egress
from gatepost.forward.options.destination import Destination, MqttOptions
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.options.templates import filled
from gatepost.forward.sinks import Outgoing, Result, library
from gatepost.forward.sinks.home_assistant import Discovery
from gatepost.forward.sinks.one_connection import LostConnection, OneConnection
from gatepost.forward.sinks.tls import context_for
from gatepost.store.interface import Notice
from gatepost.wire import Delivered, Refused, Unreachable

if TYPE_CHECKING:
    from paho.mqtt.client import Client

__all__ = ["Mqtt"]

_PORTS = {"mqtt": 1883, "mqtts": 8883}

_LATER = frozenset({0x80, 0x83, 0x88, 0x89, 0x97})
"""Reason codes that say nothing about an event: unspecified, implementation specific, unavailable, busy, quota."""


IN_FLIGHT = 20
"""Messages without acknowledgement, at most; the library queues what is more."""

FAREWELL_S = 1.0
"""So long a broker may take for the end of a connection."""

_OVERHEAD = 1024
"""Bytes of a packet besides topic and payload, at most."""


class _Socket(ssl.SSLSocket):
    """A socket that is closed where the handshake fails; the library leaves it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Mqtt:
    """See :class:`gatepost.forward.sinks.Sink`."""

    def __init__(self, told: Destination, secrets: Secrets, egress: Egress) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for what cannot be used."""
        self._told = told
        self._secrets = secrets
        self._egress = egress
        self._options = told.mqtt or MqttOptions()
        self._paho = library("paho.mqtt.client", "paho-mqtt", "mqtt")
        parts = urlsplit(told.url)
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._ssl = None
        if parts.scheme == "mqtts":
            self._ssl = context_for(told, secrets) or ssl.create_default_context()
            self._ssl.sslsocket_class = _Socket
        self._discovery = Discovery(self._options.discovery_prefix) if self._options.home_assistant else None
        self._line = OneConnection(self._connect, told.timeout_s)
        self._in_flight = IN_FLIGHT

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """See :meth:`gatepost.forward.sinks.Sink.send`."""
        (event,) = batch
        return await self._line.send(event, self._publish)

    async def close(self) -> None:
        """See :meth:`gatepost.forward.sinks.Sink.close`."""
        await self._line.close()

    async def _publish(self, connection: _Connection, event: Outgoing) -> Result:
        topic = filled(self._options.topic, event.row, event.id, "+#/")
        properties = _Described(event)
        messages = [(topic, event.body, False)]
        is_live = not (event.is_replay or event.is_test)
        if self._discovery is not None and is_live and not isinstance(event.row, Notice):
            messages += self._discovery.messages(event.row, connection.announced)
        limit = connection.largest
        if any(len(payload) + len(name.encode()) + _OVERHEAD > limit for name, payload, _ in messages):
            return Result(outcome=Refused(f"larger than the broker takes: {limit:,} bytes"))
        published = [
            connection.publish(name, payload, retain=retain, properties=properties if name is topic else None)
            for name, payload, retain in messages
        ]
        # The event's own decides: what Home Assistant is told may be forbidden while the event is published.
        own, *_ = [await published[0]] if len(published) == 1 else await asyncio.gather(*published)
        status = f"reason 0x{own.value:02x}"
        if own.value < 0x80:
            return Result(outcome=Delivered(), status=status)
        if own.value in _LATER:
            return Result(outcome=Unreachable(f"{status}: {own}"), status=status)
        return Result(outcome=Refused(f"{status}: {own}"), status=status)

    async def _connect(self) -> _Connection:
        while True:
            await self._egress.check(self._host, self._port)
            made = _Connection(self._client(), self._discovery)
            try:
                await made.open(self._host, self._port)
            except BaseException:
                await made.close()
                raise
            if made.receive_maximum >= self._in_flight:
                return made
            # A broker ends the connection of a client that exceeds it, and the library learns it too late.
            self._in_flight = made.receive_maximum
            await made.close()

    def _client(self) -> Client:
        paho = self._paho
        client: Client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        client.connect_timeout = self._told.timeout_s
        client.max_inflight_messages_set(self._in_flight)
        if self._secrets.username or self._secrets.password:
            client.username_pw_set(self._secrets.username, self._secrets.password or None)
        if self._ssl is not None:
            client.tls_set_context(self._ssl)
        return client


class _Described:
    """What is said of an event next to its payload. The library's own takes 100 µs to be made and packed."""

    def __init__(self, event: Outgoing) -> None:
        self._event = event

    def pack(self) -> bytes:
        """Return the properties of a message: MQTT 5, sections 2.2.2 and 3.3.2.3."""
        event = self._event
        packed = b"\x03" + _text(event.content_type)
        for name, value in (
            ("id", event.id),
            ("replay", "true" if event.is_replay else "false"),
            ("backfilled", "true" if event.is_backfilled else "false"),
        ):
            packed += b"\x26" + _text(name) + _text(value)
        # A length below 128 is one byte, and below 16,384 it is two.
        length = len(packed)
        head = (length,) if length < 0x80 else (length & 0x7F | 0x80, length >> 7)
        return bytes(head) + packed


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


class _Connection:
    """One connection to a broker, from beginning to end. Used on one event loop."""

    def __init__(self, client: Client, discovery: Discovery | None) -> None:
        self._client = client
        self._discovery = discovery
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._dialling: asyncio.Future[Any] | None = None
        self._why = "the broker has closed the connection"
        self._ended = asyncio.Event()
        self.is_lost = False
        self.largest = 256 * 1024 * 1024
        """Bytes of a packet."""
        self.receive_maximum = 65_535
        """So many messages may be without acknowledgement."""
        self.announced: set[str] = set()
        """What Home Assistant was told of on this connection."""
        client.on_connect = self._call(self._connected)
        client.on_disconnect = self._call(self._disconnected)
        client.on_publish = self._call(self._acknowledged)
        client.on_message = self._call(self._told)

    def _call(self, handle: Any) -> Any:
        """Return a callback for the library's thread that does its work on the loop."""

        def callback(_client: Any, _userdata: Any, *values: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(handle, *values)

        return callback

    async def open(self, host: str, port: int) -> None:
        """Connect. Raises ``OSError``, and :class:`LostConnection` where the broker refuses."""
        self._dialling = self._loop.run_in_executor(None, self._client.connect, host, port)
        await asyncio.shield(self._dialling)
        self._client.loop_start()
        await self._opened
        if self._discovery is not None:
            self._client.subscribe(self._discovery.status_topic, qos=1)

    async def publish(self, topic: str, payload: bytes, *, retain: bool, properties: Any) -> Any:
        """Publish, and return the reason code of the acknowledgement. Raises :class:`LostConnection`."""
        if self.is_lost:
            raise LostConnection(self._why)
        info = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        if info.rc:
            raise LostConnection(self._why)
        found = self._waiting[info.mid] = self._loop.create_future()
        try:
            return await found
        finally:
            self._waiting.pop(info.mid, None)

    async def close(self) -> None:
        """End the connection and the library's thread. Idempotent."""
        self._lose()
        dialling, client = self._dialling, self._client
        if dialling is not None and not dialling.done():
            # The thread cannot be told to end: it lets go of what it reaches.
            dialling.add_done_callback(lambda dialled: self._cut(dialled.exception()))
            return
        client.disconnect()
        if client.socket() is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self._ended.wait()
        self._cut()
        await self._loop.run_in_executor(None, client.loop_stop)

    def _cut(self, _: object = None) -> None:
        # The library's thread ends when there is no connection, and not before what it has to say is said.
        found: Any = self._client.socket()
        if found is not None:
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    # On the loop, called by the library's thread.

    def _connected(self, _flags: Any, reason: Any, properties: Any) -> None:
        if self._opened.done():
            return
        if reason.is_failure:
            self._opened.set_exception(
                LostConnection(f"the broker refuses: {reason}; see user name and password")
            )
            return
        self.largest = getattr(properties, "MaximumPacketSize", self.largest)
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        self._opened.set_result(None)

    def _disconnected(self, _flags: Any, reason: Any, _properties: Any) -> None:
        self._ended.set()
        self._lose(f"the broker has closed the connection: {reason}" if reason.is_failure else "")

    def _lose(self, reason: str = "") -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self._why = reason or self._why
        for one in [self._opened, *self._waiting.values()]:
            if not one.done():
                one.set_exception(LostConnection(self._why))
        self._opened.exception()  # it may be that nothing waits for it

    def _acknowledged(self, mid: int, reason: Any, _properties: Any) -> None:
        found = self._waiting.get(mid)
        if found is not None and not found.done():
            found.set_result(reason)

    def _told(self, message: Any) -> None:
        if self._discovery is not None and message.payload == b"online":
            for topic, payload in self._discovery.known.items():
                self._client.publish(topic, payload, qos=1, retain=True)
