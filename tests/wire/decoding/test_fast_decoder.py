import copy
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.examples import JPEG, JPEG_TEXT, PAGE_ALARM, PAGE_RECORD, json_values

from gatepost.wire import Dialect, Record
from gatepost.wire.decoding.decoder import Decoded, decode_any
from gatepost.wire.decoding.fast_decoder import DEPTH, LONG, decode_usual, forget_people

ODD = st.one_of(
    json_values,
    st.sampled_from(
        [
            *(
                None,
                True,
                False,
                0,
                -1,
                1.0,
                1.5,
                3,
                "",
                " ",
                "0",
                "1",
                [],
                {},
                [{}],
                [{"id": 3}],
                [{"x": 1}],
                1e300,
            ),
            *(
                2**53,
                2**62 + 1,
                2**63,
                -(2**64),
                1685343715000,
                10**11,
                -5,
                JPEG_TEXT,
                f"data:image/jpeg;base64,{JPEG_TEXT}",
            ),
            *("QUJD", "Q U", 'a"b', "a\\b", "\u0000", "王", '"rgb_image":"', '"pin":"1"'),
        ]
    ),
)
"""What may stand where the page wants something else."""

NAMES = [
    *(
        "deviceSN",
        "recognitionType",
        "entry_mode",
        "abnormal_type",
        "uuid",
        "recognizeScore",
        "mask",
        "mode",
        "rgb_image",
    ),
    *(
        "bodyTemperature",
        "pass",
        "timestamp",
        "user",
        "groups",
        "pin",
        "name",
        "user_id",
        "type",
        "guest_time_start",
    ),
    *(
        "guest_time_end",
        "remark",
        "ic_number",
        "job_number",
        "id_number",
        "data",
        "id",
        "TrackID",
        "unheard_of",
    ),
]


def page(image: str = JPEG_TEXT) -> dict[str, Any]:
    body = copy.deepcopy(PAGE_RECORD)
    body["data"]["rgb_image"] = image
    return body


def objects(value: Any) -> list[dict[str, Any]]:
    """Every object of a body, the outermost first."""
    found = [value] if isinstance(value, dict) else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += objects(inner)
    return found


@st.composite
def nearly_usual(draw: st.DrawFn) -> bytes:
    """The page's record with a few things set, removed or said twice, in any spelling of JSON."""
    body = page(draw(st.sampled_from(["", " ", JPEG_TEXT])))
    if draw(st.booleans()):
        body["data"]["groups"] = body["data"]["user"].pop("groups")
    for _ in range(draw(st.integers(0, 3))):
        holder = draw(st.sampled_from(objects(body)))
        name = draw(st.sampled_from(NAMES))
        if draw(st.booleans()):
            holder.pop(name, None)
        else:
            holder[name] = copy.deepcopy(draw(ODD))
    text = json.dumps(
        body,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :\t")])),
    )
    if draw(st.booleans()):
        name, again = draw(st.sampled_from(NAMES)), json.dumps(draw(ODD))
        at = draw(st.sampled_from([i for i, letter in enumerate(text) if letter == "{"]))
        text = f'{text[: at + 1]}"{name}":{again},{text[at + 1 :]}'
    return text.encode("utf-8", "surrogatepass")


def test_the_pages_record_is_usual_and_its_image_is_cut_out_of_the_text() -> None:
    body = json.dumps(page(), ensure_ascii=False).encode()
    taken = decode_usual(body)
    assert taken is not None
    record, text = taken
    assert record.image == JPEG
    assert text == json.dumps(page(""), ensure_ascii=False).encode()


def test_an_item_of_a_history_with_its_groups_next_to_the_user_is_usual() -> None:
    body = page()
    body["data"]["groups"] = body["data"]["user"].pop("groups")

    taken = decode_usual(json.dumps(body, ensure_ascii=False).encode())

    assert taken is not None
    assert taken[0].user is not None
    assert [group.id for group in taken[0].user.groups] == [one["id"] for one in body["data"]["groups"]]


def test_what_is_usual_decodes_as_it_does_field_by_field() -> None:
    body = json.dumps(page(), ensure_ascii=False).encode()
    record, text = decode_usual(body) or pytest.fail("is not usual")
    assert decode_any(body, lenient=False, max_depth=DEPTH) == Decoded(record, Dialect.V1_3_0, (), text)


@given(nearly_usual(), st.booleans())
def test_whatever_is_taken_here_decodes_the_same_field_by_field(body: bytes, lenient: bool) -> None:
    taken = decode_usual(body)
    if taken is not None:
        record, text = taken
        assert decode_any(body, lenient=lenient) == Decoded(record, Dialect.V1_3_0, (), text)
        assert isinstance(record, Record)


@pytest.mark.parametrize(
    "change",
    [
        {"pin": "4711"},
        {"guest_time_end": 1685343715000},
        {"user_id": 5},
        {"groups": [{"id": 3, "name": "x"}]},
        {"nickname": "x"},
        {"name": 'a"b'},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_user_out_of_the_ordinary_is_left_to_the_decoder(change: dict[str, Any]) -> None:
    body = page()
    body["data"]["user"].update(change)
    assert decode_usual(json.dumps(body, ensure_ascii=False).encode()) is None


def test_a_pin_that_a_second_data_hides_is_left_to_the_decoder() -> None:
    body = json.dumps(page(), ensure_ascii=False, separators=(",", ":")).encode()
    doubled = body.replace(b'"data":', b'"data":{"user":{"pin":"4711"}},"data":', 1)
    assert decode_usual(doubled) is None
    assert b"4711" not in decode_any(doubled, lenient=True).original


def test_a_second_user_is_left_to_the_decoder() -> None:
    body = json.dumps(page(), ensure_ascii=False, separators=(",", ":")).encode()
    assert decode_usual(body.replace(b'"user":', b'"user":{"name":"\xff"},"user":', 1)) is None


def test_whoever_passes_again_is_the_same_object() -> None:
    first, second = page(), page()
    second["data"]["uuid"] = "another-of-the-same-person"
    records = [decode_usual(json.dumps(body, ensure_ascii=False).encode()) for body in (first, second)]
    users = [found[0].user for found in records if found is not None]
    assert users[0] is not None
    assert users[0] is users[1]


def test_who_is_forgotten_is_read_again() -> None:
    body = json.dumps(page(), ensure_ascii=False).encode()
    before = decode_usual(body)
    forget_people()
    after = decode_usual(body)
    assert before is not None
    assert after is not None
    assert before[0].user == after[0].user
    assert before[0].user is not after[0].user


def test_of_whom_much_is_said_is_read_each_time_and_not_remembered() -> None:
    body = page()
    body["data"]["user"]["name"] = "x" * LONG
    records = [decode_usual(json.dumps(body, ensure_ascii=False).encode()) for _ in range(2)]
    users = [found[0].user for found in records if found is not None]
    assert users[0] is not None
    assert users[0].name == "x" * LONG
    assert users[0] == users[1]
    assert users[0] is not users[1]


def test_memory_stays_bounded_however_long_the_names_are() -> None:
    forget_people()
    body = json.dumps(page(""), ensure_ascii=False).encode()
    tracemalloc.start()
    try:
        for number in range(60):
            decode_usual(body.replace(b'"name": "', b'"name": "%d' % number + b"x" * 1_000_000, 1))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2_000_000


@pytest.mark.parametrize(
    "pins", ['"pin": "4711", "pin": ""', '"pin": "", "pin": "4711"', '"pin" : ""', '"pin": " "']
)
def test_a_pin_beside_an_empty_one_is_left_to_the_decoder(pins: str) -> None:
    body = json.dumps(page(), ensure_ascii=False)
    assert '"pin": ""' in body
    assert decode_usual(body.encode()) is not None
    assert decode_usual(body.replace('"pin": ""', pins).encode()) is None


@pytest.mark.parametrize("second", [JPEG_TEXT, "", " ", None, "QUJD"])
def test_a_second_image_counts_instead_of_the_first_and_is_left_to_the_decoder(second: str | None) -> None:
    body = json.dumps(page(), ensure_ascii=False)
    doubled = body.replace('"user": ', f'"rgb_image": {json.dumps(second)}, "user": ', 1).encode()
    assert decode_usual(doubled) is None
    last = decode_any(doubled, lenient=True).event
    assert isinstance(last, Record)
    assert last.image == (JPEG if second == JPEG_TEXT else None)


def test_an_alarm_is_left_to_the_decoder() -> None:
    assert decode_usual(PAGE_ALARM) is None
