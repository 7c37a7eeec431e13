"""A list of names is read as spreadsheets write it, and what cannot be used is said line by line."""

from datetime import UTC, datetime

import pytest

from gatepost.receiver.terminals.name_list import names_of
from gatepost.store.interface import TerminalRow


def terminal(number: int, serial: str | None, name: str | None = None) -> TerminalRow:
    return TerminalRow(
        id=number, serial=serial, anonymous_peer=None, name=name, site_id=1, site="Site", timezone="UTC",
        state="approved", has_token=False, networks=(), model=None, dialect=None,
        created_at=datetime(2024, 5, 6, tzinfo=UTC),
    )  # fmt: skip


KNOWN = [terminal(1, "SN-1"), terminal(2, "SN-2", "North gate"), terminal(3, None)]


@pytest.mark.parametrize(
    "text",
    [
        "SN-1,Gate 1\nSN-2,Gate 2\n",
        "\ufeffSerial number,Name\r\nSN-1,Gate 1\r\nSN-2,Gate 2\r\n",
        "序列号;名称\nSN-1;Gate 1\n\nSN-2;Gate 2",
        "SN-1\tGate 1\nSN-2\tGate 2",
        'sn,name,floor\n"SN-1", "Gate 1", 4\nSN-2,Gate 2,5\n',
    ],
)
def test_any_separator_heading_and_quotation_is_read(text: str) -> None:
    lines = names_of(text, KNOWN)
    assert [(line.serial, line.name, line.changes) for line in lines] == [
        ("SN-1", "Gate 1", True),
        ("SN-2", "Gate 2", True),
    ]


def test_a_terminal_without_a_serial_is_named_by_its_number() -> None:
    (line,) = names_of("#3,Cellar", KNOWN)
    assert (line.changes, line.terminal) == (True, KNOWN[2])


def test_each_line_that_cannot_be_used_says_why_and_the_others_count() -> None:
    lines = names_of(f"SN-9,Roof\nSN-1\nSN-1,{'x' * 129}\nSN-1,Gate\nSN-1,Door\nSN-2,North gate\n", KNOWN)
    problems = [line.problem for line in lines]
    assert problems == ["unknown", "nameless", "long", None, "twice", None]
    assert [line.number for line in lines if line.changes] == [4]


def test_a_name_comes_back_without_the_sign_that_kept_a_spreadsheet_from_calculating_it() -> None:
    assert names_of("SN-1,'=Gate\nSN-2,'Gate'\n", KNOWN)[0].name == "=Gate"
    assert names_of("SN-2,'Gate'\n", KNOWN)[0].name == "'Gate'"


def test_a_quotation_without_an_end_is_no_error() -> None:
    assert names_of('SN-1,"Gate\nSN-2,Door', KNOWN)[0].serial == "SN-1"
    assert names_of("", KNOWN) == []
    assert names_of("\n , \n", KNOWN) == []
