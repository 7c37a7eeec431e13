import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.wire.examples import JPEG, JPEG_TEXT, PAGE_ALARM, PAGE_RECORD, json_values, record_body

from gatepost.errors import DecodeError
from gatepost.wire import (
    MAX_EVENTS,
    Alarm,
    Decoded,
    Dialect,
    Group,
    Record,
    Unknown,
    decode,
    decode_many,
    encode,
)
from gatepost.wire.decoding.decoder import with_image
from gatepost.wire.decoding.json import repair


def record_of(body: bytes, **how: bool) -> Record:
    event = decode(body, **how).event
    assert isinstance(event, Record)
    return event


def outcome(body: bytes, *, lenient: bool) -> Decoded | DecodeError:
    try:
        return decode(body, lenient=lenient)
    except DecodeError as error:
        return error


def test_the_record_that_the_page_shows_decodes_field_by_field() -> None:
    decoded = decode(json.dumps(PAGE_RECORD).encode())
    record = decoded.event
    assert isinstance(record, Record)
    assert record.serial == "PSC700C0MC22F02542"
    assert record.uuid == "4d3987c1-a3b3-470b-9fb7-e114772c069c"
    assert record.recorded_at == datetime(2023, 5, 29, 7, 1, 55, tzinfo=UTC)
    assert (record.recognition_type, record.entry_mode, record.abnormal_type) == (1, 1, 0)
    assert (record.mask, record.mode, record.passed) == (0, 3, True)
    assert (record.score, record.temperature, record.image) == (0.9302213788032532, 0.0, None)
    assert record.user is not None
    assert (record.user.name, record.user.user_id, record.user.type) == ("王五", "5", 1)
    assert (record.user.ic_number, record.user.job_number, record.user.guest_from) == ("12345", "23385", None)
    assert record.user.groups == (Group("3", "测试3"), Group("4", "测试4"))
    assert decoded.dialect is Dialect.V1_3_0
    assert decoded.problems == ()


def test_the_alarm_that_the_page_shows_decodes_with_its_trailing_comma() -> None:
    alarm = decode(PAGE_ALARM).event
    assert alarm == Alarm(
        trace_id="SPX-1684381418208-004-3Adb4v",
        status=1,
        event_time=datetime(2023, 5, 18, 3, 43, 53, 398000, tzinfo=UTC),
        code=10001,
        description=" ",
    )


def test_a_comma_inside_a_text_is_left_alone_when_a_trailing_one_is_removed() -> None:
    alarm = decode(
        b'{"type":1,"data":{"trace_id":"a,}","status":1,"event_time":1684381433398,"description":",]",},}'
    ).event
    assert isinstance(alarm, Alarm)
    assert (alarm.trace_id, alarm.description) == ("a,}", ",]")


# --- dialects -----------------------------------------------------------------------------------------------

BEFORE_1_0 = {
    "TrackID": "OLD1",
    "recognitionType": 1,
    "recognizeStatus": 0.8,
    "livenessScore": 0.7,
    "timestamp": 1600000000,
}
V1_0 = {
    "deviceSN": "S1",
    "recognitionType": 1,
    "mode": 2,
    "timestamp": 1660000000,
    "user": {"name": "a", "user_id": 7, "type": 3},
}
V1_2_0 = {
    "deviceSN": "S1",
    "recognitionType": 1,
    "user": {"user_id": 7, "ic_number": "1", "job_number": "2", "remark": ""},
}
V1_2_1 = {
    "deviceSN": "S1",
    "uuid": "u",
    "user": {"user_id": "7", "type": 3},
    "groups": [{"id": 4, "name": "g"}],
}


@pytest.mark.parametrize(
    ("data", "dialect"),
    [
        (BEFORE_1_0, Dialect.BEFORE_1_0),
        (V1_0, Dialect.V1_0),
        (V1_2_0, Dialect.V1_2_0),
        (V1_2_1, Dialect.V1_2_1),
        (PAGE_RECORD["data"], Dialect.V1_3_0),
    ],
)
def test_the_dialect_is_told_by_the_fields_that_it_brought(data: dict[str, object], dialect: Dialect) -> None:
    assert decode(json.dumps({"type": 0, "data": data}).encode()).dialect is dialect


def test_before_1_0_the_serial_and_the_score_had_other_names() -> None:
    record = record_of(json.dumps({"type": 0, "data": BEFORE_1_0}).encode())
    assert (record.serial, record.score) == ("OLD1", 0.8)
    assert record.extra == {"livenessScore": 0.7}


@pytest.mark.parametrize(("old", "today"), [(2, 3), (3, 2), (0, 0), (1, 1), (10, 10)])
def test_modes_two_and_three_of_older_firmware_change_places(old: int, today: int) -> None:
    record = record_of(json.dumps({"type": 0, "data": {**V1_0, "mode": old}}).encode())
    assert record.mode == today


def test_identifiers_that_came_as_integers_are_strings() -> None:
    record = record_of(json.dumps({"type": 0, "data": V1_0}).encode())
    assert record.user is not None
    assert record.user.user_id == "7"
    assert record_of(json.dumps({"type": 0, "data": V1_2_1}).encode()).user.groups == (Group("4", "g"),)  # type: ignore[union-attr]


def test_the_blacklist_was_user_type_three_before_1_3_0_and_is_five() -> None:
    for data in (V1_0, V1_2_1):
        user = record_of(json.dumps({"type": 0, "data": data}).encode()).user
        assert user is not None
        assert user.type == 5
    assert record_of(record_body(type=3)).user.type == 3  # type: ignore[union-attr]


def test_groups_beside_the_user_are_taken_in() -> None:
    record = record_of(record_body({"groups": [{"id": "9", "name": "north"}]}, groups=...))
    assert record.user is not None
    assert record.user.groups == (Group("9", "north"),)
    assert "groups" not in record.extra


def test_a_strangers_user_of_nulls_and_blanks_decodes() -> None:
    record = record_of(
        record_body({"recognitionType": 3}, name=None, type=None, user_id="", ic_number="", groups=[])
    )
    assert record.user is not None
    assert (record.user.name, record.user.type, record.user.user_id) == ("", None, "")


@pytest.mark.parametrize("blank", ["", " ", None])
def test_blanks_mean_that_there_is_no_image(blank: str | None) -> None:
    assert record_of(record_body({"rgb_image": blank})).image is None


def test_a_temperature_without_a_point_is_a_number() -> None:
    assert record_of(record_body({"bodyTemperature": 0})).temperature == 0.0


@pytest.mark.parametrize("timestamp", [1685343715, 1685343715000])
def test_seconds_and_milliseconds_are_told_apart(timestamp: int) -> None:
    assert record_of(record_body({"timestamp": timestamp})).recorded_at == datetime(
        2023, 5, 29, 7, 1, 55, tzinfo=UTC
    )


def test_a_number_that_is_base64_text_stays_text() -> None:
    assert record_of(record_body(id_number="MTIzNDU2")).user.id_number == "MTIzNDU2"  # type: ignore[union-attr]


# --- nothing is lost ----------------------------------------------------------------------------------------


def test_unknown_fields_and_codes_come_out_as_they_went_in() -> None:
    body = record_body(
        {"recognitionType": 77, "newField": {"a": [1, None]}},
        newer=True,
        groups=[{"id": "1", "name": "n", "floor": 3}],
    )
    body = body[:-1] + b', "beside": 1}'
    again = json.loads(encode(record_of(body)))
    assert again["data"]["recognitionType"] == 77
    assert again["data"]["newField"] == {"a": [1, None]}
    assert again["data"]["user"]["newer"] is True
    assert again["data"]["user"]["groups"] == [{"id": "1", "name": "n", "floor": 3}]
    assert again["beside"] == 1


@pytest.mark.parametrize("body", [b'{"type":7,"data":{}}', b'{"hello":1}', b"{}", b'{"type":true,"data":{}}'])
def test_a_json_object_of_an_unknown_kind_is_kept_raw(body: bytes) -> None:
    decoded = decode(body)
    assert decoded.event == Unknown(json.loads(body))
    assert decoded.original == body


@given(json_values)
@example({"type": 0, "data": {"user": {"groups": [{"id": {}}]}}})
@example({"type": 1, "data": {"trace_id": "t", "status": None, "event_time": 10**14}})
@example({"type": 0, "data": {"timestamp": 10**30, "mask": 2**70}})
def test_any_json_either_decodes_or_raises_the_one_error(value: object) -> None:
    body = msgspec.json.encode(value)
    assert isinstance(outcome(body, lenient=False), Decoded | DecodeError)
    assert isinstance(outcome(body, lenient=True), Decoded | DecodeError)


@given(
    st.dictionaries(st.sampled_from([*PAGE_RECORD["data"], "x"]), json_values),
    st.dictionaries(st.sampled_from([*PAGE_RECORD["data"]["user"], "x"]), json_values),
)
def test_a_record_with_anything_in_its_fields_is_still_a_record_to_a_lenient_receiver(
    data: dict[str, object], user: dict[str, object]
) -> None:
    decoded = decode(msgspec.json.encode({"type": 0, "data": {**data, "user": user}}), lenient=True)
    assert isinstance(decoded.event, Record)
    assert all(problem.where.startswith("data.") and problem.why for problem in decoded.problems)
    encode(decoded.event)


@given(st.binary(max_size=300))
@example(b"")
@example(b"\xff\xfe")
@example(b'{"type":0,"data":{"score":NaN}}')
@example(b'{"a":"\\ud800"}')
@example(b'{"type":0,"data":' * 100_000)
@example(b"[" * 100_000 + b"]" * 100_000)
def test_any_bytes_either_decode_or_raise_the_one_error(body: bytes) -> None:
    assert isinstance(outcome(body, lenient=True), Decoded | DecodeError)


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        (b'"name":"Ada"', rb'"name":"Ada \ud83d"', [""]),
        (b'"mask":1', b'"mask":1e999', ["", "data.mask"]),
        (b'"mask":1', b'"mask":' + b"9" * 5000, ["", "data.mask"]),
        (b'"mask":1', b'"mask":1,"new":-1e999', [""]),
    ],
)
def test_json_that_no_decoder_holds_is_refused_strictly_and_a_passage_leniently(
    field: bytes, value: bytes, where: list[str]
) -> None:
    text = b'{"type":0,"data":{"deviceSN":"SN-1","mask":1,"user":{"name":"Ada"}}}'.replace(field, value)
    with pytest.raises(DecodeError):
        decode(text)
    decoded = decode(text, lenient=True)
    assert isinstance(decoded.event, Record)
    assert (decoded.event.serial, decoded.event.user is not None) == ("SN-1", True)
    assert [problem.where for problem in decoded.problems] == where
    assert decoded.original == text
    encode(decoded.event)


@pytest.mark.parametrize(
    "endless",
    [
        b'"\\' * 500_000,
        b'"' * 1_000_001,
        b"," * 1_000_000,
        b", " * 500_000,
        b'"\\ud800' * 100_000,
        b"1e999 " * 100_000,
    ],
)
def test_what_has_no_end_costs_no_more_than_its_length(endless: bytes) -> None:
    # with a search that began anew at every quote this took hours
    with pytest.raises(DecodeError, match="is no JSON"):
        decode(b'{"type":0,' + endless, lenient=True)


# --- what is wrong is said ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"mask": "yes"}, "data.mask"),
        ({"pass": "maybe"}, "data.pass"),
        ({"recognizeScore": []}, "data.recognizeScore"),
        ({"timestamp": "today"}, "data.timestamp"),
        ({"timestamp": 10**15}, "data.timestamp"),
        ({"mode": 2**63}, "data.mode"),
        ({"rgb_image": "no base64 ü"}, "data.rgb_image"),
        ({"rgb_image": 5}, "data.rgb_image"),
        ({"user": []}, "data.user"),
        ({"user": {"groups": [4]}}, "data.user.groups[0]"),
        ({"user": {"groups": [{"id": True}]}}, "data.user.groups[0].id"),
        ({"deviceSN": 1.5}, "data.deviceSN"),
    ],
)
def test_a_wrong_field_is_named_strictly_and_noted_leniently(changes: dict[str, object], where: str) -> None:
    body = record_body(changes)
    with pytest.raises(DecodeError) as raised:
        decode(body)
    assert raised.value.where == where
    decoded = decode(body, lenient=True)
    assert isinstance(decoded.event, Record)
    assert [problem.where for problem in decoded.problems] == [where]


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [({"mask": "2"}, "mask", 2), ({"pass": 1}, "passed", True), ({"recognizeScore": "0.5"}, "score", 0.5)],
)
def test_what_a_wrong_type_plainly_means_is_taken_and_noted(
    changes: dict[str, object], name: str, value: object
) -> None:
    decoded = decode(record_body(changes), lenient=True)
    assert getattr(decoded.event, name) == value
    assert len(decoded.problems) == 1


def test_an_image_that_is_no_image_is_noted_and_kept_in_the_original() -> None:
    decoded = decode(record_body({"rgb_image": "bm8ganBlZw=="}), lenient=True)
    assert isinstance(decoded.event, Record)
    assert decoded.event.image is None
    assert [problem.why for problem in decoded.problems] == ["is no image"]
    assert b"bm8ganBlZw==" in decoded.original


@pytest.mark.parametrize(
    "text",
    [
        JPEG_TEXT,
        JPEG_TEXT.rstrip("="),
        "data:image/jpeg;base64," + JPEG_TEXT,
        "\r\n".join(JPEG_TEXT[at : at + 76] for at in range(0, len(JPEG_TEXT), 76)),
    ],
)
def test_base64_is_understood_as_loosely_as_it_is_written(text: str) -> None:
    assert record_of(record_body({"rgb_image": text}), lenient=True).image == JPEG


@pytest.mark.parametrize("missing", ["status", "event_time"])
def test_an_alarm_names_what_it_lacks(missing: str) -> None:
    data = {"trace_id": "t", "status": 1, "event_time": 1684381433398}
    del data[missing]
    body = json.dumps({"type": 1, "data": data}).encode()
    with pytest.raises(DecodeError, match=missing):
        decode(body)
    assert isinstance(decode(body, lenient=True).event, Alarm)


@pytest.mark.parametrize("body", [b'{"type":1,"data":{"status":1}}', b'{"type":0,"data":[]}', b'{"type":0}'])
def test_an_event_without_what_makes_it_one_is_unknown_to_a_lenient_receiver(body: bytes) -> None:
    with pytest.raises(DecodeError, match=r"^data"):
        decode(body)
    decoded = decode(body, lenient=True)
    assert isinstance(decoded.event, Unknown)
    assert len(decoded.problems) == 1


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"1", b'"x"', b"null", b'{"a":1', b"\xff"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(body, lenient=True)


def test_nesting_is_bounded_and_brackets_in_texts_do_not_count() -> None:
    with pytest.raises(DecodeError, match="nests deeper than 64"):
        decode(b'{"x":' * 65 + b"1" + b"}" * 65, lenient=True)
    assert isinstance(decode(b'{"x":"' + b"[" * 500 + b'"}').event, Unknown)


# --- the original -------------------------------------------------------------------------------------------


def test_the_original_is_the_text_as_it_came_with_the_image_emptied() -> None:
    body = record_body({"rgb_image": JPEG_TEXT})
    assert decode(body).original == body.replace(JPEG_TEXT.encode(), b"")


def test_the_original_is_emptied_of_an_image_whose_slashes_are_escaped() -> None:
    jpeg_text = "/9j/" + JPEG_TEXT[4:]
    body = record_body({"rgb_image": jpeg_text}).replace(b"/", b"\\/")
    decoded = decode(body)
    assert isinstance(decoded.event, Record)
    assert decoded.event.image == JPEG[:3] + decoded.event.image[3:]
    assert len(decoded.original) < len(body) - len(jpeg_text)


def escaped(text: str, letters: str | None = None) -> bytes:
    """A JSON string's inside with all letters, or these, written as escapes."""
    return "".join(rf"\u{ord(c):04X}" if letters is None or c in letters else c for c in text).encode()


NAME = escaped("rgb_image", "r_")
AROUND = [
    (b'{"type":0,"data":{"rgb_image":', b"}}"),
    (b'{"type" : 0,\n"data":{ "mask":1.0, "x":1E2, "x" : 1.50,"rgb_image"\t:\n', b',"y":0.10,},}\r\n'),
    (b'{"type":0,"data":{"user":{"name":"\\u0041"},"%b":' % NAME, b"}}"),
    (b'{"type":0,"data":{"rgb_image":"/9j/","%b":' % NAME, b"}}"),
    (b'{"type":0,"data":{"%b":"/9j/","rgb_image":' % NAME, b"}}"),
    (b'{"type":0,"data":{"rgb_image":"/9j/","rgb_image":null,"rgb_image":', b"}}"),
    (b'{"type":0,"rgb_image":"/9j/","data":{"rgb_image":', b'},"x":{"rgb_image":"/9j/"}}'),
    (b'{"type":0,"data":{"x":[{"rgb_image":"/9j/"}],"rgb_image":', b',"z":{"data":{"rgb_image":""}}}}'),
    (b'{"type":0,"data":{"rgb_image":"/9j/"},"d\\u0061ta":{"rgb_image":', b"}}"),
    (b'{"x":"data","type":0,"data":{"y":"rgb_image","z":"\\"rgb_image\\":\\"","rgb_image":', b"}}"),
    (b'{"type":0,"data":{"\\ud83d":1,"mask":1e999,"rgb_image":', b"}}"),
    (b'{"type":0,"data":{"rgb_image":', b',"remark":"\\u005c\\\\"}}'),
]
"""Texts around the image of a record, in which it is easily taken for another, and whose spelling is easily lost."""


@pytest.mark.parametrize("around", AROUND, ids=range(len(AROUND)))
@pytest.mark.parametrize(
    "literal",
    [
        JPEG_TEXT.encode(),
        JPEG_TEXT.replace("/", r"\/").encode(),
        JPEG_TEXT.replace("+", r"\u002b").encode(),
        escaped(JPEG_TEXT),
        b"data:image\\/jpeg;base64," + JPEG_TEXT.encode(),
        rb"\"\\;base64," + JPEG_TEXT.encode(),
        rb"\ud83d;base64," + JPEG_TEXT.encode(),
    ],
    ids=["plain", "slashes", "as .NET", "all", "data URL", "quote", "half a character"],
)
def test_an_image_is_cut_out_of_the_text_however_it_is_written_and_nothing_else_is_touched(
    around: tuple[bytes, bytes], literal: bytes
) -> None:
    before, after = around
    decoded = decode(b'%b"%b"%b' % (before, literal, after), lenient=True)
    assert isinstance(decoded.event, Record)
    assert decoded.event.image == JPEG
    assert decoded.original == b'%b""%b' % (before, after)
    assert with_image(decoded.original, decoded.event) == b'%b"%b"%b' % (before, JPEG_TEXT.encode(), after)


def test_an_alarms_photo_is_cut_out_and_put_back_as_well() -> None:
    body = b'{"type":1, "data":{"trace_id":"t", "alarm_photo":"%b","event_time":"?"}}' % JPEG_TEXT.encode()
    decoded = decode(body.replace(b"/", b"\\/"), lenient=True)
    assert isinstance(decoded.event, Alarm)
    assert decoded.original == body.replace(JPEG_TEXT.encode(), b"")
    assert with_image(decoded.original, decoded.event) == body


def test_an_image_is_put_back_only_where_there_is_a_place_for_it() -> None:
    with pytest.raises(DecodeError, match="rgb_image"):
        with_image(b'{"type":0,"data":{"rgb_image":null}}', Record(image=JPEG))


@pytest.mark.parametrize(
    "body",
    [
        record_body(pin="4711"),
        record_body(pin=4711),
        record_body(pin="4711").replace(b'"pin"', b'"p\\u0069n"'),
    ],
)
def test_the_original_never_shows_a_pin(body: bytes) -> None:
    decoded = decode(body)
    assert b"4711" not in decoded.original
    assert isinstance(decoded.event, Record)
    assert decoded.event.user is not None
    assert decoded.event.user.pin == "4711"


def test_an_unknown_object_is_kept_without_its_pin() -> None:
    assert decode(b'{"type":9,"pin":"4711"}').original == b'{"type":9,"pin":""}'


# --- nearly JSON, and no UTF-8 ------------------------------------------------------------------------------


def notes(decoded: Decoded) -> list[tuple[str, str]]:
    return [(problem.where, problem.why) for problem in decoded.problems]


def written(**changes: object) -> bytes:
    return record_body({"uuid": "4d3987c1-a3b3-470b-9fb7-e114772c069c", "timestamp": 1764300000, **changes})


@pytest.mark.parametrize("end", [b"\0", b"\r\n\0\0", b" \0 \n", b"\x1a"])
def test_nuls_and_blanks_after_the_json_are_noted(end: bytes) -> None:
    decoded = decode(written() + end, lenient=True)
    assert decoded.event == decode(written()).event
    assert decoded.problems == (repair.TRAILING,)
    assert decoded.original.endswith(end)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\tb", "a\tb"),
        (b"a\nb", "a\nb"),
        (rb"C:\docs", "C:docs"),
        (rb"\x41", "x41"),
        (b"\x01", "\x01"),
        (rb"\u12", "u12"),
    ],
)
def test_raw_control_characters_and_unknown_escapes_are_read_and_noted(raw: bytes, text: str) -> None:
    decoded = decode(written(user={"name": "NAME", "remark": "x"}).replace(b"NAME", raw), lenient=True)
    assert isinstance(decoded.event, Record)
    assert decoded.event.user is not None
    assert decoded.event.user.name == text
    assert len(decoded.problems) == 1
    assert raw in decoded.original


@pytest.mark.parametrize(
    "number", ["nan", "NaN", "-nan", "-nan(ind)", "Infinity", "-inf", "1.#QNAN", "-1.#IND00", "1.#INF"]
)
def test_a_number_that_is_none_is_null_and_the_passage_a_passage(number: str) -> None:
    decoded = decode(written(recognizeScore="NUMBER").replace(b'"NUMBER"', number.encode()), lenient=True)
    assert isinstance(decoded.event, Record)
    assert decoded.event.score is None
    assert decoded.problems == (repair.NO_NUMBER,)


def test_a_name_in_another_encoding_is_read_noted_and_kept_as_it_came() -> None:
    raw = "张伟".encode("gbk")
    body = written(user={"name": "NAME", "user_id": "101"}, rgb_image=JPEG_TEXT).replace(b"NAME", raw)
    for charset in (None, "gbk"):
        decoded = decode(body, lenient=True, charset=charset)
        assert isinstance(decoded.event, Record)
        assert decoded.event.user is not None
        assert (decoded.event.user.name, decoded.event.image) == ("张伟", JPEG)
        assert notes(decoded) == [("", "is no UTF-8; it is read as gb18030")]
        assert raw in decoded.original
        assert JPEG_TEXT.encode() not in decoded.original


def test_a_pin_stays_nowhere_in_a_text_of_utf16() -> None:
    body = written(user={"name": "张伟", "pin": "4711"}, rgb_image=JPEG_TEXT).decode().encode("utf-16")
    decoded = decode(body, lenient=True)
    assert isinstance(decoded.event, Record)
    assert decoded.event.image == JPEG
    assert b"4711" not in decoded.original.replace(b"\0", b"")
    assert JPEG_TEXT.encode() not in decoded.original.replace(b"\0", b"")


@pytest.mark.parametrize(
    "body", [b"{", b'{"a":oops}', b'{"a" "b"}', b"\x00\x01", b"GET / HTTP/1.1", b'{"a":1}{"b":2}']
)
def test_what_is_far_from_json_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(body, lenient=True)


@pytest.mark.parametrize("raw", [b"\0", b"\t", "张伟".encode("gbk"), b"nan"])
def test_a_strict_decoding_refuses_what_is_nearly_json(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(written(user={"name": "NAME"}).replace(b'"NAME"', raw if raw == b"nan" else b'"%b"' % raw))


# --- times, names in another case, serials ------------------------------------------------------------------


@pytest.mark.parametrize("clock", [0, 1, 946_684_799, "1970-01-01T00:00:00Z", "1999-12-31 23:59:59"])
def test_a_clock_that_was_never_set_shows_no_time(clock: object) -> None:
    decoded = decode(written(timestamp=clock), lenient=True)
    assert isinstance(decoded.event, Record)
    assert decoded.event.recorded_at is None
    assert decoded.local_time is None
    assert ("data.timestamp", "is before the year 2000: the clock was never set") in notes(decoded)


def test_a_time_without_a_zone_is_left_to_whoever_knows_the_site() -> None:
    decoded = decode(written(timestamp="2025-11-28 11:20:00"), lenient=True)
    assert isinstance(decoded.event, Record)
    assert decoded.event.recorded_at is None
    assert decoded.local_time == datetime(2025, 11, 28, 11, 20)  # noqa: DTZ001 - it has none


def test_names_in_another_case_are_the_page_s_names_and_noted() -> None:
    body = {
        "TYPE": 0,
        "Data": {
            "devicesn": "S1",
            "UUID": "4d3987c1-a3b3-470b-9fb7-e114772c069c",
            "TimeStamp": 1764300000,
            "Rgb_Image": JPEG_TEXT,
            "User": {"Name": "Ann", "USER_ID": "7", "Pin": "4711"},
        },
    }
    decoded = decode(json.dumps(body).encode(), lenient=True)
    assert isinstance(decoded.event, Record)
    assert (decoded.event.serial, decoded.event.image) == ("S1", JPEG)
    assert decoded.event.user is not None
    assert (decoded.event.user.name, decoded.event.user.user_id) == ("Ann", "7")
    assert ("data.deviceSN", "is written devicesn") in notes(decoded)
    assert JPEG_TEXT.encode() not in decoded.original
    assert b"4711" not in decoded.original
    restored = decode(with_image(decoded.original, decoded.event), lenient=True)
    assert isinstance(restored.event, Record)
    assert (restored.event.image, restored.original) == (JPEG, decoded.original)


def test_a_name_as_the_page_has_it_counts_before_one_in_another_case() -> None:
    decoded = decode(written(deviceSN="S1", DEVICESN="S2", RGB_IMAGE="x", rgb_image=JPEG_TEXT), lenient=True)
    assert isinstance(decoded.event, Record)
    assert (decoded.event.serial, decoded.event.image) == ("S1", JPEG)
    assert decoded.event.extra == {"DEVICESN": "S2", "RGB_IMAGE": "x"}
    assert JPEG_TEXT.encode() not in decoded.original


@pytest.mark.parametrize("data", [{}, {"a": 1}, {"trace_id": "T"}])
def test_an_object_in_which_nothing_is_known_is_no_event(data: dict[str, object]) -> None:
    decoded = decode(json.dumps({"type": 0, "data": data}).encode(), lenient=True)
    assert isinstance(decoded.event, Unknown)
    assert notes(decoded) == [("data", "has no field that the page knows")]


@pytest.mark.parametrize("inside", [True, False])
def test_a_serial_in_an_alarm_or_beside_its_data_is_its_terminal_s(inside: bool) -> None:
    data = {"trace_id": "SPX-1684381418208-004", "status": 1, "code": 20003, "event_time": 1764300000000}
    serial = {"deviceSN": "S7"}
    body = {"type": 1, "data": {**data, **(serial if inside else {})}, **({} if inside else serial)}
    decoded = decode(json.dumps(body).encode(), lenient=True)
    assert isinstance(decoded.event, Alarm)
    assert decoded.event.serial == "S7"
    assert decode(encode(decoded.event)).event == decoded.event


@pytest.mark.parametrize(
    ("value", "kept"), [(5, 5), ("5", "5"), ("A-7", "A-7"), (" A-7\0", "A-7"), ("", None), (5.0, 5)]
)
def test_the_person_of_an_alarm_is_a_number_or_a_text(value: object, kept: object) -> None:
    data = {"trace_id": "SPX-1684381418208-004", "status": 1, "event_time": 1764300000000, "user_id": value}
    decoded = decode(json.dumps({"type": 1, "data": data}).encode(), lenient=True)
    assert isinstance(decoded.event, Alarm)
    assert (decoded.event.user_id, decoded.problems) == (kept, ())


# --- several events in one body -----------------------------------------------------------------------------

ELEMENTS = [written(deviceSN=f"S{number}", rgb_image=JPEG_TEXT) for number in range(3)]


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b",".join(ELEMENTS) + b"]",
        b" [\n" + b" ,\n ".join(ELEMENTS) + b"\n] \n",
        b"[" + b",".join(ELEMENTS) + b",]\0",
        b"\n".join(ELEMENTS),
        b"\r\n\r\n".join(ELEMENTS) + b"\r\n",
        b"\xef\xbb\xbf" + b"\n".join(ELEMENTS) + b"\0",
    ],
)
def test_a_list_and_lines_are_as_many_events(body: bytes) -> None:
    assert [decoded.event for decoded in decode_many(body, lenient=True)] == [
        decode(element, lenient=True).event for element in ELEMENTS
    ]


def test_one_event_is_one() -> None:
    assert decode_many(ELEMENTS[0], lenient=True) == (decode(ELEMENTS[0], lenient=True),)
    pretty = json.dumps(json.loads(ELEMENTS[0]), indent=2).encode()
    assert decode_many(pretty, lenient=True) == (decode(pretty, lenient=True),)
    broken = pretty.replace(b'"deviceSN": "S0"', b'"deviceSN": "S\n0"')
    assert decode_many(broken, lenient=True) == (decode(broken, lenient=True),)


@pytest.mark.parametrize(
    ("element", "why"), [(b"7", "is no JSON object"), (b"null", "is no JSON object"), (b'{"a":1}', None)]
)
def test_an_element_that_is_no_event_is_unknown_and_the_others_are_events(
    element: bytes, why: str | None
) -> None:
    first, second, third = decode_many(b"[%b,%b,%b]" % (ELEMENTS[0], element, ELEMENTS[1]), lenient=True)
    assert isinstance(first.event, Record)
    assert isinstance(second.event, Unknown)
    assert isinstance(third.event, Record)
    assert [problem.why for problem in second.problems] == ([why] if why else [])
    assert second.original == element


def test_a_line_that_is_no_json_is_unknown() -> None:
    events = [
        decoded.event for decoded in decode_many(ELEMENTS[0] + b"\n{oops\n" + ELEMENTS[1], lenient=True)
    ]
    assert [type(event) for event in events] == [Record, Unknown, Record]


def test_events_of_a_list_in_another_encoding_are_read() -> None:
    body = b"[" + b",".join(written(user={"name": "NAME"}) for _ in range(2)) + b"]"
    events = [
        decoded.event for decoded in decode_many(body.replace(b"NAME", "张伟".encode("gbk")), lenient=True)
    ]
    assert [event.user.name for event in events if isinstance(event, Record) and event.user] == [
        "张伟",
        "张伟",
    ]


@pytest.mark.parametrize("count", [0, MAX_EVENTS + 1])
def test_an_empty_list_and_one_that_is_too_long_are_refused(count: int) -> None:
    with pytest.raises(DecodeError, match=f"has {count} events"):
        decode_many(b"[" + b",".join([b"{}"] * count) + b"]", lenient=True)
    assert len(decode_many(b"[" + b",".join([b"{}"] * MAX_EVENTS) + b"]", lenient=True)) == MAX_EVENTS


@pytest.mark.parametrize("body", [b"[oops]", b"[", b"7\n8", b"oops\n{}", b'"a"'])
def test_what_is_neither_an_event_nor_several_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_many(body, lenient=True)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *[(name, "big5") for name in ("許", "許功蓋", "王蓋", "王許", "功")],
        *[(name, "shift_jis") for name in ("ソ", "田中表", "表示ソ", "十", "予")],
    ],
)
def test_a_character_that_ends_in_a_backslash_ends_no_passage(name: str, encoding: str) -> None:
    user = {"user_id": "5", "name": "NAME", "remark": "NAME", "pin": "4711"}
    encoded = name.encode(encoding)
    for data in ({"user": user, "rgb_image": JPEG_TEXT}, {"rgb_image": JPEG_TEXT, "user": user}):
        body = (
            json.dumps({"type": 0, "data": {"deviceSN": "SN-1", **data}}).encode().replace(b"NAME", encoded)
        )
        decoded = decode(body, lenient=True)
        event = decoded.event
        assert isinstance(event, Record)
        assert event.user is not None
        assert (event.serial, event.image, event.user.user_id) == ("SN-1", JPEG, "5")
        assert "\ufffd" in event.user.name
        assert "\\" not in event.user.name
        assert "is no UTF-8; it is read as utf-8, and what cannot be read is replaced" in {
            problem.why for problem in decoded.problems
        }
        assert encoded in decoded.original
        assert b"4711" not in decoded.original
        again = decode(with_image(decoded.original, event), lenient=True)
        assert (again.original, again.as_written) == (decoded.original, decoded.as_written)
        assert again.event == msgspec.structs.replace(event, user=msgspec.structs.replace(event.user, pin=""))
        declared = decode(body, lenient=True, charset=encoding).event
        assert isinstance(declared, Record)
        assert declared.user is not None
        assert declared.user.name == name


def test_names_that_end_in_a_backslash_are_told_apart_as_they_came() -> None:
    bodies = [
        b'{"type":0,"data":{"user":{"name":"%b"},"timestamp":1685343715}}' % name.encode("big5")
        for name in "許功蓋"
    ]
    assert len({str(decode(body, lenient=True).as_written) for body in bodies}) == 3


@pytest.mark.parametrize("inner", ["", " ", "\0\0", "\u3000", None])
def test_a_serial_that_is_nothing_but_padding_gives_way_to_the_one_beside(inner: str | None) -> None:
    body = json.dumps({"type": 0, "deviceSN": "SN-2\0", "data": {"deviceSN": inner, "timestamp": 1685343715}})
    event = decode(body.encode(), lenient=True).event
    assert isinstance(event, Record)
    assert event.serial == "SN-2"


@pytest.mark.parametrize("padding", ["\u3000", "\xa0", "\ufeff", " "])
def test_padding_that_needs_no_escape_is_taken_off_in_a_usual_push_too(padding: str) -> None:
    data = {
        "deviceSN": f"SN-1{padding}",
        "entry_mode": 1,
        "timestamp": 1685343715,
        "uuid": "4d3987c1-a3b3-470b",
    }
    user = {"user_id": f"{padding}206", "name": "Ann"}
    body = json.dumps({"type": 0, "data": {**data, "user": user}}, ensure_ascii=False).encode()
    event = decode(body, lenient=True).event
    assert isinstance(event, Record)
    assert event.user is not None
    assert (event.serial, event.user.user_id) == ("SN-1", "206")
