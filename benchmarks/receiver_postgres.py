"""How many events a second does one receiver process store in PostgreSQL, against FastAPI on the same database?

As `receiver`, with both databases on one PostgreSQL with its default settings (it syncs every commit).
"""

from benchmarks.bench import Bench
from benchmarks.receiver import Targets, measure
from benchmarks.report import Row

TARGETS = {
    False: Targets(fastapi=20, bare=0.90, sustained=0.40, backlog=25_000, p99_ms=30),
    True: Targets(fastapi=8, bare=0.45, sustained=0.35, backlog=6_000, p99_ms=60),
}


def run(bench: Bench) -> list[Row]:
    """Measure PostgreSQL with and without image."""
    return measure(bench, "PostgreSQL", TARGETS)
