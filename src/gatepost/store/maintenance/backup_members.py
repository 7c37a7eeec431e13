"""Read a backup member by member, and verify that it is whole."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from gatepost.errors import StoreCorrupt, StoreError, StoreTooNew
from gatepost.journal.format import MAX_BODY
from gatepost.store.maintenance import age
from gatepost.store.maintenance.backup import FORMAT, Progress
from gatepost.store.schema import migrate

__all__ = [
    "END",
    "JOURNAL",
    "Members",
    "PACKS",
    "read_header",
    "read_members",
]

_MEMBER_BYTES = MAX_BODY + 16 * 1024 * 1024
"""No member of a backup has more: a body of the journal is the largest piece of one."""

JOURNAL, PACKS, END = "journal/", "packs/", "end.json"


class Members:
    """The members behind the header, one after the other."""

    def __init__(self, read: Iterator[tuple[str, bytes]]) -> None:
        self._read = read
        self.name, self.content = next(read)

    def under(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of those in one folder of the archive, up to the first one that is not in it."""
        while self.name.startswith(folder):
            yield self.name, self.content
            self.name, self.content = next(self._read)

    def verify(self) -> None:
        """Read to the end. Raises :class:`~gatepost.errors.StoreCorrupt` where the digest is another one."""
        for _ in self._read:
            pass


class _Member(tarfile.TarInfo):
    """The head of a member, or of a piece of one. Too large a piece is refused before it is read into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        head = super().frombuf(buf, encoding, errors)
        if head.size > _MEMBER_BYTES:
            raise tarfile.ReadError("a member is too large")
        return head


def read_members(file: Path, identities: Sequence[Any], progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Yield every member. Before the last one, what was read is compared with its digest."""
    digest = blake2b(digest_size=32)
    damaged = StoreCorrupt(f"{file} is incomplete or damaged; nothing was restored: take another backup")
    try:
        with (
            file.open("rb") as raw,
            age.decrypted(raw, identities) as plain,
            tarfile.open(fileobj=plain, mode="r|", tarinfo=_Member) as tar,
        ):
            for member in tar:
                if member.size > _MEMBER_BYTES:
                    raise damaged
                stream = tar.extractfile(member)
                content = b"" if stream is None else stream.read()
                if member.name == END:
                    end = json.loads(content)
                    if end["digest"] != digest.hexdigest():
                        raise damaged
                    yield member.name, content
                    return
                digest.update(f"{member.name}\0{len(content)}\0".encode())
                digest.update(content)
                progress(len(content))
                yield member.name, content
    except (tarfile.TarError, ValueError, KeyError, EOFError):
        raise damaged from None
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror or error}") from error
    raise damaged


def read_header(file: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(content)
        if name != "header.json" or not isinstance(header["format"], int):
            raise ValueError
        revision = str(header["schema"])
    except (ValueError, KeyError, TypeError):
        raise StoreCorrupt(f"{file} is no backup of gatepost's") from None
    if header["format"] > FORMAT:
        raise StoreTooNew(
            f"{file} was made by gatepost {header.get('gatepost')}; restore it with that version"
        )
    if header["format"] < FORMAT:
        raise StoreError(
            f"{file} was made by an unreleased gatepost, in a form that this one does not read; take another backup"
        )
    migrate.check_known(revision, str(file))
    return header
