"""Send events: one file per kind of destination, and what all kinds share.

``webhook``         an HTTP address, signed
``receiver``        another receiver, by the push protocol
``mqtt``            MQTT 5, with ``home_assistant`` for its discovery
``nats``            a stream of NATS JetStream
``kafka``           Apache Kafka
``notify/``         chat services and mail
``http``            what webhooks, receivers and chat services share
``one_connection``  what MQTT and NATS share
``tls``             whose certificates are trusted, and which one is shown
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import SettingsError
from gatepost.forward.options.secrets import hide
from gatepost.store.interface import FeedKind, Forwarded
from gatepost.wire import Delivered, Outcome

__all__ = ["Closed", "LeftOut", "Outgoing", "Result", "Sink", "hidden"]


class Outgoing(Struct, frozen=True, kw_only=True):
    """An event, ready to be sent."""

    id: str
    """The same on every attempt, in every shape and after every restart: ``record-17``, ``alarm-18``."""
    event_id: int
    kind: FeedKind
    body: bytes
    """In the shape of the destination."""
    content_type: str
    row: Forwarded
    image: bytes | None
    """Where the destination is sent images."""
    is_replay: bool
    is_backfilled: bool = False
    """It was fetched from the terminal's history; the shape ``push`` has no field for that."""
    mark: str = ""
    """Of a record of a marked person, for a destination with rules about them: the reason."""
    is_test: bool = False
    """It never happened, and must leave no trace as if it had."""


class Closed(Struct, frozen=True):
    """The destination closed itself. Nothing is sent until a person resumes it."""

    reason: str


class LeftOut(Struct, frozen=True):
    """The destination's own rules leave this event out. It counts as filtered."""

    reason: str


class Result(Struct, frozen=True, kw_only=True):
    """The result of sending an event."""

    outcome: Outcome | Closed | LeftOut
    status: str = ""
    """Such as ``HTTP 503``."""
    reply: str = ""
    """The destination's reply, at most 2 KB of it."""


def hidden(result: Result, secrets: Sequence[str]) -> Result:
    """Return a result without the secrets of the destination, which its reply may repeat."""
    outcome = result.outcome
    if isinstance(outcome, Delivered):
        if not result.reply:
            return result
    else:
        outcome = replace(outcome, reason=hide(secrets, outcome.reason))
    return Result(outcome=outcome, status=hide(secrets, result.status), reply=hide(secrets, result.reply))


class Sink(Protocol):
    """Sends events. Made and used on one event loop."""

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """Send events together; return the result of each, in order. Never raises for what the other end does.

        A time-out is :class:`~gatepost.wire.Unreachable`: it does not concern an event.
        """

    async def close(self) -> None:
        """Close the connections. Idempotent."""


def library(name: str, package: str, kind: str) -> Any:
    """Import the library of a kind of destination. Raises :class:`~gatepost.errors.SettingsError` without it."""
    try:
        return import_module(name)
    except ImportError:
        raise SettingsError(
            "kind",
            f"cannot be {kind} here: the Python package {package} is missing;"
            " install gatepost with its extra [forward], and start the receiver again",
        ) from None


def text(reply: bytes | None) -> str:
    """Return a destination's reply as text of at most 2 KB, without control characters."""
    if not reply:
        return ""
    said = reply[:2048].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in said).strip()
