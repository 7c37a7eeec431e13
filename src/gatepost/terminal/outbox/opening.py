"""The folder of an outbox: its lock, and how it is recognised after damage.

Rules:

* One process writes. The lock is the operating system's (``flock``), so it ends with the process in every case.
* The id of the journal is in each of its files. If the file with the id is damaged, it is made again from them.
* A folder that is no outbox of this version is refused with an explanation, and nothing in it is changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from gatepost.errors import (
    JournalCorrupt,
    JournalUnavailable,
    OutboxCorrupt,
    OutboxInUse,
    OutboxTooOld,
    OutboxUnavailable,
)
from gatepost.journal.files import Files, give_to_owner
from gatepost.journal.folder import Folder
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.segments.loader import most_likely_id
from gatepost.terminal.outbox.types import DAMAGE

__all__ = ["FOLDER", "Lock", "explain", "is_full", "open_folder", "refuse_old", "refuse_open"]

log = Log(__name__)

FOLDER = "outbox"
"""Its name in a terminal's data folder."""

_OLD = "outbox.db"
_ID = "journal"
_SUFFIXES = (".events", ".index", ".writer")
_FULL = ("ENOSPC", "EDQUOT", "EFBIG")
_READ_ONLY = ("EROFS", "EACCES", "EPERM")


class Lock:
    """The right to write to one outbox, held until :meth:`release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Lock the outbox in a folder.

        Raises :class:`~gatepost.errors.OutboxInUse` if another process has the lock.
        """
        self._fd: int | None = None
        try:
            fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            give_to_owner(fd, path)
        except OSError:
            # On a read-only disk the folder itself is locked, which writes nothing.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise _in_use(path) from None
        self._fd = fd

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def refuse_open(path: Path) -> None:
    """Raise :class:`~gatepost.errors.OutboxInUse` if a process may write to the outbox. Makes no file."""
    for name in (path / "lock", path):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _in_use(path) from None
            finally:
                os.close(fd)


def _in_use(path: Path) -> OutboxInUse:
    return OutboxInUse(
        f"the outbox {path} is open in another process; stop that one, or give this one its own folder"
    )


def open_folder(path: Path, files: Files, *, is_writer: bool, is_rescue: bool = False) -> Folder:
    """Return the journal in a folder; a writer makes it if there is none.

    ``is_rescue``: also one whose id cannot be read anywhere.
    Raises :class:`~gatepost.errors.OutboxTooOld`, :class:`~gatepost.errors.OutboxCorrupt` and
    :class:`~gatepost.errors.OutboxUnavailable`.
    """
    refuse_old(path)
    if not is_writer and not path.is_dir():
        raise OutboxUnavailable(f"the outbox {path} cannot be opened: it is not there")
    _check_readable(path, files, is_rescue=is_rescue)
    try:
        if is_rescue:
            return Folder(path, most_likely_id(path) or bytes(16), files)
        if path.exists() and not path.is_dir():
            raise OutboxCorrupt(f"{path} is no outbox; choose another folder, or move that file away")
        if not is_writer or _is_there(path):
            return _found(path, files, is_writer=is_writer)
        return Folder.open(path, files=files)
    except JournalCorrupt:
        return _without_id(path, files, is_writer=is_writer)
    except JournalUnavailable as error:
        raise OutboxUnavailable(f"the outbox {path} cannot be opened: {error}") from error
    except OSError as error:
        raise OutboxUnavailable(
            f"the outbox {path} cannot be opened: {error.strerror}; free or mount the disk"
        ) from error


def _check_readable(path: Path, files: Files, *, is_rescue: bool) -> None:
    """Raise :class:`~gatepost.errors.OutboxUnavailable` if the system does not open a file, except for damage.

    A file that cannot be read now would count as damaged, and its events as lost. ``is_rescue``: only if this user
    may not read it.
    """
    try:
        names = sorted(path.iterdir()) if path.is_dir() else []
        for name in names:
            if (
                name.name in (_ID, "deleted", "owner")
                or name.name.startswith("state-")
                or name.suffix in _SUFFIXES
            ):
                try:
                    files.close(files.open(name))
                except FileNotFoundError:
                    continue  # the writer has deleted it meanwhile
                except OSError as error:
                    if error.errno in DAMAGE or (is_rescue and not isinstance(error, PermissionError)):
                        continue
                    error.filename = str(name)
                    raise
    except PermissionError as error:
        raise OutboxUnavailable(
            f"the outbox {path} cannot be opened: this user may not read {error.filename or path}; run as the user to"
            f" whom the files belong, or give them to this one, such as with 'chown -R USER {path}'"
        ) from error
    except OSError as error:
        raise OutboxUnavailable(
            f"the outbox {path} cannot be opened: {error.filename or path}: {error.strerror}; try again, or look at"
            " the disk"
        ) from error


def refuse_old(path: Path) -> None:
    """Raise :class:`~gatepost.errors.OutboxTooOld` if an earlier version left its outbox here."""
    old = path.with_name(_OLD)
    if path.name == FOLDER and old.exists():
        raise OutboxTooOld(
            f"{old} is the outbox of an earlier gatepost, which this one does not read; let that version deliver"
            " what waits in it, or export it there ('gatepost terminal export'), then move the file away"
        )


def explain(error: OSError, path: Path) -> OutboxUnavailable:
    """Return the outbox's error for one of the system, with a sentence on what to do."""
    name = _name(error)
    if name in _FULL:
        why = "the disk is full; free some space"
    elif name in _READ_ONLY:
        why = "the disk or the folder is read-only; make it writable"
    else:
        why = f"the disk reports an error ({error.strerror}); look at the disk, or replace it"
    return OutboxUnavailable(f"the outbox {path} cannot be written: {why}")


def is_full(error: OSError) -> bool:
    """Return whether the error means that there is no space."""
    return _name(error) in _FULL


def _name(error: OSError) -> str:
    """Return the name of the system's number, such as ``ENOSPC``."""
    return errno.errorcode.get(error.errno or 0, "")


def _is_there(path: Path) -> bool:
    return path.is_dir() and ((path / _ID).exists() or most_likely_id(path) is not None)


def _found(path: Path, files: Files, *, is_writer: bool) -> Folder:
    """Return the journal of a folder that has one, by the id that its files have."""
    likely = most_likely_id(path)
    try:
        folder = Folder.find(path)
    except JournalUnavailable:
        if likely is None:
            raise
        folder = None  # the disk does not return the file with the id, but others have it
    if folder is not None and likely in (None, folder.id):
        return Folder(path, folder.id, files)
    if likely is None:
        raise JournalUnavailable("nothing is in it")
    return _with_id(path, likely, files, is_writer=is_writer)


def _without_id(path: Path, files: Files, *, is_writer: bool) -> Folder:
    """Return the journal of a folder without the file with the id, or with a damaged one."""
    likely = most_likely_id(path)
    if likely is not None:
        return _with_id(path, likely, files, is_writer=is_writer)
    if not is_writer:
        raise OutboxUnavailable(
            f"the outbox {path} cannot be opened: no file in it tells its id; "
            "'gatepost terminal export' gets out what can be read"
        )
    # Nothing in it can be read. It is kept, and the terminal goes on recording.
    set_aside = 0
    with contextlib.suppress(OSError):
        for file in list(path.iterdir()):
            if file.suffix in _SUFFIXES:
                file.rename(file.with_name(f"damaged-{file.name}-0"))
                set_aside += 1
    log.error("outbox.damaged", file=_ID, set_aside=set_aside)
    return Folder.open(path, files=files)


def _with_id(path: Path, number: bytes, files: Files, *, is_writer: bool) -> Folder:
    log.error("outbox.damaged", file=_ID)
    if is_writer:
        with contextlib.suppress(OSError):
            files.remove(path / _ID)
            handle = files.create(path / _ID)
            try:
                files.write(handle, number.hex().encode(), 0)
                files.sync(handle)
            finally:
                files.close(handle)
            files.sync_folder(path)
    return Folder(path, number, files)
