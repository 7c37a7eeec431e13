"""Read and free what retention and erasure need."""

from __future__ import annotations

from typing import Protocol

from gatepost.journal.packs.packs import Packs
from gatepost.store.interface.transactions import Transactions

__all__ = ["PrunableStore"]


class PrunableStore(Transactions, Protocol):
    """Serve ``retention`` and ``erasure``, which delete by statements of their own.

    Images are deleted as :mod:`gatepost.store.images.images` says.
    """

    secret: bytes
    """What digests that stand for a person or an event are keyed with: the same for every process on this store."""

    packs: Packs | None
    """With the images; ``None`` where they are not at hand."""

    def original(self, event_id: int, shortened: bytes) -> bytes:
        """Return an original with its long texts in their places. Raises as :meth:`image`."""

    def scrub(self) -> bool:
        """Let go of the bytes of what was deleted, as far as the database can; False: not now, try again.

        SQLite: the log is brought into the database, where deleted content is overwritten, and emptied.
        PostgreSQL: the space is given back (VACUUM) and overwritten as it is used again.
        """

    def analyze(self) -> None:
        """Have the database count how its large tables are filled, if nothing did so for a day.

        A server counts the parts of a partitioned table by itself, and not the whole. SQLite has nothing to do.
        """

    def forget_people(self) -> None:
        """Let go of the people who are remembered in memory, by the libraries that lead to the database.

        What is needed again is read again; nothing of what is stored changes.
        """

    def server_version(self) -> str:
        """Return the version of the database."""

    def sizes(self) -> dict[str, int]:
        """Return the bytes on disk of ``events`` and ``images``."""
