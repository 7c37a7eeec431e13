"""The client of the local socket, used by ``emit``, ``status`` and the other commands.

It uses blocking sockets and one thread, because a command that hands in three lines should not start an event loop.

Flow of ``emit``: lines of input → socket, as they come; replies → output, as they come. Neither waits for the other, so
the disk limits a stream, not the round trips.
"""

import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from gatepost.errors import GatepostError

SOCKET_FILE = "door.sock"

# Linux allows 107 bytes and a zero in sun_path (unix(7)). The path of a data folder may be longer.
_SUN_PATH = 107


class TerminalNotRunning(GatepostError):
    """No terminal listens on the local socket of this data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"no terminal is running on {folder}; start one: gatepost terminal run --serial SERIAL --data {folder}"
        )


class SocketClosed(GatepostError):
    """The local socket exists, but refuses the connection or does not reply."""


class CommandRefused(GatepostError):
    """The running terminal refused a command; the text is its own."""


@contextmanager
def address(folder: Path) -> Iterator[str]:
    """Yield a path to the socket of ``folder`` that fits into a socket address, however deep the folder is."""
    path = folder / SOCKET_FILE
    if len(os.fsencode(path)) <= _SUN_PATH:
        yield str(path)
        return
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET_FILE}"
    finally:
        os.close(handle)


def connect(folder: Path, *, timeout_s: float | None = None) -> socket.socket:
    """Return a connection to the terminal that runs on ``folder``. Raises TerminalNotRunning and SocketClosed."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.settimeout(timeout_s)
    try:
        with address(folder) as path:
            door.connect(path)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        door.close()
        raise TerminalNotRunning(folder) from None
    except PermissionError:
        door.close()
        owner = folder.stat().st_uid
        raise SocketClosed(
            f"the terminal on {folder} runs as another user (uid {owner}); run this command as that user"
        ) from None
    except BaseException:
        door.close()
        raise
    return door


def ask(folder: Path, command: str, *, timeout_s: float = 30.0, **fields: object) -> Any:
    """Send a command to the terminal that runs on ``folder``; return the ``data`` of its reply.

    Raises TerminalNotRunning, CommandRefused, and SocketClosed if it does not reply within ``timeout_s``.
    """
    with connect(folder, timeout_s=timeout_s) as door:
        try:
            door.sendall(msgspec.json.encode({"ask": command, **fields}) + b"\n")
            with door.makefile("rb") as replies:
                line = replies.readline()
        except TimeoutError:
            raise SocketClosed(
                f"the terminal on {folder} has not answered for {timeout_s:g} s; look at its log and its disk"
            ) from None
        except ConnectionError:
            line = b""
    if not line.endswith(b"\n"):
        raise TerminalNotRunning(folder)
    reply = msgspec.json.decode(line)
    if not reply.get("ok"):
        raise CommandRefused(str(reply.get("message", "the terminal refused, without a reason")))
    return reply.get("data")


def emit(folder: Path, lines: Iterable[bytes], out: IO[bytes]) -> bool:
    """Hand every line of ``lines`` in, write its reply to ``out``; return whether all were accepted.

    Empty lines are skipped. If the terminal ends meanwhile, every line without a reply gets one that says so, and the
    rest of ``lines`` is not read. Those events may be on disk or not. They are safe to hand in again if they have a
    ``uuid`` or ``trace_id``. Raises TerminalNotRunning if there is none at the beginning.
    """
    with connect(folder) as door:
        replies = _Replies(door, out)
        reading = threading.Thread(target=replies.read, name="socket-replies", daemon=True)
        reading.start()
        sent = 0
        # A broken pipe here means that the terminal has ended. Below, each event gets a line about it.
        with suppress(BrokenPipeError, ConnectionError):
            for line in lines:
                if line.strip():
                    sent += 1
                    door.sendall(line if line.endswith(b"\n") else line + b"\n")
            door.shutdown(socket.SHUT_WR)
        reading.join()
    if replies.error is not None:
        raise replies.error
    for _ in range(sent - replies.count):
        out.write(_GONE)
    out.flush()
    return replies.refused == 0 and replies.count == sent


_GONE = (
    msgspec.json.encode(
        {
            "ok": False,
            "error": "terminal-gone",
            "message": "the terminal went away before it answered: not known to be on disk; hand it in again",
            "retry": True,
        }
    )
    + b"\n"
)


class _Replies:
    """Copies the replies to the output and counts them."""

    def __init__(self, door: socket.socket, out: IO[bytes]) -> None:
        self._door = door
        self._out = out
        self.count = 0
        self.refused = 0
        self.error: OSError | None = None

    def read(self) -> None:
        with suppress(ConnectionError), self._door.makefile("rb") as replies:
            for line in replies:
                if not line.endswith(b"\n"):
                    return
                self.count += 1
                self.refused += msgspec.json.decode(line).get("ok") is not True
                if not self._write(line):
                    return

    def _write(self, line: bytes) -> bool:
        try:
            self._out.write(line)
            self._out.flush()
        except OSError as error:  # the output is closed, so the sender has to stop
            self.error = error
            with suppress(OSError):
                self._door.shutdown(socket.SHUT_RDWR)
            return False
        return True
