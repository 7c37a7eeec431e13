from typing import Any

import pytest
from msgspec.structs import replace
from tests.receiver.kit import JPEG, alarm, base64, body, record

from gatepost import wire
from gatepost.errors import StoreUnavailable
from gatepost.receiver.ingest.event_keys import kept_raw, key_of
from gatepost.receiver.ingest.push.head import BodyType, check_head, header_text, milliseconds
from gatepost.receiver.ingest.push.push import Push, Refuse
from gatepost.store.interface import Arrival
from gatepost.wire import Problem, Unknown, encode_reply

SECRET = b"of the store"


def decoded(push: Any) -> wire.Decoded:
    return wire.decode(push if isinstance(push, bytes) else body(push), lenient=True)


def same(push: Any) -> bytes:
    return key_of(decoded(push), SECRET)


def arrival_of(push: Any, **fields: Any) -> Arrival:
    understood = decoded(push)
    event = understood.event
    known = Arrival(
        terminal_id=7,
        key=key_of(understood, SECRET),
        event=event,
        received_at_ms=1_700_000_000_000,
        original=understood.original,
        problems=understood.problems,
        dialect=understood.dialect,
        peer="10.0.0.9",
        bind_peer=True,
        sent_at_ms=1_700_000_000_500,
        model="T1",
        disagreements=(("header", "SN-2"),),
    )
    return replace(known, **fields)


class Told:
    """A push, and what became of it."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.push = Push(
            token="",
            target=b"/Record",
            headers={},
            peer="10.0.0.9",
            body=b"",
            answer=lambda status, reply: self.answers.append((status, reply)),
            refuse=lambda push, refuse: self.answers.append(
                (refuse.status, encode_reply(refuse.status, refuse.message))
            ),
        )


def test_what_is_on_disk_is_acknowledged_as_the_page_says() -> None:
    told = Told()
    told.push.settled(None)
    assert told.answers == [(200, b'{"code":200,"message":"success","data":{}}')]


def test_while_the_disk_takes_nothing_the_terminal_keeps_its_event() -> None:
    told = Told()
    told.push.settled(StoreUnavailable("the disk is full"))
    assert told.answers == [(503, b'{"code":503,"message":"the disk is full","data":{}}')]


@pytest.mark.parametrize(
    ("kind", "body_type"),
    [
        (None, BodyType()),
        (b"application/json", BodyType()),
        (b"application/json; charset=utf-8", BodyType()),
        (b"application/json;charset=GBK", BodyType("gbk")),
        (b'application/json; charset="GB2312"', BodyType("gb2312")),
        (b" Application/JSON ; x=y", BodyType()),
        (b"text/json", BodyType()),
        (b"application/vnd.maker.event+json", BodyType()),
        (b"", BodyType(is_json=False)),
        (b"text/plain; charset=gbk", BodyType("gbk", is_json=False)),
        (b"application/jsonp", BodyType(is_json=False)),
        (b"application/x-www-form-urlencoded", BodyType(is_json=False)),
        (b"\xff\xfe", BodyType(is_json=False)),
    ],
)
def test_the_head_says_which_charset_the_body_has_and_whether_it_is_json(
    kind: bytes | None, body_type: BodyType
) -> None:
    assert check_head({} if kind is None else {b"content-type": kind}) == body_type


def test_a_form_of_several_parts_is_refused() -> None:
    with pytest.raises(Refuse) as refused:
        check_head({b"content-type": b"Multipart/form-data; boundary=+json"})
    assert (refused.value.status, refused.value.reason) == (415, "content type")
    assert (refused.value.terminal_id, refused.value.serial) == (None, None)


@pytest.mark.parametrize("coding", [b"", b" ", b"identity", b" Identity "])
def test_a_body_that_is_plain_may_say_so(coding: bytes) -> None:
    check_head({b"content-encoding": coding})


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"identity, gzip", b"unheard-of"])
def test_a_body_that_would_have_to_be_inflated_is_refused(coding: bytes) -> None:
    with pytest.raises(Refuse) as refused:
        check_head({b"content-type": b"application/json", b"content-encoding": coding})
    assert (refused.value.status, refused.value.reason) == (415, "content encoding")
    assert "Content-Encoding" in refused.value.message


def test_a_header_is_read_as_utf_8_and_what_is_none_is_seen_to_be_none() -> None:
    assert header_text(None) is None
    assert header_text(b"") == ""
    assert header_text("门 1".encode()) == "门 1"
    assert header_text(b"SN-\xff1") == "SN-\N{REPLACEMENT CHARACTER}1"


@pytest.mark.parametrize(
    ("value", "at_ms"),
    [
        (b"0", 0),
        (b"1685343715", 1_685_343_715_000),
        (b"99999999999", 99_999_999_999_000),
        (b"168534371504", 168_534_371_504),
        (b"1685343715042", 1_685_343_715_042),
    ],
)
def test_the_clock_of_a_terminal_is_in_seconds_or_milliseconds(value: bytes, at_ms: int) -> None:
    assert milliseconds(value) == at_ms


@pytest.mark.parametrize(
    "value", [None, b"", b"16853437150420", b"-1", b" 1", b"1.5", b"now", b"\xb2", "１".encode()]
)
def test_what_shows_no_time_is_no_clock(value: bytes | None) -> None:
    assert milliseconds(value) is None


def test_a_record_is_the_same_by_its_uuid_time_and_person_whatever_else_it_says() -> None:
    first = same(record())
    assert len(first) == 16
    assert same(record(mode=9, rgb_image=base64(JPEG))) == first
    assert same(record(uuid="another-real-id")) != first
    assert same(record(timestamp=1_685_343_716)) != first


def test_a_record_without_a_uuid_is_the_same_by_what_it_says_and_not_by_how_it_is_written() -> None:
    push = record(uuid=None, rgb_image=base64(JPEG))
    first = same(push)
    assert same(body(push).replace(b'"mask": 0', b'"mask"  :\n 0.0')) == first
    assert same(record(uuid=None, rgb_image=base64(JPEG + b"\0"))) != first
    assert same(record(uuid=None, rgb_image=base64(JPEG), mask=1)) != first


def test_each_step_of_an_alarm_is_another_event() -> None:
    names = ("trace-of-a", "trace-of-b")
    keys = {same(alarm(status=status, trace_id=name)) for status in (1, 2, 3) for name in names}
    assert len(keys) == 6
    assert same(alarm(status=1, trace_id=names[0], description="again")) in keys
    assert len(same(alarm(status=None))) == 16


def test_what_is_no_event_is_the_same_by_its_text_less_the_pin() -> None:
    first = same(b'{"type":7,"pin":"1234"}')
    assert len(first) == 16
    assert same(b'{"type":7,"pin":"5678"}') == first
    assert same(b'{"type":7, "pin":"1234"}') != first


@pytest.mark.parametrize("push", [record(), record(uuid=None), alarm(), b'{"type":7}'])
def test_a_key_can_be_made_with_the_secret_of_the_store_alone(push: Any) -> None:
    assert len({key_of(decoded(push), secret) for secret in (SECRET, b"another", b"")}) == 3


@pytest.mark.parametrize(
    "push",
    [
        record(),
        record(rgb_image=base64(JPEG)),
        alarm(),
        alarm(alarm_photo=base64(JPEG), pin="4711"),
        alarm(alarm_photo=base64(JPEG), status=None),
    ],
    ids=["record", "record with image", "alarm", "alarm with image", "alarm that no encoder writes"],
)
def test_what_is_kept_raw_is_what_was_pushed_and_says_why(push: dict[str, Any]) -> None:
    before = arrival_of(push, problems=(Problem("data.mask", "must be an integer"),))
    kept = kept_raw(before, "the store could not take it", SECRET)
    assert (kept.event, kept.original, kept.image) == (Unknown({}), before.original, before.image)
    assert kept.problems == (*before.problems, Problem("", "the store could not take it"))
    for name in ("terminal_id", "received_at_ms", "dialect", "peer", "bind_peer", "sent_at_ms", "model"):
        assert getattr(kept, name) == getattr(before, name)
    again = decoded(kept.original).event
    assert not isinstance(again, Unknown)
    assert not isinstance(before.event, Unknown)
    assert replace(again, extra={}) == replace(before.event, extra={}, image=again.image)


def test_the_text_is_kept_to_the_letter() -> None:
    before = arrival_of(body(record()).replace(b'"mask"', b'\n "mask" '))
    assert kept_raw(before, "no", SECRET).original == before.original
    unknown = arrival_of(b'{"type": 7,  "data": {}}')
    assert kept_raw(unknown, "no", SECRET).original == b'{"type": 7,  "data": {}}'


def test_what_is_kept_raw_is_the_same_when_it_is_pushed_again_and_never_the_event_that_was_refused() -> None:
    before = arrival_of(record(rgb_image=base64(JPEG)))
    kept = kept_raw(before, "no", SECRET)
    assert (
        kept.key
        == kept_raw(arrival_of(record(rgb_image=base64(JPEG)), received_at_ms=1), "again", SECRET).key
    )
    assert kept.key != before.key
    assert kept.key != kept_raw(arrival_of(record(rgb_image=base64(JPEG), uuid="u-2")), "no", SECRET).key


def test_what_is_kept_raw_never_shows_a_pin() -> None:
    user = {**record()["data"]["user"], "pin": "4711", "groups": [{"id": "1", "name": "a", "pin": "4712"}]}
    for image in ("", base64(JPEG)):
        kept = kept_raw(arrival_of(record(user=user, rgb_image=image, pin="4713")), "no", SECRET)
        assert b"471" not in kept.original
        assert decoded(kept.original).problems == ()
