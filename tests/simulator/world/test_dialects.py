from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gatepost.simulator.world import dialects
from gatepost.wire import Alarm, Dialect, Group, Record, User, decode, encode_parts, key

RECORD = Record(
    serial="SIM1",
    uuid="4d3987c1-a3b3-470b-9fb7-e114772c069c",
    recorded_at=datetime(2026, 1, 5, 0, 40, tzinfo=UTC),
    recognition_type=5,
    passed=False,
    entry_mode=4,
    abnormal_type=10002,
    score=0.93,
    mode=2,
    image=b"\xff\xd8 picture \xff\xd9",
    user=User(
        user_id="7",
        name="陈晨曦",
        type=5,
        ic_number="0123456789",
        job_number="20007",
        id_number="77",
        pin="123456",
        remark="外包",
        groups=(Group(id="2", name="Engineering"),),
    ),
)
ALARM = Alarm(trace_id="SPX-1-004-abc", status=1, code=10001, event_time=datetime(2026, 1, 5, tzinfo=UTC))


def written(event: Record | Alarm, firmware: Dialect) -> Any:
    return msgspec.json.decode(dialects.body(event, firmware))["data"]


@pytest.mark.parametrize("firmware", list(Dialect))
def test_what_a_firmware_writes_is_recognised_as_its_own(firmware: Dialect) -> None:
    decoded = decode(dialects.body(RECORD, firmware))
    assert decoded.dialect is firmware
    assert isinstance(decoded.event, Record)
    assert (decoded.event.serial, decoded.event.image) == (RECORD.serial, RECORD.image)
    assert (decoded.event.mode, decoded.event.passed) == (RECORD.mode, False)
    assert decoded.event.recorded_at == RECORD.recorded_at
    assert decoded.event.score == RECORD.score
    assert decoded.event.user is not None
    assert (decoded.event.user.name, decoded.event.user.user_id) == ("陈晨曦", "7")
    assert decoded.event.user.type == 5


def test_current_firmware_writes_what_the_protocol_page_says() -> None:
    assert decode(dialects.body(RECORD, Dialect.V1_3_0)).event == RECORD


def test_1_2_1_has_no_entry_mode_no_pin_other_modes_and_groups_beside_the_user() -> None:
    data = written(RECORD, Dialect.V1_2_1)
    assert data.keys().isdisjoint({"entry_mode", "abnormal_type"})
    assert "pin" not in data["user"]
    assert data["user"]["type"] == 3
    assert data["mode"] == 3
    assert data["groups"] == [{"id": "2", "name": "Engineering"}]


def test_1_2_0_has_no_uuid_and_integers_for_identifiers() -> None:
    data = written(RECORD, Dialect.V1_2_0)
    assert data.keys().isdisjoint({"uuid", "groups"})
    assert data["user"]["user_id"] == 7
    assert data["user"]["job_number"] == "20007"


def test_1_0_knows_name_type_and_number_of_a_person() -> None:
    assert written(RECORD, Dialect.V1_0)["user"] == {"name": "陈晨曦", "user_id": 7, "type": 3}


def test_before_1_0_the_serial_and_the_scores_were_called_differently() -> None:
    data = written(RECORD, Dialect.BEFORE_1_0)
    assert (data["TrackID"], data["recognizeStatus"]) == ("SIM1", 0.93)
    assert "livenessScore" in data
    assert data.keys().isdisjoint({"deviceSN", "recognizeScore", "recognitionType", "bodyTemperature"})


@pytest.mark.parametrize("firmware", list(Dialect))
def test_a_stranger_has_a_user_that_says_nothing(firmware: Dialect) -> None:
    stranger = msgspec.structs.replace(RECORD, recognition_type=3, user=None)
    user = written(stranger, firmware)["user"]
    assert user["name"] is None
    assert user["type"] is None
    assert decode(dialects.body(stranger, firmware)).dialect in (firmware, Dialect.V1_0)


@pytest.mark.parametrize("firmware", list(Dialect))
def test_where_there_is_no_image_stands_a_single_space(firmware: Dialect) -> None:
    bare = msgspec.structs.replace(RECORD, image=None)
    assert written(bare, firmware)["rgb_image"] == " "
    assert written(bare, firmware).get("bodyTemperature", 0) == 0


@pytest.mark.parametrize("firmware", list(Dialect))
def test_the_parts_stand_around_the_image(firmware: Dialect) -> None:
    head, tail = dialects.parts(RECORD, firmware)
    assert head.endswith(b'"rgb_image":"')
    assert dialects.body(RECORD, firmware).startswith(head)
    assert dialects.body(RECORD, firmware).endswith(tail)


def test_the_same_event_has_the_same_key_each_time_it_is_written() -> None:
    for firmware in Dialect:
        keys = set()
        for _ in range(2):
            event = decode(dialects.body(RECORD, firmware)).event
            assert isinstance(event, Record)
            keys.add(key(event))
        assert len(keys) == 1


def test_an_alarm_may_carry_the_comma_of_the_published_example() -> None:
    body = b"".join(dialects.parts(ALARM, Dialect.V1_3_0, trailing_comma=True))
    assert body.endswith(b",}}")
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)
    assert decode(body).event == ALARM


@pytest.mark.parametrize("firmware", list(Dialect))
def test_what_an_outbox_holds_can_be_translated_later(firmware: Dialect) -> None:
    head, tail = encode_parts(RECORD)
    assert dialects.translate(head, tail, firmware, image=True) == dialects.parts(RECORD, firmware)


def test_firmware_before_1_3_0_cannot_write_an_alarm() -> None:
    with pytest.raises(ValueError, match="no alarms"):
        dialects.body(ALARM, Dialect.V1_2_1)


def test_headers_come_from_1_2_1_on() -> None:
    at = datetime(2026, 1, 5, tzinfo=UTC)
    sent = {
        firmware: dialects.headers(firmware, serial="SIM1", model="SensePass", at=at) for firmware in Dialect
    }
    assert {firmware for firmware, headers in sent.items() if headers} == {Dialect.V1_2_1, Dialect.V1_3_0}
    assert sent[Dialect.V1_3_0] == {
        "sn": "SIM1",
        "model": "SensePass",
        "timestamp": str(int(at.timestamp() * 1000)),
        "account": "admin",
    }
