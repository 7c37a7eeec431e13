import hashlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gatepost import certificate
from gatepost.errors import SettingsError

NOW = datetime(2030, 5, 1, tzinfo=UTC)


def ensure(folder: Path, now: datetime = NOW) -> tuple[Path, Path]:
    return certificate.ensure(folder, holder="GP0001", names=["door.example", "192.0.2.7"], now=now)


def test_a_certificate_is_made_once_and_kept(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in ensure(tmp_path)]
    second = [path.read_bytes() for path in ensure(tmp_path, NOW + timedelta(days=3000))]
    assert first == second


def test_it_names_the_terminal_and_every_way_to_reach_it(tmp_path: Path) -> None:
    path, _ = ensure(tmp_path)
    made = x509.load_pem_x509_certificate(path.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert made.subject.rfc4514_string() == "CN=GP0001"
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "door.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1", "192.0.2.7"]


def test_one_that_has_run_out_is_made_again(tmp_path: Path) -> None:
    path, _ = ensure(tmp_path)
    before = certificate.fingerprint(path)
    ensure(tmp_path, NOW + timedelta(days=3651))
    assert certificate.fingerprint(path) != before


@pytest.mark.parametrize("year", [2031, 2063, 2110, 9000])
def test_one_that_was_made_under_a_clock_ahead_is_made_again_once(tmp_path: Path, year: int) -> None:
    path, _ = ensure(tmp_path, datetime(year, 1, 1, tzinfo=UTC))
    before = certificate.fingerprint(path)
    ensure(tmp_path)
    after = certificate.fingerprint(path)
    assert after != before
    made = x509.load_pem_x509_certificate(path.read_bytes())
    assert made.not_valid_before_utc <= NOW < made.not_valid_after_utc
    ensure(tmp_path, NOW + timedelta(hours=1))
    assert certificate.fingerprint(path) == after


@pytest.mark.parametrize("year", [1970, 1980, 1999])
def test_a_start_before_the_clock_is_set_changes_no_certificate(tmp_path: Path, year: int) -> None:
    path, _ = ensure(tmp_path)
    before = certificate.fingerprint(path)
    ensure(tmp_path, datetime(year, 1, 2, tzinfo=UTC))
    assert certificate.fingerprint(path) == before


@pytest.mark.parametrize("lost", [certificate.CERTIFICATE_FILE, certificate.KEY_FILE])
def test_a_lost_half_is_made_again_as_a_pair(tmp_path: Path, lost: str) -> None:
    pair = ensure(tmp_path)
    (tmp_path / lost).unlink()
    ensure(tmp_path)
    certificate.server_context(*pair)


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_made_again_with_its_certificate(tmp_path: Path, damage: bytes) -> None:
    path, key = ensure(tmp_path)
    before = certificate.fingerprint(path)
    key.write_bytes(damage)

    certificate.server_context(*ensure(tmp_path))

    assert certificate.fingerprint(path) != before


def test_a_key_of_another_certificate_is_made_again_with_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    path, key = ensure(tmp_path / "one")
    before = certificate.fingerprint(path)
    key.write_bytes(ensure(tmp_path / "two")[1].read_bytes())

    certificate.server_context(*ensure(tmp_path / "one"))

    assert certificate.fingerprint(path) != before


def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    _, key = ensure(tmp_path)
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_fingerprint_is_the_sha_256_of_the_certificate(tmp_path: Path) -> None:
    path, _ = ensure(tmp_path)
    der = ssl.PEM_cert_to_DER_cert(path.read_text())
    assert certificate.fingerprint(path) == hashlib.sha256(der).hexdigest()


def test_a_file_that_is_no_certificate_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("nothing")
    with pytest.raises(SettingsError) as wrong:
        certificate.server_context(tmp_path / "a.pem", tmp_path / "a.pem")
    assert wrong.value.setting == "certificate_file"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(tmp_path: Path, version: ssl.TLSVersion) -> None:
    path, key = ensure(tmp_path, datetime.now(UTC))
    client = ssl.create_default_context(cafile=str(path))
    client.minimum_version = client.maximum_version = version
    assert (
        handshake(certificate.server_context(path, key), client)
        == {
            ssl.TLSVersion.TLSv1_2: "TLSv1.2",
            ssl.TLSVersion.TLSv1_3: "TLSv1.3",
        }[version]
    )


def test_older_tls_is_not(tmp_path: Path) -> None:
    context = certificate.server_context(*ensure(tmp_path))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    near, far = socket.socketpair()

    def serve() -> None:
        with server.wrap_socket(far, server_side=True) as end:
            end.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname="localhost") as end:
            version = end.version()
            end.send(b".")
            return version
    finally:
        thread.join(10)
