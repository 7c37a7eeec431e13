import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.errors import DecodeError
from gatepost.wire import (
    Subscription,
    decode_subscription,
    encode_envelope,
    receiver_of,
    without_credentials,
)

DEST = "http://192.0.2.7:8080/Record"


def test_the_subscription_of_the_page_decodes() -> None:
    body = json.dumps({"event_dest": DEST, "enabled": True, "later": 1}).encode()
    assert decode_subscription(body) == Subscription(DEST, True)


@pytest.mark.parametrize(
    "dest",
    ["https://[2001:db8::1]:443/Record", "HTTP://receiver/Record?token=1", "http://a/" + "x" * 1015],
)
def test_an_address_that_can_be_pushed_to_is_taken(dest: str) -> None:
    assert decode_subscription(json.dumps({"event_dest": dest, "enabled": False}).encode()).event_dest == dest


@pytest.mark.parametrize("dest", ["", " ", "\ufeff"])
def test_a_disabled_subscription_may_have_no_address(dest: str) -> None:
    body = json.dumps({"event_dest": dest, "enabled": False}).encode()
    assert decode_subscription(body) == Subscription("", False)


def test_a_byte_order_mark_before_the_json_or_the_address_is_no_part_of_either() -> None:
    body = json.dumps({"event_dest": "\ufeff" + DEST, "enabled": True}, ensure_ascii=False).encode()
    assert decode_subscription(b"\xef\xbb\xbf" + body) == Subscription(DEST, True)


@pytest.mark.parametrize(
    "other",
    [
        "HTTP://A.example:80/Record",
        "http://a.example./Record",
        "https://a.example:80/Record",
        "http://u:p@a.example/Record",
    ],
)
def test_spellings_of_one_address_are_one_receiver(other: str) -> None:
    assert receiver_of("http://a.example/Record") == receiver_of(other)


@pytest.mark.parametrize(
    "other",
    [
        "http://b.example/Record",
        "http://a.example:8080/Record",
        "https://a.example/Record",
        "http://a.example/record",
        "http://a.example/Record/token",
        "http://a.example/Record?token=1",
        "http://a.example",
    ],
)
def test_another_host_port_or_path_is_another_receiver(other: str) -> None:
    assert receiver_of("http://a.example/Record") != receiver_of(other)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        ({"enabled": True}, "event_dest"),
        ({"event_dest": DEST}, "enabled"),
        ({"event_dest": 5, "enabled": True}, "event_dest"),
        ({"event_dest": DEST, "enabled": "true"}, "enabled"),
        ({"event_dest": DEST, "enabled": 1}, "enabled"),
        ({"event_dest": "http://a/" + "x" * 1016, "enabled": True}, "event_dest"),
        ({"event_dest": "", "enabled": True}, "event_dest"),
        ({"event_dest": "\ufeff", "enabled": True}, "event_dest"),
        ({"event_dest": None, "enabled": False}, "event_dest"),
        ({"event_dest": "a/Record", "enabled": False}, "event_dest"),
        ({"event_dest": "http:///Record", "enabled": True}, "event_dest"),
        ({"event_dest": "http://:80/Record", "enabled": True}, "event_dest"),
        ({"event_dest": "ftp://a/Record", "enabled": True}, "event_dest"),
        ({"event_dest": "a/Record", "enabled": True}, "event_dest"),
        ({"event_dest": "http://a:99999/", "enabled": True}, "event_dest"),
        ({"event_dest": "http://a:0/", "enabled": True}, "event_dest"),
        ({"event_dest": "http://[::1/", "enabled": True}, "event_dest"),
        ({"event_dest": "http://a/\r\nX: 1", "enabled": True}, "event_dest"),
    ],
)
def test_what_is_no_subscription_is_refused_and_the_field_named(value: object, where: str) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(DecodeError) as raised:
        decode_subscription(body)
    assert raised.value.where == where


@given(st.binary(max_size=100))
def test_any_bytes_decode_or_raise_the_one_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_subscription(body)


def test_the_envelope_says_msg_where_a_reply_says_message() -> None:
    assert json.loads(encode_envelope(200, "OK")) == {"code": 200, "msg": "OK", "data": None}
    body = encode_envelope(200, "OK", Subscription(DEST, True))
    assert json.loads(body)["data"] == {"event_dest": DEST, "enabled": True}


@pytest.mark.parametrize(
    ("event_dest", "shown"),
    [
        ("http://a.example", "http://a.example"),
        ("http://a.example/Record", "http://a.example/Record"),
        ("http://a.example:8080/Record/", "http://a.example:8080/Record/"),
        ("http://a.example/Record/SeCrEt", "http://a.example/Record/***"),
        ("http://a.example/gate/Record/SeCrEt", "http://a.example/gate/***"),
        ("http://anna:SeCrEt@[::1]:8/Record", "http://***@[::1]:8/Record"),
        ("http://a.example/Record?key=SeCrEt&b=&SeCrEt", "http://a.example/Record?key=***&b=***&***"),
        ("http://a.example?key=SeCrEt/SeCrEt", "http://a.example?key=***"),
        ("http://a.example/Record?", "http://a.example/Record?"),
        ("http://a.example/Record#SeCrEt", "http://a.example/Record#***"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(event_dest: str, shown: str) -> None:
    assert without_credentials(event_dest) == shown == without_credentials(shown)
