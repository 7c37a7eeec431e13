"""Backups that only a key opens."""

import errno
import io
from pathlib import Path

import pytest
from tests.packing import packing
from tests.store.events import JPEG, RECEIVED_MS, arrival, record
from tests.terminals import ensured

from gatepost.errors import SettingsError, StoreCorrupt, StoreError
from gatepost.store.interface import RecordQuery
from gatepost.store.maintenance import age
from gatepost.store.maintenance.backup import backup
from gatepost.store.maintenance.restore import restore
from gatepost.store.sqlite.store import SqliteStore


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = packing(SqliteStore.open(tmp_path / "data"))
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    store.write([arrival(record(n), image=JPEG + bytes([n]) * 70_000) for n in range(20)])
    store.close()
    return tmp_path / "data"


def test_a_backup_to_two_recipients_is_opened_by_either_and_by_no_other(data: Path, tmp_path: Path) -> None:
    keys = [tmp_path / name for name in ("office.key", "safe.key", "stranger.key")]
    recipients = [age.make_identity(key) for key in keys]
    assert [key.stat().st_mode & 0o777 for key in keys] == [0o600] * 3
    both = tmp_path / "recipients.txt"
    both.write_text(f"# the office\n{recipients[0]}\n\n{recipients[1]}\n")
    file = tmp_path / "b.tar.age"
    backup(file, folder=data, now=0.0, recipients=age.read_recipients([str(both)]))
    content = file.read_bytes()
    assert content.startswith(age.MAGIC)
    assert b"header.json" not in content
    for key in keys[:2]:
        folder = tmp_path / key.stem
        counts = restore(file, folder=folder, identities=age.read_identities([key]))
        assert counts["records"] == 20
        store = SqliteStore.open(folder)
        rows = store.records(RecordQuery(limit=100)).items
        assert all((store.image(row.id) or b"").startswith(JPEG) for row in rows)
        store.close()
    for identities in ([], age.read_identities([keys[2]])):
        with pytest.raises(SettingsError, match="identity"):
            restore(file, folder=tmp_path / "none", identities=identities)
        assert not (tmp_path / "none").exists()


def test_an_encrypted_backup_that_is_cut_off_or_damaged_is_refused(data: Path, tmp_path: Path) -> None:
    recipient = age.make_identity(tmp_path / "key")
    identities = age.read_identities([tmp_path / "key"])
    file = tmp_path / "b.tar.age"
    backup(file, folder=data, now=0.0, recipients=age.read_recipients([recipient]))
    content = file.read_bytes()
    damages = {
        "cut": content[:-1],
        "half": content[: len(content) // 2],
        "flipped": content[:-500] + bytes([content[-500] ^ 1]) + content[-499:],
        "head": content[:300],
    }
    for name, damaged in damages.items():
        wrong = tmp_path / name
        wrong.write_bytes(damaged)
        with pytest.raises((StoreCorrupt, SettingsError)):
            restore(wrong, folder=tmp_path / "none", identities=identities)
        assert not (tmp_path / "none").exists()


def test_a_backup_that_is_not_encrypted_is_refused_with_a_key(data: Path, tmp_path: Path) -> None:
    age.make_identity(tmp_path / "key")
    file = tmp_path / "b.tar"
    backup(file, folder=data, now=0.0)
    with pytest.raises(SettingsError, match="this file is not encrypted"):
        restore(file, folder=tmp_path / "none", identities=age.read_identities([tmp_path / "key"]))
    assert not (tmp_path / "none").exists()
    assert restore(file, folder=tmp_path / "restored")["records"] == 20


def test_what_the_disk_says_is_what_fails(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    recipients = age.read_recipients([age.make_identity(tmp_path / "key")])

    def write() -> None:
        with age.encrypted(Full(), recipients) as out:
            out.write(bytes(1_000_000))

    with pytest.raises(OSError, match="No space left"):
        write()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("age1nonsense", "begins with age1"),
        ("/nowhere", "cannot be read"),
        ("ssh-ed25519 AAAA", "cannot be read"),
    ],
)
def test_what_is_no_recipient_is_said_to_be_none(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        age.read_recipients([text])


def test_a_file_without_a_key_is_said_to_have_none_and_no_key_is_repeated(tmp_path: Path) -> None:
    empty, wrong = tmp_path / "empty", tmp_path / "wrong"
    empty.write_text("# nothing\n")
    wrong.write_text("AGE-SECRET-KEY-1SECRET\n")
    for file in (empty, wrong):
        with pytest.raises(SettingsError, match="an identity") as caught:
            age.read_identities([file])
        assert "SECRET-KEY-1SECRET" not in str(caught.value)
    with pytest.raises(StoreError, match="give another name"):
        age.make_identity(empty)
