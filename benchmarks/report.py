"""Rows, their verdicts, and the file that keeps the last result.

`RESULTS.md` has one section a benchmark, headed `## NAME`; running one benchmark replaces its section only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")

HEAD = """# What was measured last

Written by `make bench`; read `benchmarks/__init__.py` for the rules. Each figure is the median of short runs in which
the peer and gatepost took turns. *Ratio* is ours divided by the peer's, measured in the same minute. MB are 10^6 bytes.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table.

    `value` in `unit`; with a `peer` the target is for `value / peer_value`, without one for `value` itself.
    `at_most`: smaller is better. `target` None: for information.
    """

    what: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    target: float | None = None
    at_most: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        return None if self.peer_value is None else self.value / self.peer_value

    @property
    def kept(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        measured = self.value if self.ratio is None else self.ratio
        return measured <= self.target if self.at_most else measured >= self.target


def figure(value: float) -> str:
    """A number with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cells(row: Row) -> list[str]:
    sign = "≤" if row.at_most else "≥"
    times = "×" if row.peer else ""
    peer = f"{row.peer}: {figure(row.peer_value)}" if row.peer_value is not None else ""
    return [
        row.what,
        f"{figure(row.value)} {row.unit}",
        peer,
        f"{figure(row.ratio)} ×" if row.ratio is not None else "",
        f"{sign} {row.target:g}{' ' + times if times else ''}" if row.target is not None else "",
        {None: "", True: "ok", False: "**below**" if not row.at_most else "**above**"}[row.kept],
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [["what", "measured", "against", "ratio", "target", ""], ["---"] * 6, *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def section(name: str, question: str, rows: Sequence[Row], *, footer: str) -> str:
    """One benchmark's section, without its heading."""
    return f"{question}\n\n{table(rows)}\n\n{footer}\n"


def merge(text: str, sections: dict[str, str], order: Sequence[str]) -> str:
    """Put new sections into the file's text; sections that were not measured now stay as they are."""
    parts = re.split(r"^## (\S+)\n\n", text, flags=re.MULTILINE)[1:]
    kept = dict(zip(parts[::2], (part.strip() + "\n" for part in parts[1::2]), strict=True))
    kept |= sections
    names = [*(name for name in order if name in kept), *(name for name in kept if name not in order)]
    return "\n".join([HEAD, *(f"## {name}\n\n{kept[name].strip()}\n" for name in names)])
