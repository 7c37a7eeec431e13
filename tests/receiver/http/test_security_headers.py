from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import Running, receiving, record

from gatepost.receiver.http.security_headers import POLICY, over_tls, public_origin, security_headers
from gatepost.receiver.terminals.networks import Networks

PROXIES = Networks(("10.0.0.0/8",), setting="trusted_proxies")


def scope(client: str, scheme: str = "http", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"client": (client, 1), "scheme": scheme, "headers": pairs}


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert "http" not in POLICY
    assert POLICY.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in POLICY


def test_only_over_tls_a_browser_is_told_to_come_back_over_tls() -> None:
    assert b"strict-transport-security" in security_headers(tls=True)
    assert b"strict-transport-security" not in security_headers(tls=False)


def test_a_trusted_proxy_is_believed_about_tls_and_nobody_else() -> None:
    assert over_tls(scope("10.0.0.1", x_forwarded_proto="https"), PROXIES)
    assert not over_tls(scope("192.0.2.1", x_forwarded_proto="https"), PROXIES)
    assert not over_tls(scope("10.0.0.1", scheme="https", x_forwarded_proto="http"), PROXIES)
    assert over_tls(scope("192.0.2.1", scheme="https"), PROXIES)


@pytest.mark.parametrize(
    ("forwarded", "tls"),
    [("https, http", True), ("HTTPS,http", True), ("http, https", False), (" https ", True), ("", False)],
)
def test_of_a_list_of_schemes_the_first_counts(forwarded: str, tls: bool) -> None:
    assert over_tls(scope("10.0.0.1", x_forwarded_proto=forwarded), PROXIES) is tls


@pytest.mark.parametrize(
    ("client", "headers", "origin"),
    [
        ("192.0.2.1", {"host": "door.example:18480"}, "http://door.example:18480"),
        ("192.0.2.1", {"host": "door.example"}, "http://door.example"),
        ("192.0.2.1", {"host": "[2001:DB8::7]:81"}, "http://[2001:db8::7]:81"),
        ("192.0.2.1", {"host": "door.example:80"}, "http://door.example"),
        ("192.0.2.1", {"host": "door.example:x"}, "http://10.9.0.1:8080"),
        # A proxy that drops the port: what the browser or the proxy says of it.
        (
            "10.0.0.1",
            {"host": "door.example", "referer": "http://door.example:18480/terminals"},
            "http://door.example:18480",
        ),
        (
            "192.0.2.1",
            {"host": "door.example", "origin": "http://door.example:18480", "x_forwarded_for": "192.0.2.7"},
            "http://door.example:18480",
        ),
        ("10.0.0.1", {"host": "door.example", "x_forwarded_port": "18480"}, "http://door.example:18480"),
        ("10.0.0.1", {"host": "[::1]", "x_forwarded_port": "18480, 80"}, "http://[::1]:18480"),
        (
            "10.0.0.1",
            {"host": "door.example", "x_forwarded_host": "door.example:81"},
            "http://door.example:81",
        ),
        (
            "10.0.0.1",
            {"host": "door.example", "x_forwarded_proto": "https", "x_forwarded_port": "443"},
            "https://door.example",
        ),
        (
            "10.0.0.1",
            {"host": "door.example:8443", "x_forwarded_proto": "https,http"},
            "https://door.example:8443",
        ),
        # What is no word of a trusted proxy, or of a page of ours.
        ("192.0.2.1", {"host": "door.example", "x_forwarded_proto": "https"}, "http://door.example"),
        (
            "192.0.2.1",
            {"host": "door.example", "x_forwarded_for": "192.0.2.7", "x_forwarded_port": "18480"},
            "http://door.example",
        ),
        ("10.0.0.1", {"host": "door.example", "x_forwarded_host": "evil.example:81"}, "http://door.example"),
        ("10.0.0.1", {"host": "door.example", "origin": "http://evil.example:81"}, "http://door.example"),
        (
            "10.0.0.1",
            {"host": "door.example", "referer": "http://door.example:3000/", "sec_fetch_site": "same-site"},
            "http://door.example",
        ),
        (
            "192.0.2.1",
            {"host": "door.example", "referer": "http://door.example:3000/"},
            "http://door.example",
        ),
        ("10.0.0.1", {"host": "door.example", "x_forwarded_port": "99999"}, "http://door.example"),
    ],
)
def test_the_address_is_told_as_it_was_reached(client: str, headers: dict[str, str], origin: str) -> None:
    asked = scope(client, **headers) | {"server": ("10.9.0.1", 8080)}
    assert public_origin(asked, PROXIES) == origin


@pytest.mark.parametrize(
    "path", ["/api/v1/records", "/healthz", "/api/openapi.json", "/nowhere", "/api/v1/records/9"]
)
async def test_every_answer_but_a_terminals_has_the_headers(receiver: Running, path: str) -> None:
    answer = await receiver.get(path)
    for name, value in security_headers(tls=False).items():
        assert answer.headers[name.decode()] == value.decode()


async def test_a_terminal_gets_no_header_that_it_has_no_use_for(receiver: Running) -> None:
    answer = await receiver.push(record())
    assert answer.status == 200
    assert not set(answer.headers) & {name.decode() for name in security_headers(tls=True)}


async def test_what_a_route_says_itself_wins(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", trusted_proxies=("127.0.0.1",)) as receiver:
        answer = await receiver.push(record(rgb_image="/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="))
        assert answer.status == 200
        path = f"/api/v1/records/{receiver.records()[0].id}/image"
        image = await receiver.request("GET", path, headers={"X-Forwarded-Proto": "https"})
    assert image.status == 200
    assert "no-store" not in image.headers["cache-control"]
