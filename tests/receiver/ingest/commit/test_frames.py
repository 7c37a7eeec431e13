"""What the journal holds of an arrival is all that the store needs of it, and nothing that may not be kept."""

from __future__ import annotations

import contextlib
import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text as sql
from structlog.testing import capture_logs
from tests.receiver.kit import alarm, base64, opened, record
from tests.terminals import ensured
from tests.wire import examples

from gatepost.conformance.sample_pushes import ABSENT_ALARM, ABSENT_RECORD, DIALECTS, VARIANTS, Samples, write
from gatepost.errors import DecodeError, EncodeError, StoreError
from gatepost.journal.places import Place, split_places
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.ingest.event_keys import key_of
from gatepost.simulator.world import dialects
from gatepost.store.conversion.rows import clock_problems
from gatepost.store.conversion.values import text
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.images.images import open_place, parts_of, seal_place
from gatepost.store.interface import Arrival, Stored
from gatepost.store.query.reprocess import separated
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import (
    Alarm,
    Decoded,
    Dialect,
    Group,
    Problem,
    Record,
    Unknown,
    User,
    decode_many,
    encode,
    without_pins,
)

SECRET = b"secret"
RECEIVED_MS = 1_714_996_800_000
PIN = "73194628"
FRAMES = Frames(SECRET, ImageKeys())
PACK = "people-20240506-1714996800000-0123abcd-records-000001.pack"
KEYS = [bytes([number]) * 32 for number in range(3)]


def arrived(decoded: Decoded, number: int = 0, **fields: Any) -> Arrival:
    """Return what the ingest makes of a decoded push."""
    event, original, images, has_texts = separated(decoded.event, decoded.original)
    places = [Place(PACK, 1024 * at, len(image.data), bytes([at]) * 32) for at, image in enumerate(images, 1)]
    values = {
        "terminal_id": 1,
        "key": key_of(decoded, SECRET),
        "event": event,
        "received_at_ms": RECEIVED_MS + number,
        "original": original,
        "image": places[0] if len(places) > has_texts else None,
        "texts": places[-1] if has_texts else None,
        "problems": decoded.problems + clock_problems(event, RECEIVED_MS + number),
        "dialect": decoded.dialect,
        "peer": "10.0.0.9",
        "bind_peer": True,
        "tokenless": True,
        "sent_at_ms": RECEIVED_MS - 5,
        "model": "SensePass",
        "disagreements": (("header", "SN-2"),),
    }
    return Arrival(**(values | fields))


def framed(arrival: Arrival, frames: Frames = FRAMES) -> bytes:
    """Return the body of a frame, with the places of the images that an arrival has."""
    body = frames.encode(arrival, has_texts=arrival.texts is not None)
    return frames.join(body, [place for _, place in parts_of(arrival)])


def carried(arrival: Arrival) -> Arrival:
    """Return what is left of an arrival by design: without PIN and what only ``original`` keeps."""
    event = arrival.event
    if isinstance(event, Unknown):
        return replace(arrival, event=Unknown({}))
    event = replace(event, extra={}, outer={})
    if isinstance(event, Record) and (user := event.user) is not None:
        groups = tuple(replace(group, extra=as_json(group.extra)) for group in user.groups)
        event = replace(event, user=replace(user, pin="", extra={}, groups=groups))
    return replace(arrival, event=event)


def as_json(extra: dict[str, Any]) -> Any:
    return msgspec.json.decode(without_pins(msgspec.json.encode(readable(extra))))


def readable(value: Any) -> Any:
    """Return the same with each text as the store would have it."""
    if isinstance(value, Struct):
        return replace(value, **{name: readable(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, str) and not isinstance(value, Dialect):
        return text(value)
    if isinstance(value, dict):
        return {readable(name): readable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(readable(each) for each in value)
    return value


def check(arrival: Arrival) -> Arrival:
    """Send an arrival through a frame, and return it."""
    body = framed(arrival)
    assert PIN.encode() not in body
    decoded = FRAMES.decode(body)
    # NaN is like nothing, but is written like itself.
    assert repr(readable(decoded)) == repr(readable(carried(arrival)))
    return decoded


# Events of every kind and dialect.


def test_the_pages_own_examples_come_through_unchanged() -> None:
    for body in (examples.record_body(rgb_image=examples.JPEG_TEXT), examples.PAGE_ALARM, b'{"type":7}'):
        (decoded,) = decode_many(body, lenient=True)
        check(arrived(decoded))


@pytest.mark.parametrize("firmware", list(Dialect))
def test_what_the_simulators_terminals_send_comes_through(firmware: Dialect) -> None:
    groups = (Group(id="2", name="Engineering"),)
    user = User(user_id="7", name="陈晨曦", type=5, job_number="20007", pin=PIN, groups=groups)
    at = datetime(2024, 5, 6, tzinfo=UTC)
    event = Record(serial="SN-1", uuid=str(firmware), recorded_at=at, user=user, image=examples.JPEG)
    (decoded,) = decode_many(dialects.body(event, firmware), lenient=True)
    check(arrived(decoded))


def samples() -> list[dict[str, Any]]:
    made = Samples(random.Random(1), lambda: RECEIVED_MS / 1000)
    events = [made.dialect(version)[0] for version in DIALECTS]
    events += [made.record(changes) for _, changes in VARIANTS]
    events += [made.record({name: ...}) for name in ABSENT_RECORD]
    events += [made.alarm({name: ...}) for name in ABSENT_ALARM]
    return events


def test_what_the_conformance_checks_send_comes_through() -> None:
    for event in samples():
        for decoded in decode_many(write(event), lenient=True):
            check(arrived(decoded))


@given(st.one_of(examples.records, examples.alarms), st.booleans())
def test_any_valid_event_comes_through(event: Record | Alarm, is_sent: bool) -> None:
    decoded = Decoded(event, Dialect.V1_3_0, (), b"{}")
    if is_sent:
        try:
            (decoded,) = decode_many(encode(event), lenient=True)
        except (EncodeError, DecodeError):
            return
    check(arrived(decoded))


# Hostile bodies.


RAW = [
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "-0",
    "1" * 30,
    "-" + "9" * 25,
    "1.5e300",
    "true",
    "null",
    '"\\u0000"',
]
hostile_times = st.one_of(
    st.integers(-(1 << 65), 1 << 65),
    st.sampled_from([0, -1, -62_135_596_800, 253_402_300_799, 253_402_300_800, 253_402_300_799_999, 10**17]),
    st.sampled_from(
        ["0000-00-00 00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "10000-01-01 00:00:00",
         "2024-05-06 08:00:00", "1969-12-31T23:59:59Z", "-5"]
    ),
)  # fmt: skip
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(max_size=12),  # halves of characters, too
    st.sampled_from(["", "0", "\0", "\ud800", "名\udfff", "9" * 30, "true", "/9j/", "x" * 600]),
    st.sampled_from(RAW).map(lambda raw: f"raw:{raw}"),
    hostile_times,
)
names = st.one_of(st.text(max_size=6), st.sampled_from(["pin", "PIN", "id", "name", "x", "\ud83d", "\0"]))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
deep = st.integers(1, 50).map(lambda depth: json.loads("[" * depth + "]" * depth))
anything = st.one_of(values, deep)
groups = st.lists(
    st.builds(
        lambda group, pin: group | pin,
        st.dictionaries(names, anything, max_size=3),
        st.sampled_from([{}, {"pin": PIN}]),
    ),
    max_size=3,
)
of_data = st.dictionaries(
    st.sampled_from([*record()["data"], *alarm()["data"], "TrackID", "groups", "pin", "x"]),
    anything,
    max_size=4,
)
of_user = st.dictionaries(st.sampled_from([*record()["data"]["user"], "x"]), anything, max_size=4)


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """Draw the body of a push in which some fields are what no terminal sends."""
    push: dict[str, Any] = draw(st.sampled_from([record, alarm]))()
    if isinstance(push["data"].get("user"), dict):
        user = push["data"]["user"] | {"pin": PIN, "groups": draw(groups)}
        push["data"]["user"] = user | draw(of_user)
    if draw(st.booleans()):
        push["data"] |= {draw(st.sampled_from(["timestamp", "event_time"])): draw(hostile_times)}
    if draw(st.booleans()):
        push["data"] |= {"rgb_image": examples.JPEG_TEXT, "alarm_photo": examples.JPEG_TEXT}
    push["data"] |= draw(of_data)
    push |= draw(st.dictionaries(names, anything, max_size=2))
    body = json.dumps(push, ensure_ascii=draw(st.booleans()))
    for raw in RAW:
        body = body.replace(json.dumps(f"raw:{raw}"), raw)
    return body.encode("utf-8", "surrogatepass")


@given(hostile())
def test_whatever_was_decoded_comes_through(body: bytes) -> None:
    try:
        events = decode_many(body, lenient=True)
    except DecodeError:
        return  # it got a 400
    for decoded in events:
        check(arrived(decoded))


def test_texts_that_have_no_encoding_are_mended_wherever_they_stand() -> None:
    """No decoding leaves one, but a frame is the last place at which one could do harm."""
    half = "a\ud800b"
    user = User(user_id=half, name=half, groups=(Group(half, half, {half: [half, {"x": half}]}),))
    event = Record(serial=half, uuid=half, user=user)
    odd = Arrival(
        terminal_id=1, key=bytes(16), event=event, received_at_ms=1, original=b"{}", problems=(Problem(half, half),),
        dialect=Dialect.V1_0, peer=half, model=half, disagreements=((half, half),),
    )  # fmt: skip
    with capture_logs() as logs:
        assert check(odd) == readable(odd)
    assert logs == []


def test_what_has_no_encoding_at_all_is_kept_raw() -> None:
    (decoded,) = decode_many(b'{"type":1,"data":{"trace_id":"t","status":1,"event_time":1}}', lenient=True)
    assert isinstance(decoded.event, Alarm)
    odd = arrived(decoded, model="\ud800")
    odd = replace(odd, event=replace(decoded.event, user_id=1 << 70))
    with capture_logs() as logs:
        kept = FRAMES.decode(framed(odd))
    assert (kept.event, kept.original, kept.terminal_id) == (Unknown({}), odd.original, 1)
    assert kept.problems[-1].why == "has a value that cannot be stored"
    assert [log["event"] for log in logs] == ["frames.kept_raw"]


def test_a_group_keeps_every_number_and_no_pin() -> None:
    big = 123456789012345678901234567890
    extra = json.dumps({"id": 3, "name": "测试", "code": big, "half": 0.1, "pin": PIN, "in": [{"PIN": PIN}]})
    body = examples.record_body().replace(b'{"id": "3"', f'{extra}, {{"id": "3"'.encode())
    (decoded,) = decode_many(body, lenient=True)
    event = check(arrived(decoded)).event
    assert isinstance(event, Record)
    assert event.user is not None
    assert event.user.groups[0] == Group(
        "3", "测试", {"code": big, "half": 0.1, "pin": "", "in": [{"PIN": ""}]}
    )
    assert event.user.groups[1:] == (Group("3", "测试3"), Group("4", "测试4"))


# The same rows.


TABLES = (
    "facets",
    "identities",
    "terminals",
    "peers",
    "tallies",
    "disagreements",
    "alarms",
    "packs",
    "images",
)
EVENTS = ("records", "alarm_events", "quarantine")


class Sides:
    """Two stores that were one; what is written to one of them goes through frames."""

    def __init__(self, folder: Path) -> None:
        store = opened(folder / "direct")
        ensured(store, "SN-1", now_ms=RECEIVED_MS)
        store.close()
        shutil.copytree(folder / "direct", folder / "framed")
        self.stores = [opened(folder / name) for name in ("direct", "framed")]
        self._number = 0

    def write(self, arrivals: list[Arrival]) -> None:
        """Store a batch on both sides, and compare what has become of it."""
        self._number += 1
        at = RECEIVED_MS + self._number
        direct = [replace(one, received_at_ms=at) for one in arrivals]
        through = [FRAMES.decode(framed(one)) for one in direct]
        stored = [store.write(batch) for store, batch in zip(self.stores, (direct, through), strict=True)]
        assert stored[0] == stored[1]
        rows, also = (self._rows(store, stored[0]) for store in self.stores)
        assert rows == also

    def _rows(self, store: SqliteStore, stored: list[Stored]) -> list[Any]:
        first = min(row.id for row in stored)
        with store.reading() as db:
            found = [db.execute(sql(f"SELECT * FROM {table}")).fetchall() for table in TABLES]
            found += [
                db.execute(sql(f"SELECT * FROM {table} WHERE id >= {first}")).fetchall() for table in EVENTS
            ]
        return found


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    sides = Sides(tmp_path_factory.mktemp("sides"))
    yield sides
    for store in sides.stores:
        store.close()


@given(st.lists(hostile(), min_size=1, max_size=4))
def test_what_is_stored_of_a_frame_is_what_is_stored_of_the_arrival(
    sides: Sides, bodies: list[bytes]
) -> None:
    arrivals = []
    for body in bodies:
        try:
            arrivals += [arrived(decoded) for decoded in decode_many(body, lenient=True)]
        except DecodeError:
            continue
    if arrivals:
        sides.write(arrivals)


def test_the_same_rows_of_every_sample(sides: Sides) -> None:
    for event in samples():
        sides.write([arrived(one) for one in decode_many(write(event), lenient=True)])


# Other versions.


def test_a_frame_of_an_earlier_version_has_defaults_and_one_of_a_later_version_is_read() -> None:
    bare = {"terminal_id": 1, "key": bytes(16), "received_at_ms": 5, "original": b"{}"}
    event = {"trace_id": "t", "status": 1, "event_time": None}
    expected = Arrival(**bare, event=Alarm(trace_id="t", status=1, event_time=None))
    for more in ({}, {"a_later_field": [1, {"x": None}]}):
        assert (
            FRAMES.decode(msgspec.msgpack.encode([[], {**bare, "alarm": {**event, **more}, **more}]))
            == expected
        )


@given(st.binary(max_size=300))
def test_what_is_no_frame_is_an_error_of_the_store(body: bytes) -> None:
    with pytest.raises(StoreError):
        FRAMES.decode(body)


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    (decoded,) = decode_many(examples.record_body(), lenient=True)
    frame = msgspec.msgpack.decode(framed(arrived(decoded)))
    change(frame[1])
    return msgspec.msgpack.encode(frame)


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * 100_000,
        b"\x81\xa1x" + b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        changed(lambda frame: frame.pop("original")),
        changed(lambda frame: frame.update(received_at_ms="now")),
        changed(lambda frame: frame.update(dialect="9.9")),
        changed(lambda frame: frame["record"].update(recorded_at=5)),
        changed(lambda frame: frame.update(groups=b"{")),
        changed(lambda frame: frame.update(groups=b'[["3", ""]]')),
        changed(lambda frame: frame.update(groups=b'[[5, "", {}]]')),
    ],
    ids=range(11),
)
def test_a_frame_of_another_form_is_an_error_of_the_store(body: bytes) -> None:
    with pytest.raises(StoreError, match="another form"):
        FRAMES.decode(body)


@given(st.data())
def test_a_frame_that_is_cut_or_changed_is_read_or_an_error_of_the_store(data: st.DataObject) -> None:
    (decoded,) = decode_many(examples.record_body(rgb_image=examples.JPEG_TEXT), lenient=True)
    body = bytearray(framed(arrived(decoded)))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(0, len(body))) :]
    with contextlib.suppress(StoreError):
        FRAMES.decode(bytes(body))


# Images.


def pictured() -> Arrival:
    body = examples.record_body({"rgb_image": base64(examples.JPEG)}, snapshot="/9j/" * 500)
    (decoded,) = decode_many(body, lenient=True)
    arrival = arrived(decoded)
    assert arrival.image is not None
    assert arrival.texts is not None
    return arrival


def test_no_image_is_in_a_frame_and_its_places_are() -> None:
    arrival = check(pictured())
    body = framed(arrival)
    assert examples.JPEG[:20] not in body
    assert b"/9j/" not in body
    assert split_places(body)[1] == (arrival.image, arrival.texts)


@pytest.mark.parametrize("number", [0, 1])
def test_an_event_may_have_either_of_them(number: int) -> None:
    arrival = pictured()
    check(replace(arrival, image=None) if number else replace(arrival, texts=None))


def test_with_image_keys_the_keys_of_images_are_encrypted_and_any_image_key_opens_them() -> None:
    arrival = pictured()
    for before in ([], KEYS[:1], KEYS[1:2]):
        body = framed(arrival, Frames(SECRET, ImageKeys(before)))
        assert Frames(SECRET, ImageKeys(KEYS)).decode(body) == carried(arrival)
        assert (arrival.image is not None and arrival.image.key in body) is not bool(before)


@pytest.mark.parametrize("keys", [[], KEYS[1:]])
def test_without_its_image_key_an_event_is_read_and_its_image_stays_closed(keys: list[bytes]) -> None:
    arrival = pictured()
    read = Frames(SECRET, ImageKeys(keys)).decode(framed(arrival, Frames(SECRET, ImageKeys(KEYS[:1]))))
    assert (read.event, read.original) == (carried(arrival).event, arrival.original)
    assert read.image is not None
    assert seal_place(read.image, ImageKeys(keys)) == read.image  # it is not encrypted once more
    with pytest.raises(StoreError, match="image_key_file"):
        open_place(read.image, ImageKeys(keys))
    assert open_place(read.image, ImageKeys(KEYS)) == arrival.image


# The edges of time.


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1),
    ],
)
def test_every_time_comes_through_to_the_microsecond(moment: datetime) -> None:
    event = Record(recorded_at=moment, score=math.nan, temperature=-math.inf, user=User(guest_from=moment))
    decoded = check(
        Arrival(terminal_id=1, key=bytes(16), event=event, received_at_ms=-5, original=b"{}")
    ).event
    assert isinstance(decoded, Record)
    assert (decoded.recorded_at, decoded.user and decoded.user.guest_from) == (moment, moment)
