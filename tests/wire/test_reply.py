import json
from email.utils import formatdate

import pytest

from gatepost.wire import SUCCESS, Delivered, Refused, Reply, Unreachable, classify, encode_reply


def test_the_reply_is_the_one_that_the_page_shows() -> None:
    assert SUCCESS == b'{"code":200,"message":"success","data":{}}'
    assert json.loads(encode_reply(400, "why", {"field": "x"})) == {
        "code": 400,
        "message": "why",
        "data": {"field": "x"},
    }
    assert Reply(200, "success").data == {}


@pytest.mark.parametrize("body", [SUCCESS, b'{"code":200}', b' {"data":null,"code":200,"message":""}\n'])
def test_delivered_is_http_200_with_the_integer_code_200(body: bytes) -> None:
    assert classify(200, body) == Delivered()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, None),
        (200, b"<html>OK</html>"),
        (200, b'{"code":"200"}'),
        (200, b'{"code":200.0}'),
        (200, b'{"code":true}'),
        (200, b"[200]"),
        (200, b'{"code":200'),
        (200, b'{"code":200}{}'),
        (200, b"\xff"),
        (200, b"[" * 10_000),
        (201, SUCCESS),
        (204, b""),
        (301, SUCCESS),
        (302, b""),
        (408, b""),
        (429, b'{"code":429,"message":"slow down","data":{}}'),
        (500, SUCCESS),
        (503, b'{"code":503,"message":"full","data":{}}'),
    ],
)
def test_what_says_nothing_about_the_event_is_unreachable(status: int, body: bytes | None) -> None:
    assert isinstance(classify(status, body), Unreachable)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"code":500,"message":"bad","data":{}}'),
        (200, b'{"code":0,"message":"","data":{}}'),
        (400, b'{"code":400,"message":"bad","data":{}}'),
        (404, b"<html>"),
        (413, b""),
        (404, SUCCESS),
    ],
)
def test_what_the_receiver_says_of_the_event_is_a_refusal(status: int, body: bytes) -> None:
    assert isinstance(classify(status, body), Refused)


def test_a_refusal_carries_the_receivers_words_cut_short() -> None:
    assert classify(200, b'{"code":7,"message":"no such door"}') == Refused("code 7: no such door")
    refusal = classify(200, json.dumps({"code": 7, "message": "x" * 5000}).encode())
    assert isinstance(refusal, Refused)
    assert len(refusal.reason) < 300


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (formatdate(1_700_000_030, usegmt=True), 30.0),
        (formatdate(1_600_000_000, usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(text: str, seconds: float | None) -> None:
    outcome = classify(503, b"", headers={"retry-after": text}, now=1_700_000_000.0)
    assert outcome == Unreachable("HTTP 503", seconds)
