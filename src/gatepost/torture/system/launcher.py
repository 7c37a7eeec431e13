"""Start ``gatepost`` in this process with a clock that can be set from outside.

    python -m gatepost.torture.system.launcher CLOCK_FILE WORDS…

Rules: the product does not know of this. Before any module of gatepost is imported, ``time.time`` is replaced by the
true time plus an offset. The offset is a double in the first eight bytes of the file. ``time.monotonic`` is not
changed, as no jump of the wall clock changes it (``clock_gettime(2)``). An end dies with its parent, because a killed
parent cannot end it.
"""

import ctypes
import mmap
import runpy
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["ClockFile", "die_with_the_parent", "main", "turned"]

_DOUBLE = struct.Struct("=d")
_PR_SET_PDEATHSIG = 1


class ClockFile:
    """The file with the offset of a process's clock, in seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(_DOUBLE.pack(0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _DOUBLE.size)

    def set(self, seconds: float) -> None:
        """Set the offset."""
        _DOUBLE.pack_into(self._map, 0, seconds)

    def close(self) -> None:
        """Close the file."""
        self._map.close()


def turned(path: Path, true: Callable[[], float]) -> Callable[[], float]:
    """Return a clock with the offset in the file."""
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), _DOUBLE.size, access=mmap.ACCESS_READ)

    def clock() -> float:
        seconds: float = _DOUBLE.unpack_from(offset, 0)[0]
        return true() + seconds

    return clock


def die_with_the_parent() -> None:
    """Have the kernel send SIGKILL when the parent has ended (``prctl(2)``). Only on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(argv: list[str]) -> None:
    """Run the command with the clock of the file, as ``python -m gatepost.cli`` would."""
    die_with_the_parent()
    time.time = turned(Path(argv[0]), time.time)
    sys.argv[1:] = argv[1:]
    runpy.run_module("gatepost.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
