"""How an export is written: CSV, XLSX, JSON lines, ZIP, each as a generator of pieces.

A generator may yield ``b""``: it has worked, and there is nothing to send yet.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar, cast
from zoneinfo import ZoneInfo

import msgspec
import xlsxwriter  # type: ignore[import-untyped]  # it has no types
from msgspec import Struct

from gatepost.receiver.exports.columns import Cell, Column, Words
from gatepost.receiver.exports.zip_stream import Archive, packed

__all__ = [
    "CSV_MARK",
    "Picture",
    "Table",
    "csv_pieces",
    "harmless",
    "in_zone",
    "jsonl_pieces",
    "xlsx_pieces",
    "zip_pieces",
]

CSV_MARK = b"\xef\xbb\xbf"
"""The byte order mark, without which Excel takes UTF-8 for something else."""

_SIGNS = frozenset("=+-@\t\r\n＝＋－＠")
"""What a spreadsheet takes for the beginning of a formula, also when it is typed on a Chinese keyboard."""

_UNSEEN = re.compile(r"^[\s\x00-\x1f\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+")
"""Blanks, byte order marks, controls, and letters of no width."""

_SHEET_ROWS = 1_048_575
"""Below the header: a sheet ends there."""

_CELL = 32_767
"""Characters that a cell can hold."""

_SHOWN = 255
"""Characters of a text cell that every spreadsheet shows."""

_EXACT = 10**15
"""From here on a spreadsheet, which counts in doubles of 15 digits, makes zeros of the last digits."""

_AS_TEXT = 49
"""The number format *Text* (ECMA-376 part 1, 18.8.30)."""

_CHUNK = 256 * 1024

Row = TypeVar("Row")
Item = TypeVar("Item")


class Table(Struct, Generic[Row], frozen=True):
    """A table to be written: pages of rows, and the columns of them."""

    title: str
    """The name of the sheet, and of the file within an archive."""
    columns: Sequence[Column[Row]]
    words: Words
    pages: Callable[[], Iterable[Sequence[Row]]]
    frozen: int = 0
    """Columns that stay in sight while a spreadsheet is scrolled; the headings always do."""

    def headers(self) -> list[str]:
        return [column.header(self.words.language) for column in self.columns]

    def reader(self) -> Callable[[Row], list[Cell]]:
        """Return a function that returns the cells of a row."""
        cells, words = [column.cell for column in self.columns], self.words
        return lambda row: [cell(row, words) for cell in cells]


class Picture(Struct, frozen=True):
    """An image of a row, for an archive."""

    name: str
    """Where it is, within ``images/``."""
    data: bytes


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet calculates: an apostrophe before what it may take for a formula."""
    return "'" + text if _is_formula(text) else text


def _is_formula(text: str) -> bool:
    """Return whether a text begins with a formula's sign, also behind what a spreadsheet leaves out when it imports."""
    first = text[:1]
    if first.isalnum():
        return False
    return first in _SIGNS or _UNSEEN.sub("", text, count=1)[:1] in _SIGNS


def _guarded(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells for CSV: text :func:`harmless`, times in ISO 8601 with their offset, numbers as they are."""
    return [
        harmless(cell)
        if type(cell) is str
        else cell.isoformat(timespec="seconds")
        if isinstance(cell, datetime)
        else cell
        for cell in cells
    ]


def csv_pieces(table: Table[Row]) -> Iterator[bytes]:
    """Yield CSV by RFC 4180, in UTF-8 with a byte order mark."""
    out = io.StringIO(newline="")
    writer, cells = csv.writer(out), table.reader()
    writer.writerow(table.headers())
    yield CSV_MARK + _taken(out)
    for page in table.pages():
        writer.writerows([_guarded(cells(row)) for row in page])
        yield _taken(out)


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8", "replace")


def jsonl_pieces(
    pages: Iterable[Sequence[Row]], items: Callable[[Sequence[Row]], Sequence[object]]
) -> Iterator[bytes]:
    """Yield one JSON object a line; ``items`` returns those of a page."""
    encoder = msgspec.json.Encoder()
    for page in pages:
        yield encoder.encode_lines(items(page))


def in_zone(item: Item, where: ZoneInfo) -> Item:
    """Return an item of the API with each time in it, however deep, as the clocks somewhere showed it."""
    return cast("Item", _in_zone(item, where))


def _in_zone(value: Any, where: ZoneInfo) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(where)
    if isinstance(value, Struct):
        values = {name: getattr(value, name) for name in value.__struct_fields__}
        return type(value)(**{name: _in_zone(one, where) for name, one in values.items()})
    return [_in_zone(one, where) for one in value] if isinstance(value, list) else value


def xlsx_pieces(table: Table[Row]) -> Iterator[bytes]:
    """Yield a workbook (ECMA-376): it is written row by row into a temporary file, and sent when it is whole."""
    with tempfile.TemporaryDirectory(prefix="gatepost-export-") as folder:
        path = Path(folder) / "export.xlsx"
        options = {"constant_memory": True, "tmpdir": folder, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
        with closing(xlsxwriter.Workbook(path, options)) as book:
            sheets, cells = _Sheets(book, table), table.reader()
            for page in table.pages():
                for row in page:
                    sheets.add(cells(row))
                yield b""
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece


class _Sheets:
    """Rows into sheets: a new one where the last is full."""

    def __init__(self, book: xlsxwriter.Workbook, table: Table[Any]) -> None:
        self._book = book
        self._table = table
        self._bold = book.add_format({"bold": True})
        self._text = book.add_format({"num_format": _AS_TEXT})
        self._quoted = book.add_format({"num_format": _AS_TEXT, "quote_prefix": True})
        known = {one: book.add_format({"num_format": one}) for one in _number_formats(table)}
        self._numbers = [known.get(column.number_format) for column in table.columns]
        self._number = 0
        self._begin()

    def _begin(self) -> None:
        self._number += 1
        title = self._table.title if self._number == 1 else f"{self._table.title} {self._number}"
        self._sheet = self._book.add_worksheet(title)
        self._sheet.freeze_panes(1, self._table.frozen)
        # Text that looks like a number is meant to be text: no mark in its corner that offers to convert it.
        self._sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{_SHEET_ROWS + 1}"})
        for place, (column, header) in enumerate(
            zip(self._table.columns, self._table.headers(), strict=True)
        ):
            self._sheet.set_column(place, place, column.width)
            self._sheet.write_string(0, place, header, self._bold)
        # On paper the headings are on each sheet, and no column is on another sheet than the rest of its row.
        self._sheet.repeat_rows(0)
        self._sheet.set_landscape()
        self._sheet.fit_to_pages(1, 0)
        self._row = 0

    def add(self, cells: Sequence[Cell]) -> None:
        if self._row == _SHEET_ROWS:
            self._begin()
        self._row += 1
        sheet, row = self._sheet, self._row
        for place, value in enumerate(cells):
            large = isinstance(value, int) and not -_EXACT < value < _EXACT
            cell = str(value) if large else value
            if isinstance(cell, str):
                if cell:
                    # Always a string, never a formula, a link, a number or a date; its format and the quote keep it
                    # one when it is edited.
                    sign = self._quoted if _is_formula(cell) else self._text
                    sheet.write_string(row, place, cell[:_CELL], sign if len(cell) <= _SHOWN else None)
            elif isinstance(cell, datetime):
                # A spreadsheet's dates have no zone: the local time, and the offset in its column.
                sheet.write_datetime(row, place, cell.replace(tzinfo=None))
            elif cell is not None:
                sheet.write_number(row, place, cell, self._numbers[place])


def _number_formats(table: Table[Any]) -> list[str]:
    return sorted({column.number_format for column in table.columns if column.number_format})


def zip_pieces(
    table: Table[Row], picture: Callable[[Row], Picture | None], column: str | None = "image"
) -> Iterator[bytes]:
    """Yield an archive: ``images/…`` as they come, at its end the CSV, whose ``column`` says which image is whose."""
    place = next((n for n, one in enumerate(table.columns) if one.name == column), None)
    with Archive() as archive, tempfile.TemporaryFile(prefix="gatepost-export-") as file:
        out = io.StringIO(newline="")
        writer, read = csv.writer(out), table.reader()
        writer.writerow(table.headers())
        file.write(CSV_MARK)
        for page in table.pages():
            for row in page:
                cells = _guarded(read(row))
                found = picture(row)
                if place is not None:
                    cells[place] = "" if found is None else f"images/{found.name}"
                writer.writerow(cells)
                if found is not None:
                    yield from archive.add(f"images/{found.name}", found.data)
            file.write(_taken(out))
            yield b""
        file.write(_taken(out))
        file.seek(0)
        with packed(file) as csv_file:
            yield from archive.add_file(f"{table.title}.csv", csv_file)
        yield from archive.end()
