"""No request goes where the rules forbid it, in whatever form its address is written."""

from __future__ import annotations

import socket

import pytest
from aiohttp import web
from tests.forward.kit import hooked

from gatepost.egress import PRIVATE, Egress, Forbidden
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.sinks import Outgoing, Result
from gatepost.forward.sinks.webhook import Webhook
from gatepost.wire import Delivered, Refused, Unreachable

USUAL = Egress(PRIVATE)
EVERYTHING = Egress(["0.0.0.0/0", "::/0"])

LOOPBACK = [
    "127.0.0.1",
    "127.1.2.3",
    "::1",
    "::ffff:127.0.0.1",  # mapped
    "::127.0.0.1",  # compatible
    "::ffff:0:127.0.0.1",  # translated
    "64:ff9b::127.0.0.1",  # NAT64
    "64:ff9b:1::127.0.0.1",  # NAT64 of one network
    "2002:7f00:1::",  # 6to4
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo
]

FOR_THE_C_LIBRARY = ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1"]
"""Loopback in forms that only the C library takes for an address."""

NEVER = [
    "0.0.0.0",
    "::",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "2002:a9fe:a9fe::",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "ff02::1",
]

NOT_PUBLIC = ["100.64.0.1", "198.18.0.1", "192.0.2.1", "2001:db8::1", "fec0::1", "4000::1", "nonsense", ""]


@pytest.mark.parametrize("address", [*LOOPBACK, *NEVER, *NOT_PUBLIC])
def test_what_is_not_allowed_by_default(address: str) -> None:
    assert not USUAL.allows(address)


@pytest.mark.parametrize("address", NEVER)
def test_what_is_never_allowed(address: str) -> None:
    assert not EVERYTHING.allows(address)
    with pytest.raises(Forbidden):
        EVERYTHING.check_literal(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::93.184.216.34", "10.1.2.3", "fc00::1"]
)
def test_what_is_allowed_by_default(address: str) -> None:
    assert USUAL.allows(address)
    USUAL.check_literal(address)


def test_loopback_is_allowed_where_it_is_named() -> None:
    egress = Egress(["127.0.0.0/8", "::1/128"])
    assert all(egress.allows(address) for address in ("127.0.0.1", "::ffff:127.0.0.1", "::1"))
    assert not egress.allows("10.0.0.1")


def test_what_is_no_network_names_the_setting() -> None:
    with pytest.raises(SettingsError, match="forward_networks"):
        Egress(["10.0.0.0/33"])


@pytest.mark.parametrize("host", [*LOOPBACK, *FOR_THE_C_LIBRARY])
def test_a_literal_is_looked_at_before_anything_is_sent(host: str) -> None:
    with pytest.raises(Forbidden, match="forward_networks"):
        USUAL.check_literal(host)


@pytest.mark.parametrize("host", ["１２７.0.0.1", "１６９．２５４。１６９｡２５４", "①27.0.0.1"])
def test_full_width_digits_and_dots_are_looked_at_as_what_they_are_resolved_as(host: str) -> None:
    with pytest.raises(Forbidden, match="forward_networks"):
        USUAL.check_literal(host)


@pytest.mark.parametrize("host", ["example.com", "localhost", "1e100.net"])
def test_a_name_is_looked_at_when_it_is_resolved(host: str) -> None:
    USUAL.check_literal(host)


async def test_a_name_that_resolves_to_loopback_is_forbidden() -> None:
    with pytest.raises(Forbidden, match="localhost"):
        await USUAL.check("localhost", 80)


async def test_only_the_addresses_that_are_allowed_are_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ["127.0.0.1", "10.0.0.1", "169.254.169.254"])
    assert [each["host"] for each in await USUAL.resolve("mixed.example", 80)] == ["10.0.0.1"]


async def test_a_library_that_resolves_by_itself_is_allowed_every_address_or_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, ["10.0.0.1", "127.0.0.1"])
    with pytest.raises(Forbidden, match=r"mixed\.example, which is 127\.0\.0\.1; name"):
        await USUAL.check("mixed.example", 1883)
    answers(monkeypatch, ["10.0.0.1", "10.0.0.2"])
    await USUAL.check("good.example", 1883)


def test_no_socket_is_made_for_another_address() -> None:
    for address in ("127.0.0.1", "2130706433", "localhost"):
        with pytest.raises(Forbidden):
            USUAL.make_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)))
    USUAL.make_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80))).close()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::ffff:127.0.0.1]", *FOR_THE_C_LIBRARY, "127。0。0。1", "１２７.０.０.１", "localhost"],
)
async def test_a_webhook_on_loopback_is_not_called(host: str) -> None:
    async with hooked() as hook:
        result = await sent(hook.url.replace("127.0.0.1", host), USUAL)
        assert isinstance(result.outcome, Unreachable)
        assert "forward_networks" in result.outcome.reason
    assert hook.requests == []


async def test_a_name_that_resolves_to_another_address_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was allowed a moment ago says nothing about the next connection."""
    async with hooked() as hook:
        url = hook.url.replace("127.0.0.1", "rebinding.example")
        egress = Egress(["127.0.0.2/32"])
        answers(monkeypatch, ["127.0.0.2"])
        await egress.check("rebinding.example", 80)
        answers(monkeypatch, ["127.0.0.1"])
        result = await sent(url, egress)
        assert isinstance(result.outcome, Unreachable)
        assert "127.0.0.1" in result.outcome.reason
    assert hook.requests == []


async def test_a_redirect_is_not_followed() -> None:
    async with hooked() as inner, hooked() as hook:
        hook.reply = lambda _: web.Response(status=307, headers={"Location": inner.url})
        result = await sent(hook.url, Egress(["127.0.0.0/8"]))
    assert isinstance(result.outcome, Refused)
    assert "redirect" in result.outcome.reason
    assert inner.requests == []


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hooked() as proxy, hooked() as hook:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        result = await sent(hook.url, Egress(["127.0.0.0/8"]))
    assert isinstance(result.outcome, Delivered)
    assert (len(hook.requests), proxy.requests) == (1, [])


async def sent(url: str, egress: Egress) -> Result:
    """Send an event to an address; return what came of it."""
    sink = Webhook(decode({"kind": "webhook", "url": url, "timeout_s": 5}), decode_secrets(b"{}"), egress)
    try:
        return (await sink.send([event()]))[0]
    finally:
        await sink.close()


def event() -> Outgoing:
    return Outgoing(
        id="record-1",
        event_id=1,
        kind="record",
        body=b"{}",
        content_type="application/json",
        row=None,  # type: ignore[arg-type]  # a webhook does not look at it
        image=None,
        is_replay=False,
    )


def answers(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    """Let every name have these addresses."""

    def resolved(host: str, port: int, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
