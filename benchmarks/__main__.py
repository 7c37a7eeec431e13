"""Run benchmarks, print their tables, keep them in RESULTS.md.

python -m benchmarks [names…] [--seconds 5] [--rounds 3] [--scale 1] [--dry] [--folder DIR]
"""

import argparse
import importlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.machine import describe
from benchmarks.programs import BenchmarkError
from benchmarks.report import RESULTS, merge, section, table

NAMES = (
    "receiver",
    "receiver_postgres",
    "receiver_full",
    "receiver_fleet",
    "alarm_first",
    "live",
    "export",
    "forward",
    "forward_brokers",
    "fleet",
    "queries",
    "console",
    "logins",
    "terminal_drain",
    "terminal_record",
    "terminal_flash",
    "slow_link",
    "fleet_history",
    "cell",
    "cell_images",
    "cell_full",
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure gatepost against its peers."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; default: all")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one run (default 5)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often peer and ours take turns (default 3)"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="factor for backlogs and stores (default 1)")
    parser.add_argument("--dry", action="store_true", help="leave RESULTS.md as it is")
    parser.add_argument(
        "--folder", type=Path, help="where the data goes; default: a temporary folder, removed"
    )
    found = parser.parse_args()
    if unknown := [name for name in found.names if name not in NAMES]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return found


def main() -> int:
    """Run what was named; 0 when every target is kept, 1 when one is not, 2 when a benchmark could not be run."""
    given = _arguments()
    code = 0
    with tempfile.TemporaryDirectory(prefix="gatepost-bench-", dir=given.folder) as root:
        Path(root).chmod(0o755)
        for name in given.names or NAMES:
            bench = Bench(root=Path(root), seconds=given.seconds, rounds=given.rounds, scale=given.scale)
            print(f"== {name}", flush=True)
            code = max(code, _one(bench, name, dry=given.dry))
    return code


def _one(bench: Bench, name: str, *, dry: bool) -> int:
    module = importlib.import_module(f"benchmarks.{name}")
    try:
        rows = module.run(bench)
    except (BenchmarkError, OSError) as error:
        print(f"{name}: {str(error) or type(error).__name__}", flush=True)
        return 2
    print(table(rows), flush=True)
    if not dry:
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        how = f"runs of {bench.seconds:g} s × {bench.rounds}, scale {bench.scale:g}"
        text = section(
            name,
            (module.__doc__ or name).splitlines()[0],
            rows,
            footer=f"{when}; {how}; {describe(bench.root)}.",
        )
        before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
        RESULTS.write_text(merge(before, {name: text}, NAMES), encoding="utf-8")
    return int(any(row.kept is False for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
