"""Which spans are asked for, how items are read, and which records are not here."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.fleet.history.records import (
    OTHER_SERIAL,
    Reading,
    Window,
    is_within,
    missing,
    read,
)
from gatepost.store.interface import Arrival
from gatepost.store.write.backfilled import Here, likeness
from gatepost.wire import Record, Unknown

READING = Reading(
    terminal_id=1, serial="SN-7", timezone="Asia/Shanghai", secret=b"secret", received_at_ms=1_800_000_000_000
)


@given(st.integers(0, 10**6), st.integers(1, 10**5), st.integers(0, 100))
def test_parts_cover_a_window(begin: int, length: int, count: int) -> None:
    found = Window(begin, begin + length).parts(count)

    assert len(found) == min(max(count, 2), length + 1)
    assert (found[0].begin_s, found[-1].end_s) == (begin, begin + length)
    assert all(one.end_s + 1 == other.begin_s and one.begin_s <= one.end_s for one, other in pairwise(found))


def test_a_single_second_has_no_parts() -> None:
    with pytest.raises(ValueError, match="no parts"):
        Window(5, 5).parts(2)


def item(second: int, number: str = "5", **fields: Any) -> bytes:
    values = {
        "deviceSN": "SN-7",
        "recognitionType": 1,
        "entry_mode": 1,
        "uuid": "4d3987c1-a3b3-470b-9fb7-e114772c069c",
        "pass": True,
        "timestamp": 1_700_000_000 + second,
        "rgb_image": " ",
        "groups": [{"id": "3", "name": "测试3"}],
        "user": {"user_id": number, "name": "王五", "type": 1, "pin": "1234"},
    }
    return msgspec.json.encode(values | fields)


def one(text: bytes) -> Arrival:
    (found,) = read([text], READING)
    return found


def test_groups_beside_the_user_are_the_users() -> None:
    event = one(item(1)).event
    assert isinstance(event, Record)
    assert event.user is not None
    assert [group.name for group in event.user.groups] == ["测试3"]


def test_no_pin_is_kept() -> None:
    assert b"1234" not in one(item(1)).original


@pytest.mark.parametrize("path", ["/userdata/images/1700000000.jpg", "images/17000000", "C:\\a.jpg"])
def test_a_path_is_no_image(path: str) -> None:
    found = one(item(1, rgb_image=path))
    assert isinstance(found.event, Record)
    assert found.event.image is None
    assert [problem.where for problem in found.problems] == ["data.rgb_image"]


def test_a_record_of_another_terminal_says_so() -> None:
    assert OTHER_SERIAL in one(item(1, deviceSN="SN-8")).problems


@pytest.mark.parametrize("text", [b"null", b"7", b'"a"', b"{}"])
def test_what_is_no_record_is_kept_for_the_quarantine_and_holds_up_nothing(text: bytes) -> None:
    found = read([item(1), text, item(2)], READING)
    assert [isinstance(arrival.event, Unknown) for arrival in found] == [False, True, False]


def test_items_that_say_the_same_are_one() -> None:
    assert len(read([item(1, uuid=None), item(1, uuid=None), item(2, uuid=None)], READING)) == 2


def here(*arrivals: Arrival) -> list[Here]:
    found = []
    for number, arrival in enumerate(arrivals):
        assert isinstance(arrival.event, Record)
        like = likeness(arrival.event)
        assert like is not None
        found.append(Here(number, b"another key %d" % number, like))
    return found


def test_what_is_alike_and_here_is_not_missing() -> None:
    there = read([item(1), item(2), item(2, "6"), item(3)], READING)
    assert missing(there, here(one(item(2)), one(item(1)))) == there[2:]


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_what_is_missing_has_as_many_alike_as_the_history(there: list[int], stored: list[int]) -> None:
    """Two that are alike are two: each of ours stands for one of theirs, and the store decides how many are new."""
    arrivals = read([item(second, uuid=f"uuid-of-history-{n}") for n, second in enumerate(there)], READING)
    gone = missing(arrivals, here(*(one(item(second)) for second in stored)))
    for second in range(6):
        mine = [each for each in gone if b'"timestamp":%d' % (1_700_000_000 + second) in each.original]
        is_short = there.count(second) > stored.count(second)
        assert len(mine) == (there.count(second) if is_short else 0)
        assert {each.alike for each in mine} <= {there.count(second)}


@pytest.mark.parametrize(
    ("timestamp", "fits"),
    [(1_700_000_000, True), (1_700_000_000_999, True), (1_700_000_001, False), (1_699_999_999, False)],
)
def test_an_item_is_within_its_second(timestamp: int, fits: bool) -> None:
    assert is_within(b'{"timestamp":%d}' % timestamp, Window(1_700_000_000, 1_700_000_000)) == fits


@pytest.mark.parametrize("text", [b"{}", b'{"timestamp":null}', b'{"timestamp":"x"}', b"7"])
def test_an_item_whose_time_cannot_be_read_fits_anywhere(text: bytes) -> None:
    assert is_within(text, Window(5, 5))
