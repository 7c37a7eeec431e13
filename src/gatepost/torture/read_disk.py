"""The data on disk when both ends have stopped: the receiver's store, the terminals' outboxes.

Rules: the store is read with plain SQL and without the code that wrote it, so that a mistake in that code cannot hide
itself. The outboxes are read through the commands of the terminal.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from gatepost.torture.judge import Found
from gatepost.torture.oracle import digest, name_of

__all__ = [
    "Forwarded",
    "dead_letters",
    "duplicates_seen",
    "forwarded",
    "held",
    "ledger",
    "notices",
    "quarantined",
    "stored",
]


def stored(folder: Path) -> list[Found]:
    """Return every event of the receiver's store in ``folder``."""
    with closing(_open(folder / "gatepost.db")) as db:
        return list(_stored(db, folder / "journal" / "packs"))


def _stored(db: sqlite3.Connection, packs: Path) -> Iterator[Found]:
    for table in ("records", "alarm_events"):
        rows = db.execute(
            f"SELECT original, has_image, packs.name, byte_offset, length, images.key FROM {table}"
            f" LEFT JOIN images ON event_id = {table}.id AND part = 0 LEFT JOIN packs ON packs.id = pack_id"
        )
        for original, has_image, *place in rows:
            data: dict[str, Any] = json.loads(original)["data"]
            yield Found(name_of(data), data, _image(packs, *place) if has_image else None)


def _image(packs: Path, name: str | None, offset: int, length: int, key: bytes) -> str:
    if name is None:
        return "missing"
    try:
        with (packs / name).open("rb") as pack:
            pack.seek(offset)
            return digest(AESGCM(key).decrypt(bytes(12), pack.read(length), None))
    except (OSError, InvalidTag) as error:
        return f"unreadable: {error}"


def quarantined(folder: Path) -> list[str]:
    """Return the reason of each push in the receiver's quarantine."""
    with closing(_open(folder / "gatepost.db")) as db:
        return [str(row[0]) for row in db.execute("SELECT problems FROM quarantine")]


def duplicates_seen(folder: Path) -> int:
    """Return how many pushes the receiver recognised as duplicates."""
    with closing(_open(folder / "gatepost.db")) as db:
        return int(db.execute("SELECT coalesce(sum(duplicates), 0) FROM tallies").fetchone()[0])


class Forwarded(Struct, frozen=True):
    """The stored ledger of the only destination."""

    seen: int
    filtered: int
    delivered: int
    waiting: int
    """Rows of events that were read and wait for another attempt, or are aside."""
    dead: int
    dropped: int
    unread: int
    """Events after its positions."""

    @property
    def adds_up(self) -> bool:
        """Return whether the seen events are the sum of the others."""
        return self.seen == self.filtered + self.delivered + self.waiting + self.dead + self.dropped


def forwarded(folder: Path) -> Forwarded:
    """Return the ledger of the destination. Raises ``sqlite3.Error``."""
    with closing(_open(folder / "gatepost.db")) as db:
        db.execute("BEGIN")
        (sums,) = db.execute("SELECT seen, filtered, delivered, dropped FROM destinations").fetchall()
        waiting, dead = db.execute(
            "SELECT coalesce(sum(is_dead = 0), 0), coalesce(sum(is_dead), 0) FROM destination_exceptions"
        ).fetchone()
        (aside,) = db.execute("SELECT coalesce(sum(events), 0) FROM destination_asides").fetchone()
        unread = 0
        for kind, table in (("record", "records"), ("alarm", "alarm_events"), ("notice", "notices")):
            behind = f"SELECT count(*) FROM {table}, destination_places p WHERE p.kind = ? AND id > place"
            unread += db.execute(behind, (kind,)).fetchone()[0]
    seen, filtered, delivered, dropped = sums
    return Forwarded(seen, filtered, delivered, waiting + aside, dead, dropped, unread)


def notices(folder: Path) -> int:
    """Return how many notices the ledger of the destination has."""
    with closing(_open(folder / "gatepost.db")) as db:
        there = "SELECT count(*) FROM notices, destination_places WHERE destination_places.kind = 'notice'"
        return int(db.execute(f"{there} AND id > begin_id AND id <= place").fetchone()[0])


def dead_letters(folder: Path) -> frozenset[str]:
    """Return the names of the events that are dead letters of the destination."""
    return _exceptions(folder, is_dead=True)


def waiting(folder: Path) -> frozenset[str]:
    """Return the names of the events that wait for another attempt to pass them on. Raises ``sqlite3.Error``."""
    return _exceptions(folder, is_dead=False)


def _exceptions(folder: Path, *, is_dead: bool) -> frozenset[str]:
    names = set()
    with closing(_open(folder / "gatepost.db")) as db:
        for table in ("records", "alarm_events"):
            found = db.execute(
                f"SELECT original FROM {table} JOIN destination_exceptions ON event_id = id WHERE is_dead = ?",
                (is_dead,),
            )
            names |= {name_of(json.loads(original)["data"]) for (original,) in found}
    return frozenset(names)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def held(folder: Path, state: str) -> frozenset[str]:
    """Return the events of that state (``pending``, ``dead``) in the outbox of a stopped terminal."""
    lines = _command("export", "-", "--state", state, "--data", str(folder)).splitlines()
    return frozenset(name_of(json.loads(line)["data"]) for line in lines)


def ledger(folder: Path) -> dict[str, int]:
    """Return the ledger of a stopped terminal."""
    value: dict[str, int] = json.loads(_command("status", "--json", "--data", str(folder)))
    return value


def _command(*words: str) -> bytes:
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "gatepost.cli", "terminal", *words],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return done.stdout
