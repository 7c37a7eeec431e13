"""The reply parser: what is a reply, what is none, and how much of it is ever held."""

import gzip
import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.terminal.push.http_response import MAX_BODY, MAX_HEAD, BadReply, HttpResponse, ResponseParser

BODY = b'{"code":200,"message":"success","data":{}}'


def fed(*pieces: bytes) -> ResponseParser:
    parser = ResponseParser()
    for piece in pieces:
        parser.feed(piece)
    return parser


def ok(*headers: str, body: bytes = BODY, version: str = "1.1") -> bytes:
    return "\r\n".join([f"HTTP/{version} 200 OK", *headers]).encode() + b"\r\n\r\n" + body


def with_length(body: bytes, *headers: str) -> bytes:
    return ok(f"Content-Length: {len(body)}", *headers, body=body)


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def test_a_reply_with_a_length_is_complete_and_leaves_the_connection_usable():
    parser = fed(with_length(BODY, "Content-Type: application/json"))
    assert parser.reply() == HttpResponse(
        200, {"content-length": "42", "content-type": "application/json"}, BODY
    )
    assert parser.reusable


REPLIES = {
    "length": with_length(BODY),
    "chunks": ok("transfer-encoding: chunked", body=chunked(BODY[:5], BODY[5:])),
    "chunks with extension and trailer": ok(
        "transfer-encoding: chunked", body=b"2a;a=b\r\n" + BODY + b"\r\n0\r\nx: y\r\n\r\n"
    ),
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n"
    + with_length(BODY),
    "bare line feeds": with_length(BODY, "x: y").replace(b"\r\n", b"\n"),
    "bare line feeds in chunks": ok(
        "transfer-encoding: chunked", body=b"2a;a=b\r\n" + BODY + b"\r\n0\r\nx: y\r\n\r\n"
    ).replace(b"\r\n", b"\n"),
    "line ends of both kinds": b"HTTP/1.1 200 OK\nx: y\r\ncontent-length: 42\n\r\n" + BODY,
    "bare line feeds around an interim answer": b"HTTP/1.1 100 Continue\n\n" + with_length(BODY),
    "the length twice": ok("content-length: 42", "Content-Length: 42"),
    "the length twice in a line": ok("content-length: 42, 42"),
    "gzip": with_length(gzip.compress(BODY), "content-encoding: gzip"),
    "deflate": with_length(zlib.compress(BODY), "content-encoding: deflate"),
    "gzip in chunks": ok(
        "transfer-encoding: chunked",
        "content-encoding: gzip",
        body=chunked(*[bytes([b]) for b in gzip.compress(BODY)]),
    ),
}


@pytest.mark.parametrize("name", REPLIES)
@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_a_reply_is_the_same_however_the_network_cuts_it(name, cuts):
    data = REPLIES[name]
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    parser = fed(*(data[a:b] for a, b in itertools.pairwise(edges)))
    assert parser.complete()
    assert parser.reply().status == 200
    assert parser.reply().body == BODY
    assert parser.reusable


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_is_cut_off_anywhere_is_no_reply(name):
    data = REPLIES[name]
    for end in range(len(data)):
        parser = fed(data[:end]) if end else ResponseParser()
        assert not parser.complete()
        with pytest.raises(BadReply):
            parser.end_of_stream()


def test_without_length_the_end_of_the_connection_ends_the_reply():
    parser = fed(ok("content-type: text/plain"))
    assert not parser.complete()
    assert parser.end_of_stream()
    assert parser.reply().body == BODY
    assert not parser.reusable


@pytest.mark.parametrize("header", ["Connection: close", "connection: Keep-Alive, CLOSE"])
def test_a_reply_that_announces_the_close_is_the_last_on_its_connection(header):
    assert not fed(with_length(BODY, header)).reusable


def test_http_1_0_keeps_the_connection_only_when_it_says_so():
    length = f"Content-Length: {len(BODY)}"
    assert not fed(ok(length, version="1.0")).reusable
    assert fed(ok(length, "Connection: keep-alive", version="1.0")).reusable


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body_is_complete_after_its_head(status):
    parser = fed(f"HTTP/1.1 {status} X\r\n\r\n".encode())
    assert parser.reply().body == b""
    assert parser.reusable


def test_bytes_behind_a_reply_make_the_connection_unusable():
    assert not fed(with_length(BODY) + b"HTTP/1.1 200 OK\r\n").reusable
    assert not fed(ok("content-length: 10")).reusable
    assert not fed(with_length(b"") + b"x").reusable
    late = fed(with_length(BODY))
    late.feed(b"more")
    assert not late.reusable


def test_a_length_beside_chunks_is_not_trusted_any_further():
    parser = fed(ok("content-length: 3", "transfer-encoding: chunked", body=chunked(BODY)))
    assert parser.reply().body == BODY
    assert not parser.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.x 200 OK\r\n\r\n",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
        ok("no colon here"),
        ok("folded: a", " b: c"),
        ok("name : value"),
        ok(": value"),
        ok("content-length: -1"),
        ok("content-length: +42"),
        ok("content-length: 4_2"),
        ok("content-length: "),
        ok("content-length: 42", "content-length: 41"),
        ok("content-length: 1" + "0" * 30),
        ok("transfer-encoding: gzip, chunked"),
        ok("transfer-encoding: chunked", body=b"zz\r\n"),
        ok("transfer-encoding: chunked", body=b"\r\n"),
        ok("transfer-encoding: chunked", body=b"-2\r\nab"),
        ok("transfer-encoding: chunked", body=b"0x2\r\nab"),
        ok("transfer-encoding: chunked", body=b"2\r\nabXX"),
        ok("transfer-encoding: chunked", body=b"2\r\nab\r\r\n"),
        ok("content-length: 42", "content-length: 41").replace(b"\r\n", b"\n"),
        b"HTTP/1.1 200 OK\n" + b"x: y\n" * MAX_HEAD,
        ok("transfer-encoding: chunked", body=b"f" * 300),
        ok("transfer-encoding: chunked", body=b"f" * 20 + b"\r\n"),
        ok("transfer-encoding: chunked", body=b"0\r\n" + b"x: y\r\n" * 40_000),
        ok("x: " + "y" * MAX_HEAD),
        b"HTTP/1.1 200 OK\r\n" + b"x" * (MAX_HEAD + 1),
    ],
)
def test_what_is_no_http_is_said_to_be_none(data):
    with pytest.raises(BadReply) as caught:
        fed(data)
    assert caught.value.reason


def test_a_body_of_the_limit_is_read_and_one_byte_more_is_given_up():
    assert fed(with_length(b"x" * MAX_BODY)).reply().body == b"x" * MAX_BODY
    too_long = fed(with_length(b"x" * (MAX_BODY + 1)))
    assert too_long.reply() == HttpResponse(200, {"content-length": str(MAX_BODY + 1)}, None)
    assert not too_long.reusable


def test_a_reply_without_a_length_is_given_up_at_the_limit():
    parser = fed(ok(body=b""))
    pieces = 0
    while not parser.feed(b"x" * 4096):
        pieces += 1
    assert pieces == MAX_BODY // 4096
    assert parser.reply().body is None


def test_chunks_are_given_up_at_the_limit():
    parser = fed(ok("transfer-encoding: chunked", body=b""))
    pieces = 0
    while not parser.feed(b"1000\r\n" + b"x" * 4096 + b"\r\n"):
        pieces += 1
    assert pieces == MAX_BODY // 4096
    assert parser.reply().body is None
    assert fed(ok("transfer-encoding: chunked", body=b"10001\r\n")).reply().body is None


@pytest.mark.parametrize("code", ["gzip", "deflate"])
def test_a_compression_bomb_is_given_up_at_the_limit(code):
    bomb = (gzip if code == "gzip" else zlib).compress(b" " * 20_000_000)
    parser = fed(with_length(bomb, f"content-encoding: {code}"))
    assert parser.reply().body is None
    assert not parser.reusable


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(gzip.compress(BODY)[:-12], id="cut short"),
        pytest.param(b"not compressed at all", id="not compressed"),
        pytest.param(b"\x1f\x8b\x08broken", id="broken"),
    ],
)
def test_a_body_that_cannot_be_decompressed_counts_as_unreadable(body):
    assert fed(with_length(body, "content-encoding: gzip")).reply().body is None


def test_a_coding_that_was_not_asked_for_counts_as_unreadable():
    parser = fed(with_length(BODY, "content-encoding: br"))
    assert parser.reply().body is None
    assert not parser.reusable


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_at_all_are_a_reply_or_a_reason(data, behind_a_head):
    parser = ResponseParser()
    try:
        if not parser.feed(
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" if behind_a_head else b"") + data
        ):
            parser.end_of_stream()
    except BadReply as bad:
        assert bad.reason  # noqa: PT017 - one of two outcomes
    else:
        assert 200 <= parser.reply().status <= 999
