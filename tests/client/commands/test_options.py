"""What the commands share: saving, printing, clocks."""

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatepost.client.commands.options import clock, line, save
from gatepost.errors import ReceiverAway


def broken() -> Iterator[bytes]:
    yield b"half of it"
    raise ReceiverAway("it broke off")


def test_a_file_is_whole_or_as_it_was_before(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    with pytest.raises(ReceiverAway):
        save(broken(), file)
    assert list(tmp_path.iterdir()) == []
    save([b"a", b"", b"b"], file)
    with pytest.raises(ReceiverAway):
        save(broken(), file)
    assert file.read_bytes() == b"ab"
    assert list(tmp_path.iterdir()) == [file]


def test_a_dash_is_the_standard_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    out = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(out))
        save([b"\xef\xbb\xbf", b"a\r\n"], Path("-"))
        assert out.getvalue() == b"\xef\xbb\xbfa\r\n"
    assert list(tmp_path.iterdir()) == []


def test_progress_is_shown_to_a_person_and_not_to_a_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save([b"a"], tmp_path / "a.csv")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    save([b"a" * 2000], tmp_path / "a.csv")
    assert "2.0 kB" in capsys.readouterr().err


def test_a_line_is_one_line_of_what_can_be_shown() -> None:
    assert line(["a\nb", "", "\x1b[31m王", "c\u202e"]) == "a b  \ufffd[31m王  c\ufffd"


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia/Shanghai", "2024-10-27 09:00:00 +08:00"),
        ("Europe/Berlin", "2024-10-27 02:00:00 +01:00"),
        ("America/St_Johns", "2024-10-26 22:30:00 -02:30"),
        ("UTC", "2024-10-27 01:00:00 +00:00"),
        ("Mars/Olympus", "2024-10-27 01:00:00 +00:00"),
    ],
)
def test_a_moment_is_shown_by_the_clocks_of_its_zone_with_their_offset(zone: str, shown: str) -> None:
    assert clock(datetime(2024, 10, 27, 1, tzinfo=UTC), zone) == shown


def test_a_moment_of_no_zone_is_shown_by_the_clock_here_and_none_as_a_dash() -> None:
    at = datetime(2024, 5, 6, 12, tzinfo=UTC)
    assert datetime.fromisoformat(clock(at)) == at
    assert clock(None) == "-"
