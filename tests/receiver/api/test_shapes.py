from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from litestar.exceptions import ClientException, HTTPException

from gatepost.receiver.api.shapes import answering, days, moment, text, word
from gatepost.store.cursor import BadCursor
from gatepost.store.local_days import UnknownZone
from gatepost.store.terminals.registry import Conflict

CHINA = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (None, None),
        ("", None),
        (" ", None),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1714550400.5", datetime(2024, 5, 1, 8, 0, 0, 500_000, UTC)),
        ("1714550400500", datetime(2024, 5, 1, 8, 0, 0, 500_000, UTC)),
        ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01 08:00", datetime(2024, 5, 1, 8, tzinfo=UTC)),
        ("2024-05-01T08:00:00Z", datetime(2024, 5, 1, 8, tzinfo=UTC)),
        ("2024-05-01T08:00:00+08:00", datetime(2024, 5, 1, 8, tzinfo=CHINA)),
        ("2024-05-01T08:00:00.123456 0800", datetime(2024, 5, 1, 8, 0, 0, 123_456, CHINA)),
    ],
)
def test_a_time_is_iso_8601_or_a_unix_time(written: str | None, meant: datetime | None) -> None:
    assert moment("since", written) == meant


@pytest.mark.parametrize(
    "written", ["yesterday", "2024-13-01", "1e99", "99999999999999999999", "2024-05-01T08:00 8"]
)
def test_what_is_no_time_is_refused_and_the_parameter_named(written: str) -> None:
    with pytest.raises(ClientException, match="since is no time"):
        moment("since", written)


def test_an_empty_word_filters_nothing_and_a_nul_is_in_none() -> None:
    assert word("q", "") is None
    assert word("q", "王") == "王"
    with pytest.raises(ClientException, match="q contains a NUL"):
        word("q", "a\0b")


def test_days_are_asked_for_in_one_of_three_ways() -> None:
    day = date(2024, 2, 29)
    nothing = dict.fromkeys(("day", "month", "first", "last"))
    assert days(**{**nothing, "day": "2024-02-29"}) == (day, day)
    assert days(**{**nothing, "month": "2024-02"}) == (date(2024, 2, 1), day)
    assert days(**{**nothing, "first": "2024-02-01", "last": "2024-02-29"}) == (date(2024, 2, 1), day)
    for wrong in (
        {},
        {"day": "2024-02-29", "month": "2024-02"},
        {"first": "2024-02-01"},
        {"day": "2024-02-30"},
    ):
        with pytest.raises(ClientException):
            days(**{**nothing, **wrong})


def test_an_original_is_shown_whatever_its_bytes_are() -> None:
    assert text(None) is None
    assert text("王".encode() + b"\xff") == "王\ufffd"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadCursor("no cursor"), 400),
        (UnknownZone("Nowhere"), 400),
        (ValueError("wrong"), 400),
        (Conflict("taken"), 409),
    ],
)
def test_what_a_client_asked_wrongly_is_its_fault(error: Exception, status: int) -> None:
    with pytest.raises(HTTPException) as answered, answering():
        raise error
    assert answered.value.status_code == status
