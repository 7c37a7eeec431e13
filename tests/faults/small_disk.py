"""``gatepost serve`` that takes its disk for one of 8 MB, for where no file system of such a size can be mounted.

Run as ``python small_disk.py PYTHON -m gatepost.cli serve …``: what follows is how it would be started otherwise.
"""

import shutil
import sys
from pathlib import Path

from gatepost.cli import run

BYTES = 8 * 1024 * 1024


def usage(folder: Path) -> "shutil._ntuple_diskusage":
    data = next(place for place in (folder, *folder.parents) if (place / "gatepost.db").exists())
    used = 0
    for file in data.rglob("*"):
        try:
            used += file.stat().st_size
        except FileNotFoundError:  # it was deleted meanwhile
            continue
    return shutil._ntuple_diskusage(BYTES, used, max(0, BYTES - used))


if __name__ == "__main__":
    shutil.disk_usage = usage  # type: ignore[assignment]
    sys.exit(run(sys.argv[4:]))
