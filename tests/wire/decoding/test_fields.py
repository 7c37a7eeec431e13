import base64
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.wire.examples import JPEG, JPEG_TEXT, json_values

from gatepost.errors import DecodeError
from gatepost.wire.decoding.fields import Fields, Problem
from gatepost.wire.decoding.images import media_type

Reading = Callable[[Fields, str], Any]

READINGS: dict[str, Reading] = {
    "object": Fields.object,
    "identifier": Fields.identifier,
    "integer": Fields.integer,
    "number": Fields.number,
    "truth": Fields.truth,
    "time": Fields.time,
    "image": Fields.image,
}


def read(reading: Reading, value: object) -> tuple[Any, list[str]]:
    """What a lenient reading answers, and why it is not content."""
    problems: list[Problem] = []
    answer = reading(Fields({"x": value}, "data.", problems), "x")
    assert all(problem.where == "data.x" for problem in problems)
    return answer, [problem.why for problem in problems]


def read_strictly(reading: Reading, value: object) -> Any:
    return reading(Fields({"x": value}, "data.", None), "x")


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("problems", [None, []], ids=["strict", "lenient"])
def test_what_is_absent_or_null_is_none_and_no_problem(name: str, problems: list[Problem] | None) -> None:
    fields = Fields({"x": None}, "data.", problems)
    assert READINGS[name](fields, "x") is None
    assert READINGS[name](fields, "y") is None
    assert not problems


@pytest.mark.parametrize("name", READINGS)
def test_what_is_read_is_taken_and_the_rest_stays(name: str) -> None:
    value = {"x": [], "new": {"a": 1}}
    problems: list[Problem] = []
    fields = Fields(value, "", problems)
    READINGS[name](fields, "x")
    assert fields.rest == {"new": {"a": 1}}
    assert value == {"x": [], "new": {"a": 1}}


@given(st.sampled_from(sorted(READINGS)), json_values)
@example("integer", 1 << 63)
@example("number", 1 << 53)
@example("truth", 1.0)
@example("time", "99999999999999999")
@example("image", "A")
def test_whatever_stands_there_strict_and_lenient_differ_only_in_what_they_do_about_a_problem(
    name: str, value: object
) -> None:
    reading = READINGS[name]
    answer, found = read(reading, value)
    if found and found != ["is no image"]:
        with pytest.raises(DecodeError) as raised:
            read_strictly(reading, value)
        assert (raised.value.where, raised.value.why) == ("data.x", found[0])
        return
    strictly = read_strictly(reading, value)
    if isinstance(answer, Fields):
        answer, strictly = answer.rest, strictly.rest
    if not found:
        assert (answer, type(answer)) == (strictly, type(strictly))


def test_an_object_is_read_in_its_place_and_into_the_same_list() -> None:
    problems: list[Problem] = []
    user = Fields({"user": {"type": "x", "name": "Ada"}}, "data.", problems).object("user")
    assert user is not None
    assert user.integer("type") is None
    assert user.rest == {"name": "Ada"}
    assert problems == [Problem("data.user.type", "must be an integer")]
    with pytest.raises(DecodeError, match=r"^data\.user must be an object$"):
        Fields({"user": ["Ada"]}, "data.", None).object("user")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[("7", "7"), ("", ""), (7, "7"), (-7, "-7"), (1 << 80, str(1 << 80))],
        *[(206.0, "206"), (2.06e2, "206"), (-7.0, "-7"), (0.0, "0")],
        *[("71\0\0\0", "71"), (" 71 ", "71"), ("\r\n7\t1\0 ", "7\t1"), ("\0\0", "")],
        *[
            ("\u300071\u3000", "71"),
            ("\xa071", "71"),
            ("\ufeff71\0", "71"),
            ("206.0", "206.0"),
            ("２０６", "２０６"),
        ],
    ],
)
def test_an_identifier_is_a_string_or_an_integer_of_any_length_without_padding(
    value: object, text: str
) -> None:
    assert read(Fields.identifier, value) == (text, [])


def test_a_double_that_may_have_lost_digits_is_an_identifier_that_is_noted() -> None:
    assert read(Fields.identifier, 1.8e16) == (
        "18000000000000000",
        ["is a double that does not hold all its digits"],
    )


def test_a_text_keeps_its_blanks_and_loses_the_nuls_of_a_buffer() -> None:
    assert read(Fields.text, " Ann \0\0") == (" Ann ", [])
    assert read(Fields.text, "Ann\0Bob") == ("Ann\0Bob", [])
    assert read(Fields.text, 7.0) == ("7", [])


def test_what_a_strict_reading_reads_stays_as_it_was_written() -> None:
    assert read_strictly(Fields.identifier, " 71\0") == " 71\0"
    assert read_strictly(Fields.text, "Ann\0") == "Ann\0"


@pytest.mark.parametrize("value", [True, 7.5, [], {}])
def test_what_is_no_identifier_is_not_made_one(value: object) -> None:
    assert read(Fields.identifier, value) == (None, ["must be a string"])


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), (3.0, 3), (-(1 << 63), -(1 << 63)), ((1 << 63) - 1, (1 << 63) - 1), (-0.0, 0)],
)
def test_an_integer_may_come_with_a_point_and_has_64_bits(value: object, number: int) -> None:
    answer, problems = read(Fields.integer, value)
    assert (answer, type(answer), problems) == (number, int, [])


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1])
def test_an_integer_of_more_bits_is_none(value: int) -> None:
    assert read(Fields.integer, value) == (None, ["does not fit into 64 bits"])


@pytest.mark.parametrize("value", [True, 1.5, float(1 << 53), [1], {}])
def test_what_is_no_integer_is_not_rounded_to_one(value: object) -> None:
    assert read(Fields.integer, value) == (None, ["must be an integer"])


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("-12", -12), ("9" * 18, 10**18 - 1), (" 1", 1), ("1\n", 1), ("1.0", 1), ("1\0\0", 1)],
)
def test_digits_in_a_text_are_an_integer_that_is_noted(text: str, number: int) -> None:
    assert read(Fields.integer, text) == (number, ["must be an integer"])


@pytest.mark.parametrize("text", ["", "+1", "1.5", "1e3", "0x1", "1_000", "１２", "9" * 19])
def test_a_text_that_says_an_integer_in_any_other_way_says_none(text: str) -> None:
    assert read(Fields.integer, text) == (None, ["must be an integer"])


@pytest.mark.parametrize(("value", "number"), [(0.5, 0.5), (-2, -2.0), ((1 << 53) - 1, float((1 << 53) - 1))])
def test_a_number_is_a_float_however_it_came(value: float, number: float) -> None:
    answer, problems = read(Fields.number, value)
    assert (answer, type(answer), problems) == (number, float, [])


@pytest.mark.parametrize("value", [1 << 53, True, [], "", "1e3", ".5", "5.", "nan", "inf", "0" * 16])
def test_what_no_float_holds_exactly_or_plainly_is_none(value: object) -> None:
    assert read(Fields.number, value) == (None, ["must be a number"])


@pytest.mark.parametrize(("text", "number"), [("36.5", 36.5), ("-1", -1.0)])
def test_a_number_in_a_text_is_one_that_is_noted(text: str, number: float) -> None:
    assert read(Fields.number, text) == (number, ["must be a number"])


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        *[(0, False), (1, True), ("0", False), ("1", True), ("false", False), ("true", True)],
        *[("False", False), ("FALSE", False), ("no", False), ("N", False), ("off", False), (0.0, False)],
        *[("True", True), ("TRUE", True), ("Yes", True), ("y", True), ("ON", True), (1.0, True), (-1, True)],
        *[(" true\0", True), ("\u662f", True), ("\u5426", False), ("\u771f", True), ("\u5047", False)],
        *[("1.0", True), ("0.0", False), ("1.000000", True), ("-1.0", True), ("0.00\0", False)],
    ],
)
def test_what_plainly_means_a_truth_is_one_that_is_noted(value: object, truth: bool) -> None:
    assert read(Fields.truth, value) == (truth, ["must be true or false"])


@pytest.mark.parametrize("value", [2, -2, 1.5, "", "perhaps", "10", "1.5", "0.01", "2.0", [], {}])
def test_what_may_mean_either_is_neither(value: object) -> None:
    assert read(Fields.truth, value) == (None, ["must be true or false"])


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (99_999_999_999, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (100_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (1_685_343_715_042, datetime(2023, 5, 29, 7, 1, 55, 42_000, tzinfo=UTC)),
        (99_999_999_999_999, datetime(5138, 11, 16, 9, 46, 39, 999_000, tzinfo=UTC)),
    ],
)
def test_seconds_and_milliseconds_meet_where_neither_is_likely(value: int, moment: datetime) -> None:
    assert read(Fields.time, value) == (moment, [])


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -1_685_343_715_042,
        -(1 << 63),
        10**30,
        "today",
        "2025-13-01 00:00:00",
        "2025-11-28",
        "2025-11-28T24:00:01Z",
        "2025-11-28T25:00:00Z",
        "2025-11-28T03:20:00[UTC]",
        "20251128T0320Z",
        "1E99",
        True,
        [],
        float("nan"),
    ],
)
def test_a_time_that_no_clock_shows_is_none(value: int) -> None:
    assert read(Fields.time, value) == (None, ["is no time between 1970 and 9999"])


def test_the_value_that_means_no_time_is_none_and_no_problem() -> None:
    problems: list[Problem] = []
    fields = Fields({"a": 0, "b": 1, "c": 0.0}, "", problems)
    assert fields.time("a", unset=0) is None
    assert fields.time("b", unset=0) == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert fields.time("c", unset=0) is None
    assert fields.time("d", unset=0) is None
    assert problems == []


AT = datetime(2025, 11, 28, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1764300000.5, AT.replace(microsecond=500_000)),
        ("1764300000.25", AT.replace(microsecond=250_000)),
        ("1764300000", AT),
        (" 1764300000000\0", AT),
        (1764300000123.5, AT.replace(microsecond=123_500)),
        (1764300000123456, AT.replace(microsecond=123_456)),
        ("1764300000123456789", AT.replace(microsecond=123_456)),
        ("2025-11-28T11:20:00+08:00", AT),
        ("2025-11-28 03:20:00.123456789Z", AT.replace(microsecond=123_456)),
        ("2025/11/28 03:20 utc", AT),
        ("2025-11-27T22:20:00-0500", AT),
        ("2025-11-28T03:19:60Z", AT),
        ("20251128T032000Z", AT),
        ("20251128T112000.250+0800", AT.replace(microsecond=250_000)),
        ("20251128 032000,5 UTC", AT.replace(microsecond=500_000)),
        ("20251128032000Z", AT),
        ("2025-11-28T03:20:00+00:00[UTC]", AT),
        ("2025-11-28T11:20:00.5+08:00[Asia/Shanghai]", AT.replace(microsecond=500_000)),
        ("2025-11-28T03:20Z[Etc/GMT+0]", AT),
        ("2025-11-28T24:00:00Z", AT.replace(day=29, hour=0, minute=0)),
        ("2025-12-31 24:00 +0000", datetime(2026, 1, 1, tzinfo=UTC)),
        ("20251128T240000Z", AT.replace(day=29, hour=0, minute=0)),
        ("1.7643E9", AT),
        ("1.7643e+12", AT),
        ("17643000000E-1", AT),
        ("1764300000000000", AT),
        ("20000000000000000", datetime(2603, 10, 11, 11, 33, 20, tzinfo=UTC)),
        ("2010101010101010", datetime(2033, 9, 12, 1, 23, 30, 101_010, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_however_it_is_written_and_noted(value: object, moment: datetime) -> None:
    assert read(Fields.time, value) == (moment, ["is no integer of seconds or milliseconds"])


@pytest.mark.parametrize(
    "text",
    [
        *["2025-11-28 11:20:00", "2025-11-28T11:20:00", "2025/11/28 11:20"],
        *["20251128112000", "20251128T112000", "20251128112000000", " 20251128112000\0"],
    ],
)
def test_a_time_without_zone_is_no_moment_but_what_its_clock_showed(text: str) -> None:
    problems: list[Problem] = []
    read = Fields({"x": text}, "", problems).moment("x")
    assert read is not None
    assert (read.at, read.local) == (None, datetime(2025, 11, 28, 11, 20))  # noqa: DTZ001 - it has none
    assert [problem.why for problem in problems] == ["is a time without a zone"]


@pytest.mark.parametrize("blank", ["", " ", "\r\n", "data:image/jpeg;base64,"])
def test_a_blank_image_is_none_and_no_problem(blank: str) -> None:
    assert read(Fields.image, blank) == (None, [])
    assert read_strictly(Fields.image, blank) is None


@pytest.mark.parametrize(
    "text",
    [
        JPEG_TEXT,
        f" {JPEG_TEXT} \n",
        f"data:image/jpeg;base64,{JPEG_TEXT}",
    ],
)
def test_an_image_is_the_same_however_its_base64_is_wrapped(text: str) -> None:
    assert read(Fields.image, text) == (JPEG, [])
    assert read_strictly(Fields.image, text) == JPEG


@pytest.mark.parametrize("text", ["A", "/9j/!", "ÿØ", "/9j/=A", "%zz"])
def test_a_text_that_is_no_base64_is_no_image(text: str) -> None:
    assert read(Fields.image, text) == (None, ["is no base64"])


PICTURES = [JPEG[: len(JPEG) - cut] for cut in range(4)]


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize(
    ("written", "why"),
    [
        (lambda text: text.replace("+", " "), "has blanks in its base64, which are read as +"),
        (lambda text: text.replace("+", "-").replace("/", "_"), "is base64 with the letters for URLs"),
        (lambda text: text.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"), "is percent-encoded"),
        (lambda text: " ".join(textwrap.wrap(text, 76)), "has blanks in its base64, which are left out"),
    ],
)
def test_a_picture_is_whole_however_its_base64_was_spoilt_and_noted(
    picture: bytes, written: Callable[[str], str], why: str
) -> None:
    text = written(base64.b64encode(picture).decode())
    assert read(Fields.image, text) == (picture, [why])
    assert read(Fields.image, text + "\0\0") == (picture, [why])


LEFT_OUT = "has blanks in its base64, which are left out"
READ_AS_PLUS = "has blanks in its base64, which are read as +"
WRONG_PADDING = "has no or the wrong padding at its end"


@pytest.mark.parametrize("end", [b"\x3e", b"\xfe", b"\xbe", b"\xfb\xee\xfe", b"\xef\xbe", b"\x03\xe0"])
@pytest.mark.parametrize("length", range(20, 26))
@pytest.mark.parametrize("start", [b"BM" + bytes(8), b"\xff\xd8\xff\xe0"])
def test_a_picture_whose_base64_ends_in_a_plus_keeps_its_last_byte(
    start: bytes, length: int, end: bytes
) -> None:
    picture = start + b"\x11" * length + end
    text = base64.b64encode(picture).decode()
    assert read(Fields.image, text.replace("+", " ")) == (picture, [READ_AS_PLUS] if "+" in text else [])


@pytest.mark.parametrize("letters", range(40, 44))
def test_base64_without_its_padding_is_noted_for_it_may_have_been_cut(letters: int) -> None:
    text = base64.b64encode(b"\xff\xd8" + bytes(100)).decode()[:letters]
    image, whys = read(Fields.image, text)
    if letters % 4 == 1:
        assert (image, whys) == (None, ["is no base64"])
    else:
        assert (image, whys) == (
            base64.b64decode(text + "=" * (-letters % 4)),
            [WRONG_PADDING] * (letters % 4 > 0),
        )


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("length", range(60, 63))
def test_base64_that_lost_letters_is_noted_or_none(lost: int, length: int) -> None:
    picture = b"\xff\xd8\xff" + b"\xfb\xef\xbe" * 4 + bytes(length)
    image, whys = read(Fields.image, base64.b64encode(picture).decode().replace("+", "", lost))
    assert image != picture
    assert whys in (["is no base64"], [WRONG_PADDING])


def test_url_safe_base64_without_its_padding_is_a_picture_with_both_notes() -> None:
    text = base64.urlsafe_b64encode(JPEG[:-1] + b"\xff\xff").decode().rstrip("=")
    assert len(text) % 4
    assert read(Fields.image, text) == (
        JPEG[:-1] + b"\xff\xff",
        ["is base64 with the letters for URLs", WRONG_PADDING],
    )


@pytest.mark.parametrize("before", range(10, 40))
@pytest.mark.parametrize("after", [1, 5, 20])
def test_one_blank_is_a_plus_wherever_it_stands(before: int, after: int) -> None:
    picture = b"\xff\xd8\xff\xe0\0\0" + b"\x11\x22\x33" * before + b"\xfb\x11\x11" + b"\x11\x22\x33" * after
    text = base64.b64encode(picture).decode()
    assert text.count("+") == 1
    assert read(Fields.image, text.replace("+", " ")) == (picture, [READ_AS_PLUS])


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("width", [4, 20, 60, 64, 76, 1024])
def test_lines_that_blanks_end_may_have_lost_their_plus_as_well(picture: bytes, width: int) -> None:
    picture += b"\xfb\xef\xbe" * 100 + bytes(900) + picture[-3:]
    text = base64.b64encode(picture).decode()
    lines = " ".join(text[at : at + width] for at in range(0, len(text), width)).replace("+", " ")
    assert read(Fields.image, lines) == (picture, [LEFT_OUT, READ_AS_PLUS])


def test_blanks_behind_what_may_have_ended_in_plus_are_noted() -> None:
    picture = b"\xff\xd8\xff"
    assert read(Fields.image, base64.b64encode(picture).decode() + " " * 4) == (picture, [LEFT_OUT])


@given(st.binary(max_size=200), st.integers(0, 80))
def test_blanks_for_plus_are_never_another_picture_without_a_note(content: bytes, width: int) -> None:
    picture = b"\xff\xd8" + content
    text = base64.b64encode(picture).decode()
    if width:
        text = " ".join(text[at : at + width] for at in range(0, len(text), width))
    image, whys = read(Fields.image, text.replace("+", " "))
    assert image == picture or whys


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM\x36\x10\0\0\0\0\0\0", "image/bmp"),
        (b"<svg xmlns=", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_a_picture_is_what_its_first_bytes_say(start: bytes, kind: str | None) -> None:
    assert media_type(start + bytes(20)) == kind
    assert read(Fields.image, base64.b64encode(start + bytes(20)).decode())[0] == (
        start + bytes(20) if kind else None
    )


def test_whether_it_is_a_picture_only_a_receiver_asks() -> None:
    assert read(Fields.image, "R0lGODlh") == (None, ["is no image"])
    assert read_strictly(Fields.image, "R0lGODlh") == b"GIF89a"


def test_what_is_wrong_is_named_by_its_whole_path() -> None:
    problems: list[Problem] = []
    Fields({}, "data.user.groups[2].", problems).wrong("id", "must be a string")
    assert problems == [Problem("data.user.groups[2].id", "must be a string")]
    with pytest.raises(DecodeError) as raised:
        Fields({}, "", None).wrong("type", "is missing")
    assert (raised.value.where, raised.value.why) == ("type", "is missing")
