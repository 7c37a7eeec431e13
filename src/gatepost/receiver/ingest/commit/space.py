"""How much more the journal may take: bounded in bytes that are not listed, and in what the disk has left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from gatepost.errors import JournalError

__all__ = ["JournalSpace"]

_MEASURED_EVERY_S, _MEASURED_EVERY = 0.1, 16 * 1024 * 1024
"""After so many seconds or bytes it is looked how much of the journal is not listed, and what the disk has left."""


class JournalSpace:
    """Measures in the thread that writes; any thread may read :attr:`is_full`."""

    def __init__(
        self,
        *,
        max_unread_bytes: int = 1 << 62,
        unread_bytes: Callable[[], int] = lambda: 0,
        unmoved_bytes: Callable[[], int] = lambda: 0,
        has_room: Callable[[int], bool] = lambda unread: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``unread_bytes`` returns how much is not listed yet, ``unmoved_bytes`` how much of packs waits for a bucket.

        The journal is full while both together are ``max_unread_bytes``, or ``has_room`` says of so many bytes that
        are not listed that the disk has no room.
        """
        self._max_unread_bytes = max_unread_bytes
        self._unread_bytes = unread_bytes
        self._unmoved_bytes = unmoved_bytes
        self._has_room = has_room
        self._monotonic = monotonic
        self._appended = 0
        """Bytes of frames since it was measured."""
        self.measured_at = -_MEASURED_EVERY_S
        self.is_full = max_unread_bytes <= 0
        """So much is not listed or moved yet, or the disk is so full, that nothing more is taken."""

    def appended(self, size: int) -> None:
        """Count what was appended, in bytes, and measure if that is due."""
        self._appended += size
        if self._appended >= _MEASURED_EVERY or self._monotonic() - self.measured_at >= _MEASURED_EVERY_S:
            self.measure()

    def measure(self) -> None:
        """Look how much is not listed, and what the disk has left; where it cannot be told, all stays as it was."""
        self.measured_at, self._appended = self._monotonic(), 0
        with contextlib.suppress(JournalError, OSError):
            unread, unmoved = self._unread_bytes(), self._unmoved_bytes()
            self.is_full = unread + unmoved >= self._max_unread_bytes or not self._has_room(unread)
