"""Each class of faults: it is written as named, it is repeatable, and the event behind it can still be understood."""

import json
import random
import re
from typing import Any

import pytest

from gatepost.conformance.sample_pushes import Samples, write
from gatepost.dialect_faults.classes import CLASSES, spoiled
from gatepost.dialect_faults.faults import Body, FaultClass, Variant
from gatepost.dialect_faults.writing import joined
from gatepost.wire import Alarm, Record, decode_many

VARIANTS = [(found, variant) for found in CLASSES for variant in found.variants]
IDS = [f"{found.name}: {variant.name}" for found, variant in VARIANTS]


def bodies() -> list[bytes]:
    samples = Samples(random.Random(1), lambda: 1_764_300_000.0)
    return [
        write(samples.record({"rgb_image": samples.picture()}, user_id="206", remark="east wing")),
        write(samples.alarm({"alarm_photo": samples.picture()})),
    ]


def written(variant: Variant) -> list[tuple[bytes, Body]]:
    found = [(body, variant.write(body, random.Random(1))) for body in bodies()]
    return [(body, made) for body, made in found if made is not None]


def form(name: str, variant: str) -> bytes:
    (found,) = (one for one in CLASSES if one.name == name)
    (made,) = (one for one in found.variants if one.name == variant)
    body = made.write(bodies()[0], random.Random(1))
    assert body is not None
    return body.content


@pytest.mark.parametrize(("found", "variant"), VARIANTS, ids=IDS)
def test_a_fault_changes_the_push_and_writes_the_same_each_time(found: FaultClass, variant: Variant) -> None:
    made = written(variant)
    assert made
    for body, spoilt in made:
        assert spoilt.content != body or spoilt.content_type is not None
        assert variant.needs_header == (spoilt.content_type is not None)
    assert written(variant) == made


@pytest.mark.parametrize(
    ("name", "variant", "text"),
    [
        ("trailing-bytes", "NUL", b"}\0"),
        ("byte-order-mark", "UTF-8", b"\xef\xbb\xbf{"),
        ("control-characters", "TAB", b'"remark":"east\twing"'),
        ("unknown-escapes", "a path", rb'"remark":"C:\docs"'),
        ("no-numbers", "-nan", b'"recognizeScore":-nan,'),
        ("cut-text", "a name of 128 bytes", '名"'.encode()[:2] + b'"'),
        ("other-charset", "GBK", '"name":"欧阳修"'.encode("gbk")),
        ("several-events", "a list", b'[{"type":0'),
        ("doubles", "206.0", b'"user_id":206.0'),
        ("doubles", "2.06E2", b'"user_id":2.06E2'),
        ("times", "a fraction as text", b'.00",'),
        ("times", "no clock", b'"timestamp":0,'),
        ("booleans", "Python", b'"pass":"True"'),
        ("padding", "NULs", b'"user_id":"206\\u0000\\u0000\\u0000"'),
        ("base64", "percent-encoded", b"%2B"),
        ("key-case", "ALL CAPITALS", b'"DEVICESN":'),
        ("picture-format", "PNG", b'"rgb_image":"iVBORw0KGgo'),
        ("placeholder-ids", "N/A", b'"uuid":"N/A"'),
        ("repeated-ids", "a clone", b'"uuid":"4d3987c1-a3b3-470b-9fb7-e114772c069c"'),
    ],
)
def test_a_form_is_written_as_it_is_called(name: str, variant: str, text: bytes) -> None:
    assert text in form(name, variant)


def test_what_a_fault_does_not_concern_is_left_alone() -> None:
    record, alarm = bodies()
    names = {found.name: found.variants[0] for found in CLASSES}
    older = json.loads(record)
    del older["data"]["user"]["remark"]
    assert names["control-characters"].write(write(older), random.Random(1)) is None
    assert names["booleans"].write(alarm, random.Random(1)) is None
    assert names["reused-trace-ids"].write(record, random.Random(1)) is None
    without = json.loads(record)
    without["data"]["rgb_image"] = " "
    assert names["base64"].write(write(without), random.Random(1)) is None


def test_every_class_is_drawn_and_without_headers_none_that_needs_one() -> None:
    drawn: dict[bool, set[str]] = {True: set(), False: set()}
    for headers, names in drawn.items():
        for seed in range(400):
            for body in bodies():
                found = spoiled(body, random.Random(seed), headers=headers)
                assert found is not None
                assert headers or found[1].content_type is None
                names.add(found[0])
    assert drawn[True] == {found.name for found in CLASSES}
    assert drawn[True] - drawn[False] == {"other-content-type"}


def test_several_events_are_a_list_or_lines() -> None:
    events: list[Any] = [json.loads(body) for body in bodies()]
    assert json.loads(joined(bodies()).content) == events
    lines = joined(bodies(), lines=True)
    assert [json.loads(line) for line in lines.content.splitlines()] == events
    assert lines.content_type == "application/x-ndjson"


@pytest.mark.parametrize(("found", "variant"), VARIANTS, ids=IDS)
def test_the_event_behind_a_fault_is_still_understood(found: FaultClass, variant: Variant) -> None:
    for _, spoilt in written(variant):
        charset = re.search(r"charset=\"?([\w-]+)", spoilt.content_type or "")
        (decoded,) = decode_many(spoilt.content, lenient=True, charset=charset and charset[1])
        assert isinstance(decoded.event, Record | Alarm)
        if isinstance(decoded.event, Record):
            assert decoded.event.user is not None
            assert decoded.event.user.user_id == "206"
            assert decoded.event.passed is True
