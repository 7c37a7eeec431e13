"""``gatepost terminal run``: one terminal as a process.

Rules:

- It prints one line when it is ready, with every address. The log goes to standard error.
- The terminal pushes also without its local socket and its HTTP service. A socket that cannot be opened (on a read-only
  disk) is logged, and the backlog drains.
- On SIGTERM or SIGINT it takes no new requests, replies to the present ones, lets pushes in flight end, and closes the
  files. That takes at most ``drain_timeout_s`` and some seconds. If the disk hangs, the process ends without closing,
  which loses nothing, because acknowledged events are on disk. A second signal ends it at once.

Flow: settings → ``prepare`` (listener) → Terminal → Service, LocalSocket → ready → wait for the signal → the same in
reverse.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from gatepost.errors import SettingsError
from gatepost.settings import TerminalServiceSettings, TerminalSettings
from gatepost.terminal import logs
from gatepost.terminal.http_api.listener import Listener, prepare
from gatepost.terminal.local_socket.client import SOCKET_FILE
from gatepost.terminal.local_socket.control import commands
from gatepost.terminal.local_socket.server import LocalSocket
from gatepost.terminal.rehearsal.faults import Faults
from gatepost.terminal.rehearsal.serving import Status, serving
from gatepost.terminal.terminal import Terminal

log = logs.Log(__name__)

# Seconds to close the service, the socket and the files, after the pushes in flight.
STOP_S = 10.0


def main(
    serial: str,
    folder: Path,
    settings: TerminalServiceSettings,
    *,
    say: Callable[[str], None],
    faults: Faults | None = None,
) -> None:
    """Run until a signal. ``say`` prints the line when it is ready; ``faults`` are for rehearsals.

    Raises SettingsError, the errors of ``Outbox.open``, and OSError if the address is taken.
    """
    os.umask(0o077)  # the data folder has images
    logs.to_stderr(settings.log_format, settings.log_level)
    asyncio.run(_until_signal(serial, folder, settings, say, faults))


async def _until_signal(
    serial: str,
    folder: Path,
    settings: TerminalServiceSettings,
    say: Callable[[str], None],
    faults: Faults | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    async with running(serial, folder, settings, faults=faults) as ready:
        say(ready)
        await stop.wait()
        log.info("terminal.stopping")
        last_resort = threading.Timer(settings.drain_timeout_s + STOP_S, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()


@asynccontextmanager
async def running(
    serial: str, folder: Path, settings: TerminalServiceSettings, *, faults: Faults | None = None
) -> AsyncIterator[str]:
    """Run a terminal with its service and its socket; yield the line with their addresses."""
    if faults is not None and faults.swap:
        raise SettingsError("misbehave", "swap needs a neighbour: use gatepost simulate --terminal-api")
    if not (serial and serial.isascii() and serial.isprintable()):
        raise SettingsError(
            "sn", "must be the serial number, printable ASCII: it goes into a header of every push"
        )
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    listener = await asyncio.to_thread(prepare, settings, folder=folder, serial=serial, now=time.time())
    async with AsyncExitStack() as stack:
        terminal = await stack.enter_async_context(Terminal(serial, folder, settings=_of_terminal(settings)))

        async def status() -> Mapping[str, object]:
            pushing = msgspec.to_builtins(terminal.pushing())
            return {
                **pushing,
                **msgspec.to_builtins(await terminal.status()),
                "serial": serial,
                "running": True,
            }

        door = await _open_door(stack, folder, terminal, status)
        service = await stack.enter_async_context(
            serving(terminal, listener, status, model=terminal.settings.model, faults=faults, folder=folder)
        )
        yield _ready(serial, listener, service.port, door)


async def _open_door(stack: AsyncExitStack, folder: Path, terminal: Terminal, status: Status) -> str:
    door = LocalSocket(folder, accept=terminal.store, commands=commands(terminal.outbox, status))
    try:
        await door.open()
    except OSError as error:
        log.warning("door.not_open", error=str(error), advice="make the data folder writable and start again")
        return "none"
    stack.push_async_callback(door.close)
    return str(folder / SOCKET_FILE)


def _of_terminal(settings: TerminalServiceSettings) -> TerminalSettings:
    """Return the settings of the terminal alone. If ``account`` is not set, it is the account of the service."""
    names = [field.name for field in msgspec.structs.fields(TerminalSettings)]
    values = {name: getattr(settings, name) for name in names}
    return TerminalSettings(**{**values, "account": settings.account or settings.username})


def _ready(serial: str, listener: Listener, port: int, door: str) -> str:
    certificate = f" certificate-sha256={listener.fingerprint}" if listener.fingerprint else ""
    return f"terminal {serial} is ready: {listener.url(port)} door={door}{certificate}"
