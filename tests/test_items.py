"""What the API answers is read by its other end as what it was."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gatepost import items
from gatepost.items import AlarmItem, Listing, PersonItem, ProblemItem, RecordItem, StepItem

NOON = datetime(2024, 5, 6, 12, 0, 0, 123000, tzinfo=UTC)
PLACE: dict[str, Any] = {"terminal_name": "gate", "site_id": 1, "site": "east", "timezone": "Asia/Shanghai"}
PERSON = PersonItem(
    id="1", user_id="5", name="王五", type=1, job_number="", ic_number="", id_number="", remark="", guest_from=None,
    guest_until=NOON, groups=[{"id": "3"}],
)  # fmt: skip
RECORD = RecordItem(
    backfilled=False,
    id=1, terminal=None, terminal_id=2, **PLACE, uuid=None, recorded_at=None, listed_at=NOON, received_at=NOON,
    recognition_type=99, passed=None, entry_mode=1, abnormal_type=None, score=0.5, temperature=None, mask=None,
    mode=None, person=PERSON, image=None, dialect=None, problems=[ProblemItem("data.x", "is odd")], original="{}",
)  # fmt: skip
STEP = StepItem(
    id=1, status=None, code=None, at=None, listed_at=NOON, received_at=NOON, description=None, user_id=None, image=None,
    problems=[], original=None,
)  # fmt: skip
ALARM = AlarmItem(
    id=1, terminal="SN", terminal_id=1, **PLACE, trace_id="T", code=None, state="open", first_at=NOON, last_at=NOON,
    history=[STEP], acknowledged=False, acknowledged_at=None, acknowledged_by=None, note=None, closed_at=None,
    closed_by=None, closed_note=None,
)  # fmt: skip


@pytest.mark.parametrize("item", [RECORD, ALARM, PERSON, STEP])
def test_an_item_survives_the_way_from_one_end_to_the_other(item: msgspec.Struct) -> None:
    kind = type(item)
    assert msgspec.json.decode(msgspec.json.encode(item), type=kind) == item
    listing = Listing([item], "next")
    assert msgspec.json.decode(msgspec.json.encode(listing), type=Listing[kind]) == listing  # type: ignore[valid-type]


def test_the_original_is_told_only_where_it_was_asked_for() -> None:
    assert b'"original"' in msgspec.json.encode(RECORD)
    assert b'"original"' not in msgspec.json.encode(STEP)


def test_what_a_later_receiver_adds_is_passed_over() -> None:
    later = msgspec.json.encode({**msgspec.to_builtins(RECORD), "weather": "rain"})
    assert msgspec.json.decode(later, type=RecordItem) == RECORD


@pytest.mark.parametrize("name", [name for name in items.__all__ if name.endswith("Item")])
def test_every_item_is_frozen_and_says_what_it_is(name: str) -> None:
    kind = getattr(items, name)
    assert kind.__struct_config__.frozen
    assert kind.__doc__
