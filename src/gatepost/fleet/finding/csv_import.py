"""Read a list of terminals that are to be adopted, from a CSV file as spreadsheets write it. Pure.

Rules:

* Everything is checked before anything is done: each problem has its line and its column, and says what to write.
* The file is in UTF-8 or GB 18030, with commas, semicolons or tabs; its first line names the columns, in English or in
  Chinese, in any order.
* No problem repeats what stands in a column: it may be a password.

Flow: :func:`template` → a person fills it in → :func:`read` → rows and problems.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.fleet.client import checked_address

__all__ = ["MAX_BYTES", "MAX_ROWS", "Listed", "Problem", "TerminalList", "read", "template"]

MAX_BYTES = 1024 * 1024
MAX_ROWS = 5_000
"""Terminals of one file."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "address": ("address", "ip", "地址", "终端地址"),
    "name": ("name", "名称", "终端名称"),
    "site": ("site", "站点"),
    "username": ("username", "user", "account", "用户名", "账号"),
    "password": ("password", "密码"),
}
"""Names of each column, in small letters."""

NEEDED = ("address", "username", "password")

MAX_LENGTH = {"address": 300, "name": 128, "site": 128, "username": 256, "password": 256}


class Listed(Struct, frozen=True, kw_only=True):
    """One terminal of the list."""

    line: int
    address: str
    """As :func:`~gatepost.fleet.client.checked_address` returns it."""
    name: str | None
    site: str | None
    username: str
    password: str


class Problem(Struct, frozen=True):
    """Hold what is wrong in a line, or with the file as a whole."""

    line: int
    column: str | None
    why: str


class TerminalList(Struct, frozen=True):
    """Hold what a file says: every line is a row or has a problem."""

    rows: tuple[Listed, ...]
    problems: tuple[Problem, ...]


def template(*, chinese: bool = False) -> bytes:
    """Return a file to be filled in: the columns, and a terminal as an example."""
    columns = [names[0] for names in COLUMNS.values()]
    example = ["192.168.1.64", "Gate 1", "", "admin", ""]
    if chinese:
        columns, example[1] = ["地址", "名称", "站点", "用户名", "密码"], "1号门"
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([columns, example])
    return (
        b"\xef\xbb\xbf" + out.getvalue().encode()
    )  # without the mark spreadsheets take it for another charset


def read(content: bytes, *, sites: Mapping[str, int]) -> TerminalList:
    """Return the terminals of a file, and what is wrong in it. ``sites``: those that there are, by name."""
    if len(content) > MAX_BYTES:
        return _refused(f"the file has more than {MAX_BYTES // 1024} KB; split it")
    text = _text(content)
    if text is None:
        return _refused("the file is no text in UTF-8 or GB 18030; save it as CSV (UTF-8)")
    try:
        lines = [(line, row) for line, row in _lines(text) if any(cell.strip() for cell in row)]
    except csv.Error:
        return _refused("the file is no CSV; save it as CSV (UTF-8)")
    if not lines:
        return _refused("the file is empty; begin with the template")
    (first, header), body = lines[0], lines[1:]
    places, problems = _places(first, header)
    if problems:
        return TerminalList((), tuple(problems))
    if not body:
        return _refused("the file has no terminals below the names of its columns")
    if len(body) > MAX_ROWS:
        return _refused(f"the file has more than {MAX_ROWS} terminals; split it")
    return _rows(body, places, sites)


def _refused(why: str) -> TerminalList:
    return TerminalList((), (Problem(1, None, why),))


def _text(content: bytes) -> str | None:
    for charset in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(charset)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text
    return None


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    head = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    before = 0
    for row in reader:
        yield before + 1, row
        before = reader.line_num


def _places(line: int, header: list[str]) -> tuple[dict[str, int], list[Problem]]:
    """Return in which place each column is."""
    places: dict[str, int] = {}
    problems = []
    for number, cell in enumerate(header):
        name = cell.strip().lower()
        column = next((column for column, names in COLUMNS.items() if name in names), None)
        if column is None:
            if name:
                problems.append(
                    Problem(line, None, f"column {number + 1} has no known name; use those of the template")
                )
        elif column in places:
            problems.append(Problem(line, column, "stands twice in the first line; keep one of them"))
        else:
            places[column] = number
    missing = [column for column in NEEDED if column not in places]
    problems += [Problem(line, column, "has no column; add it to the first line") for column in missing]
    return places, problems


def _rows(
    body: list[tuple[int, list[str]]], places: Mapping[str, int], sites: Mapping[str, int]
) -> TerminalList:
    rows: list[Listed] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for line, cells in body:
        values = {column: cells[place] if place < len(cells) else "" for column, place in places.items()}
        wrong = list(_problems(line, values, sites))
        if not wrong:
            row = _row(line, values)
            if row.address in seen:
                wrong = [Problem(line, "address", f"stands in line {seen[row.address]}, too; remove one")]
            else:
                seen[row.address] = line
                rows.append(row)
        problems += wrong
    return TerminalList(tuple(rows), tuple(problems))


def _problems(line: int, values: Mapping[str, str], sites: Mapping[str, int]) -> Iterator[Problem]:
    for column, text in values.items():
        if column in NEEDED and not text.strip():
            yield Problem(line, column, "is missing; write it")
        elif len(text) > MAX_LENGTH[column]:
            yield Problem(line, column, f"has more than {MAX_LENGTH[column]} characters")
        elif not text.isprintable():
            yield Problem(line, column, "has a character that cannot be shown; type it again")
        elif column == "address":
            try:
                checked_address(text)
            except SettingsError as error:
                yield Problem(line, column, error.why)
        elif column == "site" and text.strip() and text.strip() not in sites:
            yield Problem(
                line, column, "is no site here; make it first, or write the name of one that there is"
            )


def _row(line: int, values: Mapping[str, str]) -> Listed:
    return Listed(
        line=line,
        address=checked_address(values["address"]),
        name=values.get("name", "").strip() or None,
        site=values.get("site", "").strip() or None,
        username=values["username"].strip(),
        password=values["password"],
    )
