"""Names and networks under which console and API are reached, and TLS with a certificate of its own."""

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import SUCCESS, Process, Sender, body, receiving, record, request

from gatepost.errors import SettingsError
from gatepost.receiver.http.console_access import ConsoleAccess, is_own_address, is_own_machine
from gatepost.receiver.terminals.networks import Networks

NO_PROXIES = Networks((), setting="trusted_proxies")


def scope(host: str | None, client: str = "192.0.2.7", path: str = "/") -> dict[str, Any]:
    headers = [] if host is None else [(b"host", host.encode())]
    return {"headers": headers, "client": (client, 5), "path": path}


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1", True),
        ("192.0.2.7:8080", True),
        ("[2001:db8::7]:8080", True),
        ("localhost:8080", True),
        ("LOCALHOST.", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evil.example/127.0.0.1", False),
        ("", False),
        ("[", False),
    ],
)
def test_an_address_or_localhost_is_no_name_of_a_page_elsewhere(host: str, is_own: bool) -> None:
    assert is_own_address(host) is is_own


def test_a_loopback_address_is_this_machine() -> None:
    assert is_own_machine("127.0.0.9")
    assert is_own_machine("::1")
    assert not is_own_machine("192.0.2.7")
    assert not is_own_machine("receiver.example")


def test_another_name_is_refused_where_names_are_set() -> None:
    access = ConsoleAccess(("gate.example",), (), NO_PROXIES)
    for host in ("gate.example", "GATE.example:8443", "gate.example.", "127.0.0.1:80"):
        assert access.refusal(scope(host)) is None
    for host in ("evil.example", "gate.example.evil.example", "gate.example@evil.example/", None):
        refusal = access.refusal(scope(host))
        assert refusal is not None
        assert (refusal[0], "allowed_hosts" in refusal[1]) == (421, True)
    assert ConsoleAccess((), (), NO_PROXIES).refusal(scope("evil.example")) is None


def test_another_network_is_refused_and_what_a_proxy_says_counts_only_of_a_trusted_one() -> None:
    access = ConsoleAccess((), ("10.0.0.0/8",), Networks(("127.0.0.1/32",), setting="trusted_proxies"))
    assert access.refusal(scope("x", "10.1.2.3")) is None
    assert access.refusal(scope("x", "192.0.2.7", "/metrics")) is None  # metrics_networks decides
    refusal = access.refusal(scope("x", "192.0.2.7"))
    assert refusal is not None
    assert (refusal[0], "console_networks" in refusal[1]) == (403, True)
    forwarded = (b"x-forwarded-for", b"10.1.2.3")
    behind, forged = scope("x", "127.0.0.1"), scope("x", "192.0.2.7")
    for one in (behind, forged):
        one["headers"].append(forwarded)
    assert access.refusal(behind) is None
    assert access.refusal(forged) is not None


@pytest.mark.parametrize("host", ["http://gate.example", "gate.example:80", "gate.example/x", ""])
def test_what_is_no_name_is_told_at_the_start(host: str) -> None:
    with pytest.raises(SettingsError, match="allowed_hosts"):
        ConsoleAccess((host,), (), NO_PROXIES)


async def test_pushes_and_health_checks_are_taken_under_any_name_and_pages_are_not(tmp_path: Path) -> None:
    options: dict[str, Any] = {"allowed_hosts": ("gate.example",), "console_networks": ("10.0.0.0/8",)}
    async with receiving(tmp_path / "data", **options) as receiver:
        there = {"Host": "evil.example"}
        assert (await receiver.push(record(), headers=there)).json == SUCCESS
        assert (await receiver.request("GET", "/healthz", headers=there)).status == 200
        for path in ("/login", "/api/v1/records", "/api/openapi.json", "/static/x", "/metrics"):
            assert (await receiver.request("GET", path, headers=there)).status == 421
        here = {"Host": "gate.example"}
        assert (await receiver.request("GET", "/api/v1/records", headers=here)).status == 403
        assert (await receiver.request("GET", "/metrics")).status == 200


async def test_metrics_are_read_without_a_token_only_under_an_address(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data") as receiver:
        assert (await receiver.request("GET", "/metrics", headers={"Host": "localhost:8080"})).status == 200
        evil = {"Host": "evil.example"}  # a page there, whose name was made to be this machine's
        assert (await receiver.request("GET", "/metrics", headers=evil)).status == 401
        token = {**evil, "Authorization": f"Bearer {receiver.token}"}
        assert (await receiver.request("GET", "/metrics", headers=token)).status == 200


async def test_it_makes_a_certificate_for_the_console_and_pushes_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_TLS", "self")
    monkeypatch.setenv("GATEPOST_INGEST_LISTEN", "127.0.0.1:0")
    process = await Process.start(tmp_path / "data")
    assert process.process.stdout is not None
    said = (await process.process.stdout.readline()).decode()
    pinned = said.partition("certificate-sha256=")[2][:64]
    context = ssl.create_default_context(cafile=str(tmp_path / "data" / "certificate.pem"))
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port, ssl=context)
    peer = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert hashlib.sha256(peer).hexdigest() == pinned
    writer.write(request("GET", "/login"))
    assert b" 200 " in await reader.readline()
    writer.close()
    key = tmp_path / "data" / "certificate-key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    pushes = int(process.announced.rpartition("push to http://127.0.0.1:")[2].partition("/")[0])
    sender = await Sender.connect(pushes)
    assert (await sender.request("POST", "/Record", body(record()))).json == SUCCESS
    await sender.close()
    assert await process.stop() == 0
    again = await Process.start(tmp_path / "data")
    assert again.process.stdout is not None
    assert pinned in (await again.process.stdout.readline()).decode()
    assert await again.stop() == 0


async def test_plain_http_beyond_loopback_is_said_at_each_start_and_on_loopback_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await Process.start(tmp_path / "data")
    assert await process.stop() == 0
    assert "plain HTTP" not in process.errors.read_text()
    monkeypatch.setenv("GATEPOST_INGEST_LISTEN", "0.0.0.0:0")
    for times in (1, 2):
        process = await Process.start(tmp_path / "data")
        assert await process.stop() == 0
        assert process.errors.read_text().count("is plain HTTP") == times


async def test_a_certificate_of_its_own_and_one_that_was_given_are_not_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_TLS", "self")
    monkeypatch.setenv("GATEPOST_CERTIFICATE_FILE", "c.pem")
    with pytest.raises(AssertionError, match="take one of them out"):
        await Process.start(tmp_path / "data")
