"""A list of terminals as people write it, and everything that may be wrong in it."""

from __future__ import annotations

import random

import pytest

from gatepost.fleet.finding.csv_import import MAX_ROWS, Problem, TerminalList, read, template

SITES = {"North": 1, "南区": 2}
HEAD = "address,name,site,username,password\n"


def of(text: str, charset: str = "utf-8") -> TerminalList:
    return read(text.encode(charset), sites=SITES)


def test_a_row_is_a_terminal() -> None:
    found = of(HEAD + ' 192.168.1.64 ,"Gate, 1",North,admin, pass word \nhttps://door-2:8443,,,admin,x\n')
    assert found.problems == ()
    one, other = found.rows
    assert (one.line, one.address, one.name, one.site) == (2, "https://192.168.1.64:8000", "Gate, 1", "North")
    # A password may begin and end with a blank.
    assert (one.username, one.password) == ("admin", " pass word ")
    assert (other.address, other.name, other.site) == ("https://door-2:8443", None, None)


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_it_is_read_as_a_spreadsheet_saves_it(charset: str, delimiter: str) -> None:
    lines = ["密码,站点,地址,用户名,名称", "secret,南区,192.168.1.64,admin,1号门", ",,,,"]
    found = of("\r\n".join(lines).replace(",", delimiter) + "\r\n", charset)
    assert found.problems == ()
    [row] = found.rows
    assert (row.name, row.site, row.password) == ("1号门", "南区", "secret")


@pytest.mark.parametrize("chinese", [False, True])
def test_the_template_lacks_the_password_alone(chinese: bool) -> None:
    found = read(template(chinese=chinese), sites=SITES)
    assert found == TerminalList((), (Problem(2, "password", "is missing; write it"),))


@pytest.mark.parametrize(
    ("line", "column", "why"),
    [
        (",,,admin,x", "address", "is missing"),
        ("192.168.1.64", "username", "is missing"),
        ("192.168.1.64,,,,x", "username", "is missing"),
        ("192.168.1.64,,,admin,", "password", "is missing"),
        ("ftp://x,,,admin,x", "address", "must be like"),
        ("192.168.1.64/path,,,admin,x", "address", "must be like"),
        ("192.168.1.64,,South,admin,x", "site", "is no site here"),
        ("192.168.1.64," + "n" * 129 + ",,admin,x", "name", "more than 128 characters"),
        ('192.168.1.64,"a\nb",,admin,x', "name", "cannot be shown"),
        ("192.168.1.64,,,admin,x\x1b[2J", "password", "cannot be shown"),
    ],
)
def test_a_problem_has_its_line_and_its_column(line: str, column: str, why: str) -> None:
    found = of(HEAD + "192.168.1.1,,,admin,x\n" + line + "\n192.168.1.2,,,admin,x\n")
    assert [row.address for row in found.rows] == ["https://192.168.1.1:8000", "https://192.168.1.2:8000"]
    assert (found.problems[0].line, found.problems[0].column) == (3, column)
    assert why in found.problems[0].why


def test_an_address_stands_once() -> None:
    found = of(HEAD + "192.168.1.1,,,admin,x\n\nhttps://192.168.1.1:8000/,,,admin,y\n")
    assert len(found.rows) == 1
    assert found.problems == (Problem(4, "address", "stands in line 2, too; remove one"),)


def test_a_line_is_counted_as_an_editor_counts_it() -> None:
    found = of(HEAD + '192.168.1.1,"two\nlines",,admin,x\n192.168.1.2,,,admin,\n')
    assert [problem.line for problem in found.problems] == [2, 4]


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ("", None, "is empty"),
        ("\n \n", None, "is empty"),
        (HEAD, None, "no terminals"),
        ("address,username\n1,2\n", "password", "has no column"),
        ("address,address,username,password\n1,2,3,4\n", "address", "stands twice"),
        ("address,username,password,floor\n1,2,3,4\n", None, "column 4 has no known name"),
        (HEAD + "192.168.1.1,,,admin,x\n" * (MAX_ROWS + 1), None, "more than 5000"),
        ("x" * (1024 * 1024 + 1), None, "more than 1024 KB"),
        ('address,"' + "x" * 200_000 + '"\n', None, "is no CSV"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_once(text: str, column: str | None, why: str) -> None:
    found = of(text)
    assert found.rows == ()
    [problem] = found.problems
    assert (problem.line, problem.column) == (1, column)
    assert why in problem.why


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a", b"PK\x03\x04\0\0", b"\x80\xff"])
def test_a_file_that_is_no_text_is_told(content: bytes) -> None:
    assert "no text" in read(content, sites=SITES).problems[0].why


def test_no_problem_repeats_a_password() -> None:
    """Whichever column a password is in by mistake."""
    rand = random.Random(3)
    cells = ["192.168.1.64", "Gate", "North", "admin", "hunter2"]
    for _ in range(200):
        rand.shuffle(cells)
        found = of(HEAD + ",".join(cells[: rand.randint(1, 5)]) + ",hunter2\n")
        assert not any("hunter2" in problem.why for problem in found.problems)
    assert "hunter2" not in str(of("address,hunter2,username,password\n1,2,3,4\n").problems)
