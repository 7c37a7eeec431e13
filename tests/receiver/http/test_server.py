import asyncio
import os
import signal
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from tests.receiver.kit import Process, Sender, body, receiving, record, until
from tests.receiver.tls import connect, trusting, write

from gatepost.errors import SettingsError
from gatepost.process_tree import gone, members
from gatepost.receiver.http.server import Certificate, address, listen


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def serial_of(sender: Sender) -> str:
    return str(sender.writer.get_extra_info("peercert")["serialNumber"])


@pytest.mark.parametrize(
    "address", ["8080", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ":8080", "nowhere.invalid:1"]
)
def test_what_is_no_address_is_refused_and_the_setting_named(address: str) -> None:
    with pytest.raises(SettingsError, match="ingest_listen"):
        listen(address, setting="ingest_listen")


def test_an_address_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError, match="in use"):
        listen(f"127.0.0.1:{taken.getsockname()[1]}")


def test_a_place_tells_how_it_is_reached(authority: trustme.CA, tmp_path: Path) -> None:
    certificate = Certificate(*write(authority, tmp_path))
    for host, shown in (("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]")):
        (bound,) = listen(f"{host}:0")
        with bound:
            port = bound.getsockname()[1]
            assert address([bound], None) == f"http://{shown}:{port}"
            assert address([bound], certificate) == f"https://{shown}:{port}"


def test_files_that_are_no_certificate_with_its_key_are_refused(
    authority: trustme.CA, tmp_path: Path
) -> None:
    certificate, key = write(authority, tmp_path)
    (tmp_path / "other").mkdir()
    _, other_key = write(authority, tmp_path / "other")
    for pair in ((certificate, other_key), (key, certificate), (certificate, tmp_path / "none")):
        with pytest.raises(SettingsError, match="certificate_file"):
            Certificate(*pair)


async def test_over_tls_pushes_and_pages_work_and_a_browser_is_told_to_come_back_so(
    authority: trustme.CA, tmp_path: Path
) -> None:
    certificate = Certificate(*write(authority, tmp_path))
    async with receiving(tmp_path / "data", certificate=certificate) as receiver:
        sender = await connect(receiver.port, trusting(authority))
        assert (await sender.request("POST", "/Record", body(record()))).status == 200
        answer = await sender.request("GET", "/healthz")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        login = await sender.request("POST", "/api/v1/session", body({"name": "x", "password": "y"}))
        assert login.status == 401
        doors = receiver.desk.access.doors
        await asyncio.to_thread(
            lambda: doors.accounts.create("anna", "viewer", doors.hash("correct horse"), now_ms=0)
        )
        login = await sender.request(
            "POST", "/api/v1/session", body({"name": "anna", "password": "correct horse"})
        )
        assert "Secure" in login.headers["set-cookie"]
        await sender.close()


async def test_what_is_older_than_tls_1_2_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    assert Certificate(*write(authority, tmp_path)).context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_plain_text_on_the_tls_port_ends_and_harms_nobody(
    authority: trustme.CA, tmp_path: Path
) -> None:
    certificate = Certificate(*write(authority, tmp_path))
    async with receiving(tmp_path / "data", certificate=certificate) as receiver:
        plain = await Sender.connect(receiver.port)
        await plain.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in await plain.ended()
        await plain.close()
        sender = await connect(receiver.port, trusting(authority))
        assert (await sender.request("GET", "/healthz")).status == 200
        await sender.close()


async def test_a_renewed_certificate_is_served_to_the_next_connection(
    authority: trustme.CA, tmp_path: Path
) -> None:
    certificate = Certificate(*write(authority, tmp_path))
    async with receiving(tmp_path / "data", certificate=certificate) as receiver:
        before = await connect(receiver.port, trusting(authority))
        write(authority, tmp_path)
        certificate.reload()
        after = await connect(receiver.port, trusting(authority))
        assert serial_of(before) != serial_of(after)
        assert (await before.request("GET", "/healthz")).status == 200
        (tmp_path / "key.pem").write_text("half a file")
        with pytest.raises(SettingsError):
            certificate.reload()
        still = await connect(receiver.port, trusting(authority))
        assert serial_of(still) == serial_of(after)
        for sender in (before, after, still):
            await sender.close()


async def test_pushes_can_have_an_address_of_their_own_and_nothing_else_is_there(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", ingest_listen="127.0.0.1:0") as receiver:
        door = await Sender.connect(receiver.push_port)
        assert receiver.push_port != receiver.port
        assert (await door.request("POST", "/Record", body(record()))).status == 200
        assert (await door.request("GET", "/healthz")).status == 200
        assert (await door.request("GET", "/readyz")).status == 200
        token = {"Authorization": f"Bearer {receiver.token}"}
        for path in ("/api/v1/records", "/api/openapi.json", "/metrics", "/", "/login"):
            answer = await door.request("GET", path, headers=token)
            assert (answer.status, answer.json["code"]) == (404, 404)
        for path in ("/api/v1/session", "/api/v1/tokens", "/login"):
            assert (await door.request("POST", path, b"{}", headers=token)).status == 404
        await door.close()
        assert (await receiver.get("/api/v1/records")).status == 200
        assert (await receiver.push(record(uuid="u-2"))).status == 404
        assert len(receiver.records()) == 1


async def push(receiver: Process, port: int) -> int:
    sender = await Sender.connect(port)
    try:
        return (await sender.request("POST", "/Record", body(record()))).status
    finally:
        await sender.close()


async def test_the_program_renews_its_certificate_on_sighup_and_keeps_the_old_one_if_the_new_is_none(
    authority: trustme.CA, tmp_path: Path
) -> None:
    certificate, key = write(authority, tmp_path)
    config = tmp_path / "gatepost.toml"
    config.write_text(
        f'certificate_file = "{certificate}"\nkey_file = "{key}"\n'
        'ingest_listen = "127.0.0.1:0"\ningest_tls = false\npath_prefix = "/gate"\n'
    )
    process = await Process.start(tmp_path / "data", "--config", str(config))
    pages, _, pushes = process.announced.partition("; terminals push to ")
    assert pages.strip().endswith("/gate")
    assert "https://" in pages
    assert pushes.startswith("http://127.0.0.1:")
    assert await push(process, int(pushes.rpartition("/")[0].rpartition(":")[2])) == 200
    context = trusting(authority)
    before = await connect(process.port, context)
    write(authority, tmp_path)
    process.process.send_signal(signal.SIGHUP)
    await until(lambda: "receiver.certificate_renewed" in process.errors.read_text())
    after = await connect(process.port, context)
    assert serial_of(before) != serial_of(after)
    (ingest,) = members(process.process.pid)[2:]
    os.kill(ingest, signal.SIGKILL)  # the one that takes its place has the new certificate, too
    await gone([ingest])
    again = await connect(process.port, context)
    assert serial_of(again) == serial_of(after)
    await after.close()
    after = again
    key.write_text("nothing")
    process.process.send_signal(signal.SIGHUP)
    await until(lambda: "receiver.certificate_kept" in process.errors.read_text())
    assert (await after.request("GET", "/gate/healthz")).status == 200
    for sender in (before, after):
        await sender.close()
    assert await process.stop() == 0


async def test_half_a_pair_of_files_is_said_at_start(tmp_path: Path) -> None:
    config = tmp_path / "gatepost.toml"
    config.write_text('certificate_file = "here.pem"\n')
    with pytest.raises(AssertionError, match="setting 'key_file' is missing"):
        await Process.start(tmp_path / "data", "--config", str(config))


def showing(authority: trustme.CA, clients: trustme.CA) -> ssl.SSLContext:
    """Trust the receiver, and show a certificate that ``clients`` signed."""
    context = trusting(authority)
    clients.issue_cert("terminal-1.example").configure_cert(context)
    return context


async def is_let_in(port: int, context: ssl.SSLContext) -> bool:
    """Tell whether a connection comes about, on which a request is answered."""
    try:
        sender = await connect(port, context)
        await sender.request("GET", "/healthz")
        await sender.close()
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return False
    return True


async def test_a_push_without_a_client_certificate_is_refused_and_the_console_asks_for_none(
    tmp_path: Path,
) -> None:
    authority, clients = trustme.CA(), trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    certificate = Certificate(*write(authority, tmp_path), tmp_path / "clients.pem")
    async with receiving(
        tmp_path / "data", certificate=certificate, client_ca_file=str(tmp_path / "clients.pem")
    ) as receiver:
        without = await connect(receiver.port, trusting(authority))
        # The second is taken apart by the framework's side of the ingest.
        for path in ("/Record", "/Record?x=1"):
            answer = await without.request("POST", path, body(record()))
            assert (answer.status, answer.json["code"]) == (403, 403)
            assert "client_ca_file" in answer.json["message"]
        token = {"Authorization": f"Bearer {receiver.token}"}
        assert (await without.request("GET", "/api/v1/records", headers=token)).status == 200
        shown = await connect(receiver.port, showing(authority, clients))
        for number, path in enumerate(("/Record", "/Record?x=1")):
            pushed = body(record(uuid=f"u-{number}-real", timestamp=1_700_000_000 + number))
            assert (await shown.request("POST", path, pushed)).status == 200
        assert len(receiver.records()) == 2
        await receiver.flush()
        assert receiver.store.stats().refusals == {"client certificate": 2}
        for sender in (without, shown):
            await sender.close()


async def test_a_client_certificate_of_another_authority_connects_nobody(tmp_path: Path) -> None:
    authority, clients = trustme.CA(), trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    certificate = Certificate(*write(authority, tmp_path), tmp_path / "clients.pem")
    async with receiving(
        tmp_path / "data", certificate=certificate, client_ca_file=str(tmp_path / "clients.pem")
    ) as receiver:
        assert not await is_let_in(receiver.port, showing(authority, trustme.CA()))
        assert await is_let_in(receiver.port, showing(authority, clients))
        # An authority that is no longer in the file is not believed any more.
        trustme.CA().cert_pem.write_to_path(tmp_path / "clients.pem")
        certificate.reload()
        assert not await is_let_in(receiver.port, showing(authority, clients))


def test_what_are_no_client_authorities_names_the_setting(tmp_path: Path) -> None:
    pair = write(trustme.CA(), tmp_path)
    with pytest.raises(SettingsError, match="client_ca_file"):
        Certificate(*pair, tmp_path / "missing.pem")
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(SettingsError, match="client_ca_file"):
        Certificate(*pair, tmp_path / "empty.pem")
