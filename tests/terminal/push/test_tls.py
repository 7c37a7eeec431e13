"""Whom the pusher trusts, and which setting is named when it cannot be used."""

import ssl

import pytest
import trustme

from gatepost.errors import SettingsError
from gatepost.terminal.push.tls import Trust, fingerprint_of, matches

PIN = ":".join(["AB"] * 32)


def test_by_default_the_system_decides_and_names_are_checked():
    context = Trust().context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert Trust().warning() is None


@pytest.mark.parametrize("trust", [Trust(), Trust(verify=False), Trust(fingerprint=PIN)])
def test_nothing_below_tls_1_2_is_spoken(trust):
    assert trust.context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_no_verification_only_by_setting_and_with_a_warning():
    trust = Trust(verify=False)
    assert trust.context().verify_mode is ssl.CERT_NONE
    assert "not verified" in (trust.warning() or "")


def test_a_fingerprint_alone_is_the_trust():
    trust = Trust(fingerprint=PIN)
    assert trust.context().verify_mode is ssl.CERT_NONE
    assert trust.pin() == b"\xab" * 32
    assert trust.warning() is None


def test_a_fingerprint_beside_an_authority_asks_for_both(tmp_path):
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca_file)
    assert Trust(fingerprint=PIN, ca_file=ca_file).context().verify_mode is ssl.CERT_REQUIRED


def test_a_fingerprint_matches_only_its_certificate():
    der = b"a certificate"
    pin = bytes.fromhex(fingerprint_of(der))
    assert matches(pin, der)
    assert not matches(pin, b"another one")
    assert not matches(pin, None)


@pytest.mark.parametrize("fingerprint", ["", "AB:CD", "no hexadecimal", "AB" * 33])
def test_a_fingerprint_that_is_none_names_its_setting(fingerprint):
    with pytest.raises(SettingsError, match="fingerprint"):
        Trust(fingerprint=fingerprint).context()


def test_a_bundle_that_cannot_be_read_names_its_setting(tmp_path):
    with pytest.raises(SettingsError, match="ca_file"):
        Trust(ca_file=tmp_path / "absent.pem").context()
    (tmp_path / "junk.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match="ca_file"):
        Trust(ca_file=tmp_path / "junk.pem").context()


def test_a_client_certificate_that_cannot_be_used_names_its_setting(tmp_path):
    with pytest.raises(SettingsError, match="client_cert"):
        Trust(client_cert=tmp_path / "absent.pem").context()
    with pytest.raises(SettingsError, match="client_key"):
        Trust(client_key=tmp_path / "key.pem").context()


def test_an_encrypted_key_is_refused_and_not_asked_about(tmp_path):
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    certificate = trustme.CA().issue_cert("terminal")
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    with pytest.raises(SettingsError, match="without a password"):
        Trust(client_cert=tmp_path / "cert.pem", client_key=tmp_path / "key.pem").context()
