"""One event is the same one, alone, in a list and in lines, whatever stands around it; two are never one."""

import json
from itertools import combinations
from typing import Any

import pytest

from gatepost.errors import DecodeError
from gatepost.receiver.ingest.event_keys import key_of
from gatepost.wire import MAX_EVENTS, Alarm, Record, Unknown, decode, decode_many
from gatepost.wire.decoding.json import repair

UUID = "4d3987c1-a3b3-470b-9fb7-e114772c069c"
NIL = "00000000-0000-0000-0000-000000000000"

NAMES: dict[str, tuple[bytes, str | None]] = {
    "ASCII": (b"Ann", None),
    "none": (b"", None),
    "UTF-8": ("张伟".encode(), None),
    "JSON escapes": (rb"\u738b \"x\"", None),
    "half a character": (rb"Ann \ud83d", None),
    "an unknown escape": (rb"C:\docs", None),
    "a raw tab": (b"a\tb", None),
    "GBK": ("张伟".encode("gbk"), None),
    "GBK, declared": ("张伟".encode("gbk"), "gbk"),
    "GBK, a backslash at the end": ("李誠".encode("gbk"), None),
    "GBK, braces": ("張寋寎宆憓".encode("gbk"), "gb18030"),
    "Big5, a backslash at the end": ("許功".encode("big5"), "big5"),
    "Shift_JIS, a backslash at the end": ("田中ソ".encode("shift_jis"), "shift_jis"),
    "Latin-1": (b"Jos\xe9", None),
    "Latin-1, declared": (b"Jos\xe9", "iso-8859-1"),
    "cut UTF-8": ("张伟".encode()[:-1], None),
}


def record(**data: Any) -> bytes:
    known = {"deviceSN": "SN-1", "recognitionType": 1, "timestamp": 1764300000, "recognizeScore": 0.5}
    person = {"user_id": "", "name": "NAME", "type": 1}
    return json.dumps({"type": 0, "data": {**known, "uuid": UUID, "user": person, **data}}).encode()


def alarm(**data: Any) -> bytes:
    known = {"deviceSN": "SN-1", "trace_id": "SPX-1684381418208-004", "status": 1, "code": 10001}
    known |= {"event_time": 1764300000000, "description": "NAME"}
    return json.dumps({"type": 1, "data": {**known, **data}}).encode()


EVENTS = {
    "a record": record(),
    "a record with a number": record(user={"user_id": "7", "name": "NAME"}),
    "a record whose number is words": record(user={"user_id": "NAME", "name": "x"}),
    "a placeholder": record(uuid=NIL),
    "a short id": record(uuid="0"),
    "an empty id": record(uuid=""),
    "an id of words": record(uuid="NAME 0123456789"),
    "no time": record(timestamp=None),
    "a time without a zone": record(timestamp="2025-11-28 10:00:00"),
    "an image that is none": record(uuid=NIL, rgb_image="/9j/ 4AAQ"),
    "a score that is none": record(uuid="0").replace(b"0.5", b"nan"),
    "an alarm": alarm(),
    "an alarm without a time": alarm(event_time=None),
    "an alarm with a short id": alarm(trace_id="1"),
    "an alarm without a step": alarm(status=None),
    "no event": b'{"a":"NAME"}',
    "another type": b'{"type":3,"data":{"deviceSN":"SN-1","x":"NAME"}}',
}

OTHER = record(uuid=UUID.replace("4", "5"), user={"user_id": "1"})


def keys(body: bytes, charset: str | None) -> list[bytes]:
    return [key_of(one, b"secret") for one in decode_many(body, lenient=True, charset=charset)]


def forms(event: bytes) -> list[bytes]:
    """The same event once or twice, with nothing else."""
    return [
        event,
        b"[" + event + b"]",
        b" [ " + event + b" , " + event + b" ,\n] ",
        b"[" + event + b"]\0",
        event + b"\n" + event,
        event + b"\r\n" + event + b"\0\n",
        event + b",\n" + event,
        event + b"\0" + event,
        *[event + end for end in (b"\n", b"\0", b" \0\r\n", b"\x04", b"\x7f", b"\xc2\xa0", b"\xef\xbb\xbf")],
        *[start + event for start in (b"\n", b"\0", b"\x0c", b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\x02")],
        *[event + b"\0" + rest for rest in (b"garbage", event[-20:], b'"}', b"\xff\0\xd5")],
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_has_one_key_however_it_is_sent(kind: str, name: str) -> None:
    written, charset = NAMES[name]
    event = EVENTS[kind].replace(b"NAME", written)
    (alone,) = keys(event, charset)
    for body in forms(event):
        assert set(keys(body, charset)) == {alone}, body
    (other,) = keys(OTHER, charset)
    for body in (
        b"[" + event + b"," + OTHER + b"]",
        event + b"\n" + OTHER,
        event + b"\0" + OTHER,
    ):
        assert keys(body, charset) == [alone, other], body
    assert keys(b"[" + OTHER + b",\n" + event + b"]", charset) == [other, alone]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_has_one_key_in_utf16_too(kind: str, encoding: str) -> None:
    event = EVENTS[kind].decode().replace("NAME", "张伟")
    alone = keys(event.encode(encoding), None)
    assert len(alone) == 1
    for body in (f"[{event}]", f"{event}\n{event}", f"[{event},{event},]\0"):
        assert set(keys(body.encode(encoding), None)) == set(alone)
        assert all(
            "is no UTF-8" in one.problems[0].why for one in decode_many(body.encode(encoding), lenient=True)
        )


@pytest.mark.parametrize("kind", [kind for kind, event in EVENTS.items() if event.count(b"NAME")])
def test_two_events_whose_names_differ_in_a_byte_are_two_in_a_list_as_well(kind: str) -> None:
    if kind in ("a record with a number", "an alarm", "a record whose number is words"):
        template = record(user={"user_id": "NAME"})
    else:
        template = EVENTS[kind]
    for names in (
        [b"Jos\xe9", b"Jos\xe8", b"Jos\xea", b"Jos"],
        ["张伟".encode("gbk"), "张炜".encode("gbk"), "章伟".encode("gbk")],
        ["张伟".encode()[:-1], "张侟".encode()[:-2], "张".encode()],
        [rb"\ud83d", rb"\ud83e", rb"\ufffd"],
        [rb"C:\docs", rb"C:docs"],
    ):
        events = [template.replace(b"NAME", name) for name in names]
        for charset in (None, "gbk"):
            alone = [keys(event, charset)[0] for event in events]
            assert len(set(alone)) == len(events)
            assert keys(b"[" + b",".join(events) + b"]", charset) == alone
            assert keys(b"\n".join(events), charset) == alone


@pytest.mark.parametrize("where", ["user_id", "job_number", "ic_number", "id_number", "uuid", "trace_id"])
def test_nothing_guessed_is_part_of_a_key_and_no_other_text_has_its_bytes(where: str) -> None:
    text = "工号张伟十二三四五六七八"
    template = {
        "uuid": record(uuid="NAME", user={"user_id": "7"}),
        "trace_id": alarm(trace_id="NAME"),
    }.get(where, record(user={where: "NAME", "name": "x"}))
    event = template.replace(b"NAME", text.encode("gbk"))
    found = {keys(event, charset)[0] for charset in (None, "gbk", "big5", "iso-8859-1", "utf-8")}
    assert len(found) == 1
    assert found != set(keys(template.replace(b"NAME", text.encode()), None))


def test_a_number_in_another_charset_is_the_same_person_with_another_score() -> None:
    event = record(user={"user_id": "NAME"}).replace(b"NAME", "工号".encode("gbk"))
    assert keys(event, None) == keys(event.replace(b"0.5", b"0.6"), None)


def test_control_characters_around_a_number_are_none_of_it() -> None:
    event = record(user={"user_id": "NAME"})
    assert len({keys(event.replace(b"NAME", number), None)[0] for number in (b"5", b"5\0\0", b" 5\t")}) == 1


# --- what is noted and kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'"x": NaN', "number that is none"),
        (b'"x": "a\tb"', "raw control characters"),
        (rb'"x": "C:\docs"', "unknown escape"),
        (rb'"x": "\ud83d"', "half a character"),
        (b'"x": 007', "as JSON does not write it"),
        (b'"x": TRUE', "true or false"),
        (b'"x": "Jos\xe9"', "is no UTF-8; it is read as utf-8"),
        (b'"x": "' + "张伟".encode("gbk") + b'"', "is no UTF-8; it is read as gb18030"),
    ],
)
def test_each_mended_element_says_so_and_keeps_its_bytes(raw: bytes, why: str) -> None:
    event = record().replace(b'"recognitionType": 1', raw)
    for body in (b"[" + event + b"," + OTHER + b"]", event + b"\n" + OTHER):
        first, second = decode_many(body, lenient=True)
        assert (first, second) == (decode(event, lenient=True), decode(OTHER, lenient=True))
        assert raw in first.original
        assert any(why in problem.why for problem in first.problems)
        assert second.problems == ()


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        (b"", b"\0", repair.TRAILING),
        (b"", b" \x1a\n", repair.TRAILING),
        (b"", b"\xef\xbb\xbf", repair.TRAILING),
        (b"\0", b"", repair.LEADING),
        (b"\xef\xbb\xbf\xef\xbb\xbf", b"", repair.LEADING),
        (b"", b"\0garbage", repair.REST),
        (b"", b'\0: "x"}]', repair.REST),
    ],
)
@pytest.mark.parametrize("text", [OTHER, b"[" + OTHER + b"," + OTHER + b"]"])
def test_what_stands_around_is_noted_on_each_event(
    text: bytes, start: bytes, end: bytes, problem: repair.Problem
) -> None:
    found = decode_many(start + text + end, lenient=True)
    assert {type(one.event) for one in found} == {Record}
    assert {one.problems for one in found} == {(problem,)}
    assert [one.event for one in found] == [decode(OTHER).event] * len(found)
    with pytest.raises(DecodeError):
        decode_many(start + text + end)


def test_an_event_behind_a_nul_is_no_rest_of_another_text() -> None:
    first, second = decode_many(record() + b"\0" + OTHER, lenient=True)
    assert (first.event, second.event) == (decode(record()).event, decode(OTHER).event)
    first, second = decode_many(record() + b"\0\0\n" + OTHER[:-30], lenient=True)
    assert isinstance(first.event, Record)
    assert isinstance(second.event, Unknown)
    assert second.original == OTHER[:-30]


# --- what is no event ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other", [b"1", b"garbage", b"null", b'"x"', b"{oops", b"[1,2]", b"\xff\xfe"[:1] + b"x"]
)
def test_lines_are_taken_wherever_the_event_among_them_stands(other: bytes) -> None:
    for lines in ([other, OTHER], [OTHER, other], [other, other, OTHER], [other, OTHER, other]):
        found = decode_many(b"\n".join(lines), lenient=True)
        assert [isinstance(one.event, Record) for one in found] == [line == OTHER for line in lines]
        assert [one.original for one in found if isinstance(one.event, Unknown)] == [other] * (len(lines) - 1)
    with pytest.raises(DecodeError):
        decode_many(other + b"\n" + other, lenient=True)


@pytest.mark.parametrize("other", [b"oops", b"{oops}", b'"', b"{", b"1 2"])
def test_a_list_that_is_no_json_is_taken_if_there_is_an_event_in_it_and_it_ends(other: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_many(b"[" + other + b"]", lenient=True)
    body = b"[" + other + b"," + OTHER + b"]"
    if other in (b'"', b"{"):
        with pytest.raises(DecodeError):
            decode_many(body, lenient=True)
        return
    first, second = decode_many(body, lenient=True)
    assert isinstance(first.event, Unknown)
    assert first.original == other
    assert isinstance(second.event, Record)


@pytest.mark.parametrize("body", [b"[%b" % OTHER, b"[%b]x" % OTHER, b"[%b,,%b]" % (OTHER, b"")])
def test_a_list_that_is_cut_or_goes_on_is_refused(body: bytes) -> None:
    if body.endswith(b",,]"):
        first, second = decode_many(body, lenient=True)
        assert isinstance(first.event, Record)
        assert isinstance(second.event, Unknown)
        return
    with pytest.raises(DecodeError):
        decode_many(body, lenient=True)


def test_so_many_lines_are_taken_and_not_one_more() -> None:
    lines = [b"garbage"] * (MAX_EVENTS - 1) + [OTHER]
    assert len(decode_many(b"\n".join(lines), lenient=True)) == MAX_EVENTS
    with pytest.raises(DecodeError, match="has 257 events"):
        decode_many(b"\n".join([OTHER, *lines]), lenient=True)


def test_events_of_every_kind_are_different_events() -> None:
    found = {kind: keys(event, None)[0] for kind, event in EVENTS.items()}
    same = [pair for pair in combinations(found, 2) if found[pair[0]] == found[pair[1]]]
    assert not same
    assert isinstance(decode(EVENTS["an alarm"], lenient=True).event, Alarm)
