"""How many events a second does one receiver process store in PostgreSQL, against FastAPI on the same database?

As `receiver`, with both databases on one PostgreSQL with its default settings (it syncs every commit).
"""

from benchmarks.bench import Bench
from benchmarks.receiver import measure
from benchmarks.report import Row

TARGETS = {False: (20, 0.38), True: (8, 0.20)}


def run(bench: Bench) -> list[Row]:
    """Measure PostgreSQL with and without image."""
    return measure(bench, "PostgreSQL", TARGETS)
