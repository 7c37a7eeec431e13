"""The files: what a spreadsheet makes of them, and that they do not grow in memory."""

import csv
import io
import tracemalloc
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.receiver.exports.workbook import quoted_styles, sheets, text_styles

from gatepost.receiver.exports import formats
from gatepost.receiver.exports.columns import Cell, Column, Words
from gatepost.receiver.exports.formats import (
    Picture,
    Table,
    csv_pieces,
    harmless,
    jsonl_pieces,
    xlsx_pieces,
    zip_pieces,
)

SIGNS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]


def wall(text: str) -> datetime:
    """What a clock on a wall in Shanghai shows."""
    return datetime.fromisoformat(text + "+08:00")


def table(rows: Sequence[Sequence[Cell]], *, page: int = 2, width: int | None = None) -> Table:
    """A table whose rows are their own cells."""
    count = width or max((len(row) for row in rows), default=1)
    columns = [
        Column(f"c{n}", f"C{n}", f"列{n}", lambda row, _, n=n: row[n])  # type: ignore[misc,arg-type]
        for n in range(count)
    ]
    return Table(
        "records",
        columns,
        Words("en"),
        lambda: (rows[start : start + page] for start in range(0, len(rows), page)),
    )


def read_csv(data: bytes) -> list[list[str]]:
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_csv_is_utf8_with_a_mark_a_header_and_a_row_a_row() -> None:
    rows: list[list[Cell]] = [
        ["王五", 1, 0.5, None, wall("2024-05-06T08:00:01")],
        ['a "quoted", b', 2, -1.5, "", None],
    ]
    assert read_csv(b"".join(csv_pieces(table(rows)))) == [
        ["C0", "C1", "C2", "C3", "C4"],
        ["王五", "1", "0.5", "", "2024-05-06T08:00:01+08:00"],
        ['a "quoted", b', "2", "-1.5", "", ""],
    ]


@pytest.mark.parametrize("before", [" ", "\u00a0", "\u3000", "\ufeff", "\u200b", "\x00", " \ufeff \u2060"])
def test_a_formula_behind_blanks_and_marks_is_made_harmless_too(before: str) -> None:
    assert harmless(before + "=1+1") == "'" + before + "=1+1"
    assert harmless(before + "Anna") == before + "Anna"
    assert harmless(before) == before


@pytest.mark.parametrize("sign", SIGNS)
def test_a_cell_that_begins_like_a_formula_is_made_harmless(sign: str) -> None:
    text = f"{sign}cmd|'/c calc'!A0"
    assert harmless(text) == "'" + text
    assert harmless("a" + sign) == "a" + sign
    assert harmless("") == ""
    (_, (cell,)) = read_csv(b"".join(csv_pieces(table([[text]]))))
    assert cell == "'" + text
    with zipfile.ZipFile(io.BytesIO(b"".join(zip_pieces(table([[text]]), lambda _: None)))) as found:
        assert read_csv(found.read("records.csv"))[1] == ["'" + text]


def test_a_number_below_zero_is_a_number() -> None:
    assert read_csv(b"".join(csv_pieces(table([[-3.5, -1]]))))[1] == ["-3.5", "-1"]


@given(st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), max_size=8))
def test_no_text_breaks_out_of_its_cell(rows: list[list[str]]) -> None:
    found = read_csv(b"".join(csv_pieces(table(rows, width=2))))[1:]
    expected = [[harmless(cell) for cell in row] for row in rows]
    # Half of a surrogate pair cannot be written in UTF-8; the store has none.
    assert [[c.encode("utf-8", "replace").decode() for c in row] for row in expected] == found


def test_a_workbook_has_text_numbers_and_times_and_never_a_formula() -> None:
    rows: list[list[Cell]] = [
        ["=1+1", 7, -0.5, wall("2024-05-06T12:00:00")],
        ["http://elsewhere/", 8, None, None],
        ["007", 9, 1.0, None],
    ]
    data = b"".join(xlsx_pieces(table(rows)))
    ((name, found),) = sheets(data).items()
    assert name == "records"
    assert [cell.text for cell in found[0]] == ["C0", "C1", "C2", "C3"]
    assert not any(cell.formula for row in found for cell in row)
    formula, seven, below, noon = found[1]
    assert (formula.text, formula.kind != "n") == ("=1+1", True)
    assert formula.style in quoted_styles(data)
    assert (seven.kind, seven.text, below.text) == ("n", "7", "-0.5")
    assert float(noon.text) == 45418.5  # days since the last day of 1899
    assert found[2][0].kind == found[3][0].kind != "n"


SPOILED = (
    *(
        "007",
        "110101199003074514",
        "123456789012345678901",
        "1E5",
        "3-4",
        "2024-05-06",
        "1/2",
        "12:30",
        "0x1F",
    ),
    *("TRUE", "1,5", "+86 139", "-5", "=1+1", "MARCH1", "00000000-0000-0000-0000-000000000001"),
)


@pytest.mark.parametrize("text", SPOILED)
def test_what_a_spreadsheet_would_spoil_is_text_in_a_workbook_and_stays_text(text: str) -> None:
    data = b"".join(xlsx_pieces(table([[text]])))
    (cell,) = sheets(data)["records"][1]
    assert (cell.text, cell.kind in ("s", "inlineStr"), cell.formula) == (text, True, False)
    assert cell.style in text_styles(data)
    assert read_csv(b"".join(csv_pieces(table([[text]]))))[1] == [harmless(text)]


@pytest.mark.parametrize("number", [10**15, -(10**15), 9007199254740993, (1 << 63) - 1])
def test_a_number_of_more_digits_than_a_spreadsheet_keeps_is_text(number: int) -> None:
    (cell,) = sheets(b"".join(xlsx_pieces(table([[number]]))))["records"][1]
    assert (cell.text, cell.kind != "n") == (str(number), True)


def test_a_number_that_a_spreadsheet_keeps_is_a_number() -> None:
    (_, (cell,)) = sheets(b"".join(xlsx_pieces(table([[999_999_999_999_999]]))))["records"]
    assert (cell.kind, cell.text) == ("n", "999999999999999")


def test_no_mark_offers_to_make_a_number_of_a_text() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(xlsx_pieces(table([["007"]]))))) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert 'ignoredError sqref="A1:XFD1048576" numberStoredAsText="1"' in sheet


def test_a_workbook_goes_on_in_another_sheet_where_one_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_SHEET_ROWS", 3)
    found = sheets(b"".join(xlsx_pieces(table([[n] for n in range(7)]))))
    assert {name: [row[0].text for row in rows] for name, rows in found.items()} == {
        "records": ["C0", "0", "1", "2"],
        "records 2": ["C0", "3", "4", "5"],
        "records 3": ["C0", "6"],
    }


def test_a_text_longer_than_a_cell_is_cut_off() -> None:
    (_, (cell,)) = sheets(b"".join(xlsx_pieces(table([["x" * 40_000]]))))["records"]
    assert len(cell.text) == 32_767


def test_json_lines_are_as_the_api_shows_a_row() -> None:
    data = b"".join(
        jsonl_pieces(table([["a"], ["b"], ["c"]]).pages(), lambda rows: [{"is": row[0]} for row in rows])
    )
    assert [msgspec.json.decode(line) for line in data.splitlines()] == [{"is": n} for n in "abc"]


def test_an_archive_has_the_images_and_a_table_that_says_whose_they_are() -> None:
    rows = [["1", "?"], ["2", "?"], ["3", "?"]]

    def picture(row: Sequence[str]) -> Picture | None:
        return None if row[0] == "2" else Picture(f"2024-05-06/{row[0]}.jpg", b"jpeg " + row[0].encode())

    data = b"".join(zip_pieces(table(rows), picture, column="c1"))
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.read("images/2024-05-06/3.jpg") == b"jpeg 3"
        assert len(found.namelist()) == 3
        assert [row[1] for row in read_csv(found.read("records.csv"))] == [
            "C1", "images/2024-05-06/1.jpg", "", "images/2024-05-06/3.jpg",
        ]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "xlsx", "jsonl", "zip"])
def test_nothing_is_an_empty_file_of_its_kind(form: str) -> None:
    empty = table([], width=1)
    pieces: dict[str, Iterator[bytes]] = {
        "csv": csv_pieces(empty),
        "xlsx": xlsx_pieces(empty),
        "jsonl": jsonl_pieces(empty.pages(), list),
        "zip": zip_pieces(empty, lambda _: None),
    }
    data = b"".join(pieces[form])
    match form:
        case "csv":
            assert read_csv(data) == [["C0"]]
        case "xlsx":
            assert [[cell.text for cell in row] for row in sheets(data)["records"]] == [["C0"]]
        case "jsonl":
            assert data == b""
        case "zip":
            assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["records.csv"]


@pytest.mark.parametrize("form", ["csv", "xlsx", "jsonl", "zip"])
def test_memory_does_not_grow_with_the_number_of_rows(form: str) -> None:
    def peak(pages: int) -> int:
        def some() -> Iterator[list[list[Any]]]:
            for page in range(pages):
                yield [[f"a cell of page {page}", n, "x" * 50] for n in range(100)]

        columns = table([["", 0, ""]]).columns
        endless = Table("records", columns, Words("en"), some)
        pieces: dict[str, Iterator[bytes]] = {
            "csv": csv_pieces(endless),
            "xlsx": xlsx_pieces(endless),
            "jsonl": jsonl_pieces(endless.pages(), list),
            "zip": zip_pieces(endless, lambda row: Picture(f"{row[1]}.jpg", b"x" * 2000)),
        }
        tracemalloc.start()
        try:
            assert sum(len(piece) for piece in pieces[form]) > 0
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)
    few, many = peak(10), peak(60)
    assert many < few + 1_500_000


def test_what_is_left_half_way_leaves_no_file_behind(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for make in (xlsx_pieces, lambda one: zip_pieces(one, lambda _: None)):
        pieces = make(table([[n] for n in range(10)]))
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        assert list(tmp_path.iterdir()) == []
