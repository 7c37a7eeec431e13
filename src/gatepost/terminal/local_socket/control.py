"""The commands of a terminal, the same for a running one and a stopped one.

``status``                                the figures (see :mod:`gatepost.terminal.cli_output`)
``subscription``                          the address to push to, or null
``subscribe`` ``event_dest`` ``enabled``  store the address to push to
``retry`` ``ids``                         make dead letters pending again; null: all
``discard`` ``ids``                       drop dead letters; null: all

A running terminal takes them on its local socket. For a stopped one ``run_stopped`` reads the outbox, and opens it only
for commands that change it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gatepost import wire
from gatepost.errors import GatepostError
from gatepost.terminal.outbox.opening import FOLDER, refuse_old
from gatepost.terminal.outbox.outbox import MANY, Outbox
from gatepost.terminal.outbox.reader import status_of_stopped

Command = Callable[[Mapping[str, Any]], Awaitable[object]]


class NoOutbox(GatepostError):
    """The folder has no outbox: nothing was ever recorded there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"there is no outbox in {folder}; give the folder that 'gatepost terminal run --data' was given"
        )


class BadCommand(GatepostError):
    """A command lacks a field, or has one of the wrong type."""


def outbox_folder(folder: Path) -> Path:
    """Return the outbox of ``folder``. Raises NoOutbox, and OutboxTooOld for one of an earlier version."""
    path = folder / FOLDER
    refuse_old(path)
    if not path.exists():
        raise NoOutbox(folder)
    return path


def commands(outbox: Outbox, status: Callable[[], Awaitable[Mapping[str, object]]]) -> dict[str, Command]:
    """Return the commands by name, as functions of the request."""

    async def ask_status(asked: Mapping[str, Any]) -> object:
        return await status()

    async def subscription(asked: Mapping[str, Any]) -> object:
        return await outbox.subscription()

    async def subscribe(asked: Mapping[str, Any]) -> object:
        wanted = {name: asked[name] for name in ("event_dest", "enabled") if name in asked}
        await outbox.subscribe(wire.decode_subscription(msgspec.json.encode(wanted)))
        return None

    async def retry(asked: Mapping[str, Any]) -> object:
        return {"retried": await _each(outbox.retry_dead, _ids(asked))}

    async def discard(asked: Mapping[str, Any]) -> object:
        return {"discarded": await _each(outbox.discard_dead, _ids(asked))}

    return {
        "status": ask_status,
        "subscription": subscription,
        "subscribe": subscribe,
        "retry": retry,
        "discard": discard,
    }


def run_stopped(folder: Path, command: str, fields: Mapping[str, Any]) -> Any:
    """Run a command for a terminal that is not running; return its result.

    Raises NoOutbox, and OutboxInUse if one is running that does not reply on its socket.
    """
    path = outbox_folder(folder)
    if command in ("status", "subscription"):
        # Only read: the person may be another user than the owner of these files.
        found = status_of_stopped(path)
        whole = {**msgspec.to_builtins(found), "running": False}
        return whole if command == "status" else whole["subscription"]

    async def ask() -> object:
        outbox = await Outbox.open(path, now=time.time)
        try:

            async def status() -> Mapping[str, object]:
                return {**msgspec.to_builtins(await outbox.status())}

            return await commands(outbox, status)[command](fields)
        finally:
            await outbox.close()

    return msgspec.to_builtins(asyncio.run(ask()))


def _ids(asked: Mapping[str, Any]) -> list[int] | None:
    ids = asked.get("ids")
    if ids is not None and not (isinstance(ids, list) and all(type(one) is int for one in ids)):
        raise BadCommand("ids must be a list of numbers, or null for all")
    return ids


async def _each(step: Callable[[list[int] | None], Awaitable[list[int]]], ids: list[int] | None) -> int:
    """Apply ``step`` to the chosen dead letters, or to all present ones; return how many these were."""
    if ids is not None:
        return len(await step(ids))
    done = 0
    while found := await step(None):
        done += len(found)
        if len(found) < MANY:
            break
    return done
