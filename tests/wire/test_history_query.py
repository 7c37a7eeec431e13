import json

import pytest

from gatepost import wire
from gatepost.errors import DecodeError
from gatepost.wire.history_query import HistoryRequest, decode_history_request, history_item_parts


def decode(**fields: object) -> HistoryRequest:
    return decode_history_request(json.dumps(fields).encode())


def test_every_field_is_read() -> None:
    assert decode(begin_time=1, end_time=2, user_id="5", offset=3, limit=200, sort=1) == HistoryRequest(
        since=1, until=2, user_id="5", offset=3, limit=200, newest_first=True
    )


def test_absent_zero_and_null_leave_an_end_open() -> None:
    assert (
        decode()
        == decode(begin_time=0, end_time=0)
        == decode(begin_time=None, end_time=None)
        == HistoryRequest()
    )


def test_only_the_first_of_user_job_number_and_card_filters() -> None:
    assert decode(ic_number="1", job_number="2", user_id="3") == HistoryRequest(user_id="3")
    assert decode(ic_number="1", job_number="2") == HistoryRequest(job_number="2")
    assert decode(ic_number="1", job_number="", user_id=None) == HistoryRequest(ic_number="1")


def test_an_identifier_may_be_an_integer_as_in_older_firmware() -> None:
    assert decode(user_id=5) == HistoryRequest(user_id="5")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"begin_time": "1"}, "begin_time"),
        ({"begin_time": -1}, "begin_time"),
        ({"begin_time": 5, "end_time": 4}, "end_time"),
        ({"end_time": 10**15}, "end_time"),
        ({"user_id": []}, "user_id"),
        ({"offset": -1}, "offset"),
        ({"limit": 201}, "limit"),
        ({"limit": True}, "limit"),
        ({"sort": 2}, "sort"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], where: str) -> None:
    with pytest.raises(DecodeError) as wrong:
        decode(**fields)
    assert wrong.value.where == where


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"5"])
def test_what_is_no_json_object_is_one_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_history_request(body)


def test_an_item_is_the_record_with_groups_beside_the_user() -> None:
    record = wire.Record(
        uuid='"rgb_image":"', user=wire.User(name="王五", pin="1", groups=(wire.Group(id="3", name="g"),))
    )
    head, tail = history_item_parts(*wire.encode_parts(record))
    item = json.loads(head + b"SU1H" + tail)
    assert item["rgb_image"] == "SU1H"
    assert item["uuid"] == '"rgb_image":"'
    assert item["groups"] == [{"id": "3", "name": "g"}]
    assert item["user"]["name"] == "王五"
    assert not {"groups", "pin"} & item["user"].keys()


def test_a_record_without_a_user_has_no_groups() -> None:
    head, tail = history_item_parts(*wire.encode_parts(wire.Record()))
    assert json.loads(head + tail)["groups"] == []
