"""How values are written."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.store.events import NOON

from gatepost.console.show import Show, kind_of, qr_svg
from gatepost.console.words import words
from gatepost.store.interface import RecordRow

SHOW = Show(words("en"), "Asia/Shanghai", now=NOON)
RECORD = RecordRow(
    id=1, terminal_id=1, terminal_name=None, site_id=1, site="", timezone="UTC", serial="SN", uuid=None, at=NOON,
    recorded_at=NOON, received_at=NOON, recognition_type=1, passed=True, entry_mode=1, abnormal_type=0,
    score=0.9, temperature=36.5, mask=0, mode=0, person=None, has_image=False, dialect=None, peer=None, problems=(),
    original=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, "passed"),
        ({"passed": None}, "unsaid"),
        ({"passed": False}, "refused"),
        ({"abnormal_type": 40001}, "abnormal"),
        ({"passed": False, "abnormal_type": 40001}, "refused"),
        ({"recognition_type": 3, "passed": False}, "stranger"),
        ({"recognition_type": 4}, "fake"),
        ({"recognition_type": 5, "passed": True}, "blacklist"),
        ({"recognition_type": None, "passed": True}, "passed"),
    ],
)
def test_a_record_is_at_a_glance_the_gravest_that_it_is(changed: dict[str, object], kind: str) -> None:
    assert kind_of(msgspec.structs.replace(RECORD, **changed)) == kind


def test_a_moment_is_written_as_the_clocks_there_show_it() -> None:
    at = datetime(2024, 5, 6, 20, 30, 5, tzinfo=UTC)
    written = SHOW.moment(at)
    assert "2024-05-07\u200204:30:05" in written
    assert 'datetime="2024-05-06T20:30:05Z"' in written
    assert "2024-05-06\u200216:30:05" in SHOW.moment(at, "America/New_York")


def test_a_time_of_today_has_no_date() -> None:
    assert ">20:00:00<" in SHOW.clock(NOON)
    assert "05-05" in SHOW.clock(NOON - timedelta(days=1))


def test_a_zone_that_this_system_lacks_is_shown_in_utc() -> None:
    assert "12:00:00" in SHOW.moment(NOON, "Mars/Olympus")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "–"),
        (0.25, "250 ms"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (-90, "−1 min 30 s"),
        (90061, "1 d 1 h"),
    ],
)
def test_a_span_is_written_in_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert SHOW.span(seconds) == text


def test_how_long_ago_something_was() -> None:
    assert SHOW.ago(None) == "never"
    assert SHOW.ago(NOON) == "just now"
    assert SHOW.ago(NOON - timedelta(minutes=5)) == "5 min ago"


def test_quantities() -> None:
    assert SHOW.number(2_000_000) == "2,000,000"
    assert SHOW.share(1, 3) == "33.3\u202f%"
    assert SHOW.share(0, 0) == "–"
    assert SHOW.size(999) == "999 B"
    assert SHOW.size(30_000) == "29.3 KiB"
    assert SHOW.size(5 << 30) == "5.0 GiB"
    assert SHOW.temperature(36.55) == "36.5\u202f°C"
    assert SHOW.temperature(0.0) == ""
    assert SHOW.score(0.93022) == "0.930"
    assert SHOW.yes(None) == "not said"


def test_codes_are_put_into_words_unknown_ones_too() -> None:
    assert SHOW.code("abnormal_type", 20002) == "outside the permitted hours"
    assert SHOW.code("abnormal_type", 77) == "unknown (77)"
    assert Show(words("zh"), "UTC", now=NOON).code("recognition_type", 3) == "陌生人"
    assert (1, "face") in SHOW.codes("entry_mode")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (40, "0 min"), (8 * 3600, "8 h 0 min"), (24 * 3600 + 15 * 60 + 59, "24 h 15 min")],
)
def test_hours_of_work_are_never_days(seconds: float | None, shown: str) -> None:
    assert SHOW.hours(seconds) == shown


def test_delivered_later_is_what_arrived_over_ten_minutes_after_it_happened() -> None:
    assert not SHOW.delivered_later(RECORD)
    assert SHOW.delivered_later(msgspec.structs.replace(RECORD, received_at=NOON + timedelta(minutes=11)))


def test_json_is_indented_and_what_is_none_is_shown_as_it_is() -> None:
    assert SHOW.json('{"name":"王五"}'.encode()) == '{\n  "name": "王五"\n}'
    assert SHOW.json(b"{broken") == "{broken"
    assert SHOW.json(None) == ""


def test_a_qr_code_is_drawn_without_any_style_of_its_own() -> None:
    drawn = qr_svg("http://10.0.0.1:8080/Record/abc")
    assert drawn.startswith("<svg")
    assert "style" not in drawn
