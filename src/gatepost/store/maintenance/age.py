"""Encrypt a backup to a key, and decrypt it: the age format (age-encryption.org/v1), as ``age`` and ``rage`` have it.

A backup is encrypted to a *recipient*, which is public. So the machine that makes backups cannot read them; what reads
them is the *identity*, which is kept elsewhere. Both go through in pieces, and memory does not grow with the backup.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from gatepost.errors import SettingsError, StoreError

__all__ = ["MAGIC", "decrypted", "encrypted", "make_identity", "read_identities", "read_recipients"]

MAGIC = b"age-encryption.org/v1\n"
"""How an encrypted file begins."""

_IDENTITY, _RECIPIENT = "AGE-SECRET-KEY-1", "age1"


def make_identity(file: Path) -> str:
    """Make a key: write its identity to ``file``, for its user alone, and return its recipient.

    Raises :class:`~gatepost.errors.StoreError` where the file is there or cannot be written.
    """
    x25519 = _pyrage().x25519
    identity = x25519.Identity.generate()
    recipient = str(identity.to_public())
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{file} cannot be made: {error.strerror}; give another name") from None
    with os.fdopen(handle, "w") as out:
        os.fchmod(handle, 0o600)
        out.write(f"# recipient: {recipient}\n{identity}\n")
        out.flush()
        os.fsync(handle)
    return recipient


def read_recipients(texts: Sequence[str]) -> list[Any]:
    """Return recipients: each text is one, ``age1…``, or a file with one a line. Raises ``SettingsError``."""
    lines = [
        line
        for text in texts
        for line in ([text] if text.startswith(_RECIPIENT) else _lines(text, "encrypt-to"))
    ]
    return _parsed(
        lines, "encrypt-to", _pyrage().x25519.Recipient.from_str, "a recipient, which begins with age1"
    )


def read_identities(files: Sequence[Path]) -> list[Any]:
    """Return the identities in files, one a line. Raises :class:`~gatepost.errors.SettingsError`."""
    lines = [line for file in files for line in _lines(str(file), "identity")]
    wanted = f"an identity, which begins with {_IDENTITY}"
    return _parsed(lines, "identity", _pyrage().x25519.Identity.from_str, wanted)


def _lines(file: str, option: str) -> list[str]:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(option, f"{file} cannot be read: {why}") from None
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


def _parsed(lines: Sequence[str], option: str, parse: Callable[[str], Any], wanted: str) -> list[Any]:
    if not lines:
        raise SettingsError(option, f"has no key; it needs {wanted}")
    try:
        return [parse(line) for line in lines]
    except (
        Exception
    ):  # the library has a class of its own for each kind of key; the line itself is not repeated
        raise SettingsError(option, f"has what is not {wanted}") from None


@contextmanager
def encrypted(raw: BinaryIO, recipients: Sequence[Any]) -> Iterator[BinaryIO]:
    """Open a file to write to that comes out encrypted in ``raw``; without recipients it is ``raw``."""
    if not recipients:
        yield raw
        return
    encrypt = _pyrage().encrypt_io
    ends = os.pipe()
    target = _Target(raw)

    def work() -> None:
        with os.fdopen(ends[0], "rb") as read:
            encrypt(read, target, recipients)

    working = _Work(work)
    try:
        with os.fdopen(ends[1], "wb") as out:
            yield out
    finally:
        working.join()
        if working.error is not None:  # a pipe that is broken is what follows from it
            raise target.error or working.error


@contextmanager
def decrypted(raw: BinaryIO, identities: Sequence[Any]) -> Iterator[BinaryIO]:
    """Open a file to read from that holds what is encrypted in ``raw``; ``raw`` itself where it is not encrypted.

    Raises :class:`~gatepost.errors.SettingsError` where no identity opens it, and where it is not encrypted and one is
    given: another file may stand in its place. What is damaged ends early.
    """
    is_encrypted = raw.read(len(MAGIC)) == MAGIC
    raw.seek(0)
    if not is_encrypted and identities:
        raise SettingsError(
            "identity",
            "opens encrypted backups, and this file is not encrypted: find out who made it;"
            " if it is the right one, restore it without --identity",
        )
    if not is_encrypted:
        yield raw
        return
    if not identities:
        raise SettingsError(
            "identity", "is missing; the backup is encrypted, and --identity FILE names its key"
        )
    pyrage = _pyrage()
    ends = os.pipe()

    def work() -> None:
        with os.fdopen(ends[1], "wb") as out:
            pyrage.decrypt_io(raw, out, identities)

    working = _Work(work)
    try:
        with closing(os.fdopen(ends[0], "rb")) as read:
            yield read
    finally:
        working.join()
        if isinstance(working.error, pyrage.DecryptError):
            raise SettingsError(
                "identity", "does not open this backup; give the key that it was encrypted to"
            )


class _Target:
    """A file that is written to, and the error of the disk: the library makes one of its own out of it."""

    def __init__(self, raw: BinaryIO) -> None:
        self.error: OSError | None = None
        self._raw = raw

    def write(self, data: bytes) -> int:
        try:
            return self._raw.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._raw.flush()


class _Work:
    """A thread, and what it failed with."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name="gatepost-age")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self.error = error

    def join(self) -> None:
        self._thread.join()


def _pyrage() -> Any:
    import pyrage  # type: ignore[import-untyped]  # here: a few megabytes that only an encrypted backup needs

    return pyrage
