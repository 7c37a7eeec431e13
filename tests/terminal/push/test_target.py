"""Addresses, and what a request begins with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.errors import SettingsError
from gatepost.terminal.push.target import (
    bypassed,
    connect_head,
    header_lines,
    proxy_target,
    request_head,
    take_apart,
)


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "path"),
    [
        ("http://10.0.0.7:8080/Record", "10.0.0.7", 8080, "10.0.0.7:8080", "/Record"),
        ("https://Receiver.example/Record/t0k", "receiver.example", 443, "receiver.example", "/Record/t0k"),
        ("http://host:80", "host", 80, "host", "/"),
        ("http://[::1]:8080/a?b=c#d", "::1", 8080, "[::1]:8080", "/a?b=c"),
        ("http://host/门?x=王", "host", 80, "host", "/%E9%97%A8?x=%E7%8E%8B"),
        ("http://host/a%20b", "host", 80, "host", "/a%20b"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"),
    ],
)
def test_an_address_is_taken_apart(url, host, port, authority, path):
    target = take_apart(url)
    assert (target.host, target.port, target.authority, target.path) == (host, port, authority, path)


@pytest.mark.parametrize(
    "url", ["ftp://host/", "http:///x", "host:80", "http://h:99999/", "http://" + "ü" * 80 + "/"]
)
def test_what_is_no_address_is_a_value_error(url):
    with pytest.raises(ValueError):  # noqa: PT011 - urllib's own message
        take_apart(url)


@given(st.text(max_size=60))
def test_no_address_adds_a_line_to_a_request(text):
    try:
        target = take_apart("http://host/" + text)
    except ValueError:
        return
    head = request_head(target, None, b"", 5)
    assert head.count(b"\r\n") == 7
    assert head.startswith(b"POST /")
    assert head.split(b"\r\n")[0].count(b" ") == 2


def test_a_request_says_where_it_goes_and_how_long_it_is():
    head = request_head(take_apart("http://h:81/Record"), None, header_lines({"sn": "T1"}), 12)
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /Record HTTP/1.1"
    assert {"host: h:81", "content-type: application/json", "accept-encoding: identity", "sn: T1"} <= set(
        lines
    )
    assert lines[-3:] == ["content-length: 12", "", ""]


def test_a_name_and_password_in_the_address_become_basic_authentication():
    assert b"authorization: Basic dTpwOnc=\r\n" in request_head(take_apart("http://u:p%3Aw@h/"), None, b"", 0)


def test_a_proxy_gets_the_whole_address_and_its_own_credentials_for_http():
    head = request_head(take_apart("http://h:81/Record"), proxy_target("http://a:b@proxy:3128"), b"", 0)
    assert head.startswith(b"POST http://h:81/Record HTTP/1.1\r\nhost: h:81\r\n")
    assert b"proxy-authorization: Basic YTpi\r\n" in head


def test_a_tunnel_is_asked_for_with_the_port_and_the_proxy_credentials_stay_outside_it():
    proxy = proxy_target("a:b@proxy:3128")
    assert connect_head(take_apart("https://[::1]/Record"), proxy) == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nhost: [::1]:443\r\nproxy-authorization: Basic YTpi\r\n\r\n"
    )
    assert b"proxy" not in request_head(take_apart("https://h/"), proxy, b"", 0)


@pytest.mark.parametrize("url", ["https://proxy:3128", "socks5://proxy:1080", ""])
def test_a_proxy_that_is_no_http_proxy_is_refused(url):
    with pytest.raises(SettingsError, match="proxy"):
        proxy_target(url)


@pytest.mark.parametrize(
    ("no_proxy", "expected"),
    [
        ("", False),
        ("*", True),
        ("receiver.example", True),
        (".example", True),
        ("*.example", True),
        ("other, EXAMPLE", True),
        ("ample", False),
        ("receiver.example:8080", True),
        ("receiver.example:81", False),
        ("localhost,127.0.0.1,[::1]:8080,::1", False),
    ],
)
def test_no_proxy_names_hosts_and_domains(no_proxy, expected):
    assert bypassed(take_apart("http://receiver.example:8080/"), no_proxy) is expected


def test_no_proxy_names_an_ipv6_host():
    assert bypassed(take_apart("http://[::1]:8080/"), "[::1]:8080")
    assert bypassed(take_apart("http://[::1]:8080/"), "::1")


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\0", "\x7f"])
def test_a_header_value_that_is_no_line_names_the_setting(value):
    with pytest.raises(SettingsError, match="account"):
        header_lines({"sn": "T1", "account": value})


def test_a_header_value_in_chinese_goes_out_as_utf_8():
    assert header_lines({"account": "张伟"}) == "account: 张伟\r\n".encode()
