from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatepost import certificate
from gatepost.errors import SettingsError
from gatepost.settings import TerminalServiceSettings
from gatepost.terminal.http_api.listener import Listener, is_loopback, prepare, split

NOW = 1_900_000_000.0


def prepared(folder: Path, **settings: object) -> Listener:
    return prepare(TerminalServiceSettings(**settings), folder=folder, serial="GP0001", now=NOW)  # type: ignore[arg-type]


def wrong(folder: Path, **settings: object) -> str:
    with pytest.raises(SettingsError) as error:
        prepared(folder, **settings)
    return error.value.setting


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)
def test_host_and_port_are_taken_apart(text: str, expected: tuple[str, int]) -> None:
    assert split(text) == expected


@pytest.mark.parametrize(
    "text", ["", "8000", ":8000", "127.0.0.1", "h:x", "h:70000", "::1:80", "h:80/path", "a@h:80"]
)
def test_anything_else_names_the_setting(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        split(text)
    assert error.value.setting == "listen"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("door.example", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_loopback_does_without_account_and_tls_and_makes_no_certificate(tmp_path: Path) -> None:
    listener = prepared(tmp_path)
    assert (listener.passwords, listener.tls, listener.url(8000)) == ({}, None, "http://127.0.0.1:8000")
    assert list(tmp_path.iterdir()) == []


def test_beyond_loopback_it_refuses_to_start_without_an_account(tmp_path: Path) -> None:
    assert wrong(tmp_path, listen="0.0.0.0:8000") == "username"
    assert list(tmp_path.iterdir()) == []


def test_beyond_loopback_it_speaks_tls_with_a_certificate_that_it_made(tmp_path: Path) -> None:
    listener = prepared(tmp_path, listen="192.0.2.1:8000", username="admin", password="secret")
    assert listener.tls is not None
    assert listener.url(8000) == "https://192.0.2.1:8000"
    assert listener.fingerprint == certificate.fingerprint(tmp_path / certificate.CERTIFICATE_FILE)


def test_loopback_speaks_tls_when_it_is_asked_to(tmp_path: Path) -> None:
    assert prepared(tmp_path, tls=True).tls is not None


def test_a_certificate_that_was_installed_is_used(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    pair = certificate.ensure(own, holder="X", names=[], now=datetime.now(UTC))
    listener = prepared(tmp_path, certificate_file=str(pair[0]), key_file=str(pair[1]))
    assert listener.fingerprint == certificate.fingerprint(pair[0])
    assert not (tmp_path / certificate.CERTIFICATE_FILE).exists()


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pass word\nand a remark\n")
    listener = prepared(tmp_path, username="admin", password_file=str(tmp_path / "password"))
    assert listener.passwords == {"admin": "pass word"}


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"username": "admin"}, "password_file"),
        ({"username": "admin", "password_file": "/nowhere/password"}, "password_file"),
        ({"password": "secret"}, "username"),
        ({"username": "a:b", "password": "secret"}, "username"),
        ({"username": "门", "password": "secret"}, "username"),
        ({"key_file": "key.pem"}, "certificate_file"),
        ({"certificate_file": "/nowhere.pem"}, "certificate_file"),
    ],
)
def test_half_a_setting_names_the_other_half(
    tmp_path: Path, settings: dict[str, object], setting: str
) -> None:
    assert wrong(tmp_path, **settings) == setting
