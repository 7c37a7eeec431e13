from typing import Any

import pytest
from tests.receiver.kit import Running, record

from gatepost.receiver.headers import POLICY, over_tls, security_headers
from gatepost.receiver.identify import Networks

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


async def test_what_a_route_says_itself_wins(receiver: Running) -> None:
    answer = await receiver.push(record(rgb_image="/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="))
    assert answer.status == 200
    image = await receiver.get(f"/api/v1/records/{receiver.records()[0].id}/image")
    assert image.status == 200
    assert "no-store" not in image.headers["cache-control"]
