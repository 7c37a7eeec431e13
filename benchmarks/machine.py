"""What the figures were measured on."""

import os
import platform
import time
from pathlib import Path


def fdatasync_rate(folder: Path, *, size: int, seconds: float = 2.0) -> float:
    """How often a second this disk makes `size` more bytes of a growing file durable: write, `fdatasync`, again."""
    data = os.urandom(size)
    path = folder / "fdatasync.probe"
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        count = 0
        began = time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds:
            os.write(file, data)
            os.fdatasync(file)
            count += 1
        return count / spent
    finally:
        os.close(file)
        path.unlink()


def describe(folder: Path) -> str:
    """One line: processor, cores, memory, kernel, file system, `fdatasync` rate, Python."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rate = fdatasync_rate(folder, size=4096, seconds=1.0)
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release()}, "
        f"{rate:,.0f} fdatasync/s of 4 KB, Python {platform.python_version()}"
    )
