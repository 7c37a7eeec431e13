"""Read a list of terminals and their names as people keep it: CSV out of a spreadsheet. Pure.

Rules:

* Cells are separated by a comma, a semicolon or a tab: whichever the first line has most of. A heading is left out.
* The first cell is a serial, or a number of ours such as ``#17``; the second one is the name. A third one may say the
  direction; where it is left out or empty, that stays.
* A line that cannot be used says why, and changes nothing; the other lines count.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from gatepost.store.interface import Direction, TerminalRow

__all__ = ["DIRECTIONS", "MAX_LINES", "NameLine", "names_of"]

MAX_LINES = 2000
MAX_NAME = 128

_HEADINGS = {"serial", "serial number", "sn", "devicesn", "序列号", "设备序列号"}

_DIRECTION = {"direction", "方向"}

_FORMULA = ("'=", "'+", "'-", "'@")
"""How a cell of ours begins that a spreadsheet would have calculated."""

Problem = Literal["unknown", "twice", "nameless", "long", "direction"]

DIRECTIONS: Mapping[str, Direction] = {
    "in": "in", "进": "in", "out": "out", "出": "out", "both": "both", "both ways": "both", "进出": "both",
}  # fmt: skip
"""How a list says a direction."""


class NameLine(Struct, frozen=True, kw_only=True):
    """A line of the list, and what it does."""

    number: int
    serial: str
    name: str
    terminal: TerminalRow | None = None
    direction: Direction | None = None
    problem: Problem | None = None

    @property
    def values(self) -> dict[str, str]:
        """Return what it gives a terminal that is another than what the terminal has."""
        if self.problem is not None or self.terminal is None:
            return {}
        told = {"name": self.name, "direction": self.direction or self.terminal.direction}
        return {name: value for name, value in told.items() if getattr(self.terminal, name) != value}

    @property
    def changes(self) -> bool:
        """It gives a terminal another name or direction."""
        return bool(self.values)


def names_of(text: str, terminals: Sequence[TerminalRow]) -> list[NameLine]:
    """Return the lines of a list of names, :data:`MAX_LINES` at most. ``terminals``: those that may be named."""
    known = {row.serial: row for row in terminals if row.serial is not None}
    known = {f"#{row.id}": row for row in terminals} | known
    named: set[int] = set()
    found = []
    for number, cells in _cells(text.lstrip("\ufeff")):
        line = _line(number, cells, known, named)
        if line.problem is None and line.terminal is not None:
            named.add(line.terminal.id)
        found.append(line)
    return found


def _cells(text: str) -> list[tuple[int, list[str]]]:
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows = csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True)
    try:
        read = [(rows.line_num, [cell.strip() for cell in row]) for row in rows]
    except csv.Error:  # a cell without an end
        read = [
            (at, [cell.strip() for cell in line.split(separator)])
            for at, line in enumerate(text.splitlines(), 1)
        ]
    lines = [(number, cells) for number, cells in read if any(cells)]
    if lines and lines[0][1][0].casefold() in _HEADINGS:
        # A third column of another name is about something else.
        width = 3 if lines[0][1][2:] and lines[0][1][2].casefold() in _DIRECTION else 2
        lines = [(number, cells[:width]) for number, cells in lines[1:]]
    return lines[:MAX_LINES]


def _line(number: int, cells: list[str], known: Mapping[str, TerminalRow], named: set[int]) -> NameLine:
    serial, name = cells[0], cells[1] if len(cells) > 1 else ""
    if name.startswith(_FORMULA):
        name = name[1:]
    said = cells[2].casefold() if len(cells) > 2 else ""
    row = known.get(serial)
    problem: Problem | None = None
    if row is None:
        problem = "unknown"
    elif row.id in named:
        problem = "twice"
    elif not name:
        problem = "nameless"
    elif len(name) > MAX_NAME:
        problem = "long"
    elif said and said not in DIRECTIONS:
        problem = "direction"
    return NameLine(
        number=number,
        serial=serial[:128],
        name=name[:MAX_NAME],
        terminal=row,
        direction=DIRECTIONS.get(said),
        problem=problem,
    )
