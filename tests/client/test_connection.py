"""HTTP to a receiver: whose fault a failure is, and that no answer is taken for whole that is not."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gatepost.client.connection import Connection
from gatepost.errors import ReceiverAway, RequestRefused, SettingsError


@contextmanager
def answering(*answers: bytes, context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a head a connection, writes an answer, and closes; yields its address and the heads."""
    heads: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(20)

    def serve() -> None:
        for answer in answers:
            try:
                connection, _ = server.accept()
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
            except OSError:
                return
            with connection:
                connection.settimeout(20)
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    head += piece
                heads.append(head)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}", heads
    finally:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # ends a wait for a connection, which closing does not
        server.close()
        thread.join(20)


def said(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_the_token_and_the_parameters_are_sent_as_they_are_meant() -> None:
    with (
        answering(said("200 OK", b'{"a": 1}')) as (where, heads),
        Connection(f"http://{where}/behind/a/proxy/", " secret\n") as connection,
    ):
        given = {"q": "王 五&=", "passed": False, "limit": 7, "none": None}
        assert connection.get("records", dict[str, int], given) == {"a": 1}
    line, *headers = heads[0].decode().split("\r\n")
    assert line == (
        "GET /behind/a/proxy/api/v1/records?q=%E7%8E%8B%20%E4%BA%94%26%3D&passed=false&limit=7 HTTP/1.1"
    )
    assert "Authorization: Bearer secret" in headers


@pytest.mark.parametrize(
    "url", ["", "ftp://host", "http://", "http://host:port", "http://user:word@host", "http://host/?token=x"]
)
def test_what_is_no_address_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Connection(url, "secret")
    assert refused.value.setting == "url"


@pytest.mark.parametrize("token", ["", "  ", "two words", "geheim\u0301", "a\r\nX: y"])
def test_what_is_no_token_is_refused_before_anything_is_sent(token: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Connection("http://host", token)
    assert refused.value.setting == "token"


def test_a_problem_of_the_receiver_is_refused_in_its_words() -> None:
    problem = (
        b'{"detail": "limit: too many", "errors": [{"where": "limit", "why": "too many"}], "status": 400}'
    )
    with (
        answering(said("400 Bad Request", problem)) as (where, _),
        Connection(where, "t") as connection,
        pytest.raises(RequestRefused) as refused,
    ):
        connection.get("records", dict)
    assert (refused.value.status, refused.value.detail) == (400, "limit: too many")
    assert refused.value.fields == {"limit": "too many"}


@pytest.mark.parametrize(
    "status", ["429 Too Many", "502 Bad Gateway", "503 Service Unavailable", "504 Timeout"]
)
def test_not_now_is_something_else_than_no(status: str) -> None:
    with (
        answering(said(status, b'{"detail": "wait"}', "Retry-After: 7")) as (where, _),
        Connection(where, "t") as connection,
        pytest.raises(ReceiverAway, match="wait") as away,
    ):
        connection.get("records", dict)
    assert away.value.retry_after_s == 7.0


def test_a_redirection_is_not_followed_with_the_token() -> None:
    with (
        answering(said("301 Moved", b"", "Location: https://elsewhere/")) as (where, heads),
        Connection(where, "t") as connection,
        pytest.raises(RequestRefused, match="https://elsewhere/"),
    ):
        connection.get("records", dict)
    assert len(heads) == 1


def test_what_is_no_receiver_is_said_to_be_none() -> None:
    with (
        answering(said("404 Not Found", b"<html>"), said("200 OK", b"<html>")) as (where, _),
        Connection(where, "t") as connection,
    ):
        with pytest.raises(RequestRefused, match="no gatepost receiver"):
            connection.get("records", dict)
        connection.close()
        with pytest.raises(ReceiverAway, match="does not understand"):
            connection.get("records", dict)


def test_nobody_there_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
    with Connection(where, "t") as connection, pytest.raises(ReceiverAway, match="cannot be reached"):
        connection.get("records", dict)


def test_silence_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            Connection(where, "t", timeout_s=0.05) as connection,
            pytest.raises(ReceiverAway, match="nothing for"),
        ):
            connection.get("records", dict)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        CHUNKED + b"5\r\nwhole\r\n",
        CHUNKED + b"9\r\nshort",
        CHUNKED,
    ],
)
def test_an_answer_that_breaks_off_is_no_answer(answer: bytes) -> None:
    ways: list[Callable[[Connection], Any]] = [
        lambda connection: connection.body("GET", "x"),
        lambda connection: list(connection.pieces("x", {})),
    ]
    for way in ways:
        with (
            answering(answer) as (where, _),
            Connection(where, "t") as connection,
            pytest.raises(ReceiverAway, match="broke off"),
        ):
            way(connection)


def test_a_whole_answer_comes_in_pieces_and_in_lines() -> None:
    whole = CHUNKED + b"4\r\na\nb\r\r\n3\r\n\nc\n\r\n0\r\n\r\n"
    with answering(whole, whole) as (where, _), Connection(where, "t") as connection:
        assert b"".join(connection.pieces("x", {})) == b"a\nb\r\nc\n"
        assert list(connection.lines("x", {}, {})) == [b"a", b"b", b"c"]


def test_a_change_is_not_sent_twice() -> None:
    with (
        answering(b"", said("200 OK", b"{}")) as (where, heads),
        Connection(where, "t") as connection,
        pytest.raises(ReceiverAway),
    ):
        connection.send("POST", "x", dict, {})
    assert len(heads) <= 1


def test_a_certificate_of_nobody_known_is_not_trusted_and_of_a_known_one_is(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with (
        answering(said("200 OK", b"{}"), context=context) as (where, heads),
        Connection(f"https://{where}", "t") as connection,
        pytest.raises(ReceiverAway, match="ca_file"),
    ):
        connection.get("x", dict)
    assert heads == []
    with (
        answering(said("200 OK", b"{}"), context=context) as (where, _),
        Connection(f"https://{where}", "t", ca_file=tmp_path / "ca.pem") as connection,
    ):
        assert connection.get("x", dict) == {}
    with pytest.raises(SettingsError, match="ca_file"):
        Connection("https://host", "t", ca_file=tmp_path / "none.pem")
