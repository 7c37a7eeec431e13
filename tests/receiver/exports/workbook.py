"""Reading a workbook back, as much of it as the tests look at."""

import io
import zipfile
from typing import NamedTuple
from xml.etree import ElementTree

_NS = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


class Cell(NamedTuple):
    kind: str
    """``inlineStr`` or ``s`` for text, ``n`` for a number."""
    text: str
    formula: bool
    style: int
    column: int
    """Counted from 0."""


def sheets(data: bytes) -> dict[str, list[list[Cell]]]:
    """Rows of cells by the name of the sheet; what is empty is left out."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - we wrote it
        names = [sheet.attrib["name"] for sheet in book.iterfind(".//m:sheet", _NS)]
        return {
            name: _rows(archive.read(f"xl/worksheets/sheet{number}.xml"))
            for number, name in enumerate(names, 1)
        }


class Sheet(NamedTuple):
    """How a sheet looks."""

    frozen: tuple[int, int]
    """Rows and columns that stay in sight."""
    widths: list[float]
    """Of each column, in characters."""
    orientation: str
    repeated: str
    """Rows that are on each page of paper."""
    formats: dict[tuple[int, int], str]
    """Number formats by row and column, counted from 0."""


_BUILT_IN = {"0": "General", "2": "0.00", "49": "@"}
"""Number formats that have no text in a file (ECMA-376 part 1, 18.8.30)."""


def layout(data: bytes) -> dict[str, Sheet]:
    """Return how each sheet looks, by its name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - we wrote it
        styles = ElementTree.fromstring(archive.read("xl/styles.xml"))  # noqa: S314 - we wrote it
        names = [sheet.attrib["name"] for sheet in book.iterfind(".//m:sheet", _NS)]
        titles = {
            int(name.attrib["localSheetId"]): (name.text or "").rpartition("!")[2]
            for name in book.iterfind(".//m:definedName[@name='_xlnm.Print_Titles']", _NS)
        }
        return {
            name: _layout(
                archive.read(f"xl/worksheets/sheet{number + 1}.xml"), styles, titles.get(number, "")
            )
            for number, name in enumerate(names)
        }


def _layout(xml: bytes, styles: ElementTree.Element, repeated: str) -> Sheet:
    sheet = ElementTree.fromstring(xml)  # noqa: S314 - we wrote it
    own = {
        one.attrib["numFmtId"]: one.attrib["formatCode"]
        for one in styles.iterfind("./m:numFmts/m:numFmt", _NS)
    }
    of_style = [
        own.get(number := one.attrib["numFmtId"]) or _BUILT_IN[number]
        for one in styles.iterfind("./m:cellXfs/m:xf", _NS)
    ]
    pane = sheet.find(".//m:pane[@state='frozen']", _NS)
    at = {} if pane is None else pane.attrib
    widths: list[float] = []
    for col in sheet.iterfind("./m:cols/m:col", _NS):
        count = int(col.attrib["max"]) - int(col.attrib["min"]) + 1
        widths += [round(float(col.attrib["width"]) - 0.7109375, 2)] * count
    setup = sheet.find("./m:pageSetup", _NS)
    return Sheet(
        frozen=(int(at.get("ySplit", 0)), int(at.get("xSplit", 0))),
        widths=widths,
        orientation="" if setup is None else setup.attrib.get("orientation", ""),
        repeated=repeated,
        formats={
            (int(row.attrib["r"]) - 1, _column(cell.attrib["r"])): of_style[int(cell.attrib.get("s", 0))]
            for row in sheet.iterfind(".//m:row", _NS)
            for cell in row.iterfind("m:c", _NS)
        },
    )


def quoted_styles(data: bytes) -> set[int]:
    """The styles under which a cell stays text when somebody edits it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        styles = ElementTree.fromstring(archive.read("xl/styles.xml"))  # noqa: S314 - we wrote it
    found = styles.iterfind("./m:cellXfs/m:xf", _NS)
    return {number for number, style in enumerate(found) if style.attrib.get("quotePrefix") == "1"}


def text_styles(data: bytes) -> set[int]:
    """The styles under which a cell is of the format *Text* (number format 49, ECMA-376 part 1, 18.8.30)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        styles = ElementTree.fromstring(archive.read("xl/styles.xml"))  # noqa: S314 - we wrote it
    found = styles.iterfind("./m:cellXfs/m:xf", _NS)
    return {number for number, style in enumerate(found) if style.attrib.get("numFmtId") == "49"}


def _column(reference: str) -> int:
    found = 0
    for letter in reference.rstrip("0123456789"):
        found = found * 26 + ord(letter) - 64
    return found - 1


def _rows(xml: bytes) -> list[list[Cell]]:
    sheet = ElementTree.fromstring(xml)  # noqa: S314 - we wrote it
    rows = []
    for row in sheet.iterfind(".//m:row", _NS):
        cells = []
        for cell in row.iterfind("m:c", _NS):
            text = "".join(part.text or "" for part in cell.iter() if part.tag.endswith(("}t", "}v")))
            formula = cell.find("m:f", _NS) is not None
            style = int(cell.attrib.get("s", "0"))
            cells.append(Cell(cell.attrib.get("t", "n"), text, formula, style, _column(cell.attrib["r"])))
        rows.append(cells)
    return rows
