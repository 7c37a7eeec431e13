"""Find the segments of a folder at a start, each by its index, or by reading it if the index is missing.

``is_writer``: damage is set aside, and indexes are written. A reader changes nothing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

from gatepost.errors import JournalCorrupt, JournalTooNew, OutboxTooNew, OutboxUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.format import HEADER_BYTES, decode_header
from gatepost.journal.streams import Stream
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.segments.frames import Index, decode_index
from gatepost.terminal.outbox.segments.scan import Scanned
from gatepost.terminal.outbox.segments.segment import Segment, index_of, write_index
from gatepost.terminal.outbox.segments.set_aside import Aside
from gatepost.terminal.outbox.state.log import marked_id

__all__ = ["SegmentLoader", "most_likely_id"]

log = Log(__name__)


class SegmentLoader:
    """Loads the segments of a folder, one after the other."""

    def __init__(self, folder: Folder, aside: Aside, *, is_writer: bool, is_rescue: bool) -> None:
        self._folder = folder
        self._aside = aside
        self._is_writer = is_writer
        self._is_rescue = is_rescue

    def load(self, stream: Stream, number: int) -> Segment | None:
        """Return a segment; ``None``: nothing in it can be used."""
        path, size = self._folder.segment(stream.name, number), stream.segments[number]
        try:
            index = self._index(path)
            if index is not None and index.size == size and len(index.columns):
                return Segment(path, index.seed, index.columns, None)
            seed = self._seed(path, index)
            if seed is None:
                self._without_header(path, size)
                return None
            scanned = Scanned.of(path, seed)
        except FileNotFoundError:
            return None
        except OSError as error:
            if self._is_rescue:
                return None
            raise OutboxUnavailable(f"the outbox cannot be read: {path}: {error.strerror}") from error
        published = stream.published.offset if stream.published.segment == number else 0
        synced = max(scanned.committed, published)
        for gap in scanned.gaps:
            # Bytes after the last sync are the rest of an incomplete write.
            if gap.start < synced:
                log.error("outbox.damaged", file=path.name, start=gap.start, end=gap.end)
                if self._is_writer:
                    self._aside.take_part(path, gap.start, gap.end)
        if not len(scanned.columns):
            if self._is_writer:
                self._remove(path)
            return None
        segment = Segment(path, seed, scanned.columns, scanned.texts)
        segment.synced = synced
        if self._is_writer and not stream.is_alive:
            write_index(self._folder, segment, scanned.texts)
            segment.close()
        return segment

    def _index(self, path: Path) -> Index | None:
        try:
            index = decode_index(index_of(path).read_bytes())
        except OSError:
            return None
        if index is None or index.name != path.name or not self._is_ours(index.journal):
            return None
        return index

    def _is_ours(self, journal: bytes) -> bool:
        return self._is_rescue or journal == self._folder.id

    def _seed(self, path: Path, index: Index | None) -> bytes | None:
        """Return the seed of a segment; ``None``: it is lost."""
        try:
            with path.open("rb") as file:
                header = decode_header(file.read(HEADER_BYTES), reads_later=self._is_rescue)
        except JournalTooNew as error:
            raise OutboxTooNew(
                f"the outbox {self._folder.path} was written by a later gatepost: {error}"
            ) from error
        except (JournalCorrupt, OSError):
            return None if index is None else index.seed
        return header.seed if self._is_ours(header.journal) else None

    def _without_header(self, path: Path, size: int) -> None:
        if size <= HEADER_BYTES:
            if self._is_writer:
                self._remove(path)  # the power went while it was made
            return
        log.error("outbox.damaged", file=path.name, start=0, end=size)
        if self._is_writer:
            self._aside.take(path)

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            self._folder.files.remove(path)
            self._folder.files.remove(index_of(path))


def most_likely_id(path: Path) -> bytes | None:
    """Return the journal id that most files of a folder have; ``None``: none has one."""
    votes: Counter[bytes] = Counter()
    for file in path.iterdir():
        if file.suffix == ".events" or file.name.startswith("state-"):
            with contextlib.suppress(OSError, JournalCorrupt, JournalTooNew), file.open("rb") as begin:
                votes[decode_header(begin.read(HEADER_BYTES)).journal] += 1
    if not votes:  # a file that has lost its first page is skipped
        marked = marked_id(path)
        votes.update([] if marked is None else [marked])
        for file in path.glob("*.index"):
            with contextlib.suppress(OSError):
                index = decode_index(file.read_bytes())
                votes.update([] if index is None else [index.journal])
    return votes.most_common(1)[0][0] if votes else None
