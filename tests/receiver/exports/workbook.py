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


def _rows(xml: bytes) -> list[list[Cell]]:
    sheet = ElementTree.fromstring(xml)  # noqa: S314 - we wrote it
    rows = []
    for row in sheet.iterfind(".//m:row", _NS):
        cells = []
        for cell in row.iterfind("m:c", _NS):
            text = "".join(part.text or "" for part in cell.iter() if part.tag.endswith(("}t", "}v")))
            formula = cell.find("m:f", _NS) is not None
            cells.append(Cell(cell.attrib.get("t", "n"), text, formula, int(cell.attrib.get("s", "0"))))
        rows.append(cells)
    return rows
