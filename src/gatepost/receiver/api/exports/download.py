"""Send a file: in its turn, with a line in the audit log before it and one behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Literal, TypeVar

import structlog
from litestar.exceptions import HTTPException
from litestar.response import Stream
from msgspec import Struct

from gatepost.errors import StoreError
from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.shapes import answering
from gatepost.receiver.api.streaming import streamed
from gatepost.receiver.exports.columns import Column, Words, chosen
from gatepost.receiver.exports.formats import (
    Picture,
    Table,
    csv_pieces,
    jsonl_pieces,
    xlsx_pieces,
    zip_pieces,
)
from gatepost.wire.codes import Language

__all__ = [
    "AT_ONCE",
    "PAGE",
    "TYPES",
    "FileOptions",
    "Format",
    "Rows",
    "answer_file",
    "pieces_of",
    "table_of",
]

log = structlog.get_logger(__name__)

PAGE = 250
"""Rows that are read at once: more of them cost memory and save hardly any time."""

AT_ONCE = 4
"""Exports under way in one process."""

Format = Literal["csv", "xlsx", "jsonl", "zip"]

TYPES: dict[Format, str] = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
    "zip": "application/zip",
}

Row = TypeVar("Row")

_turns = threading.BoundedSemaphore(AT_ONCE)


class FileOptions(Struct, frozen=True, kw_only=True):
    """How a file is to be written."""

    format: Format
    columns: str | None = None
    """Names of columns with commas in between; ``None``: all of them."""
    lang: Language = "en"
    tz: str | None = None
    """The zone of the times; ``None``: that of each terminal."""
    include: str | None = None
    """Of JSON lines: ``original`` for what was pushed."""


class Rows:
    """Count what an export has read so far."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, pages: Callable[[], Iterator[Sequence[Row]]]) -> Callable[[], Iterator[Sequence[Row]]]:
        """Return what yields these pages, counted."""

        def counted() -> Iterator[Sequence[Row]]:
            for page in pages():
                self.count += len(page)
                yield page

        return counted


def table_of(
    columns: Sequence[Column[Row]],
    title: str,
    options: FileOptions,
    pages: Callable[[], Iterator[Sequence[Row]]],
) -> Table[Row]:
    """Return the table to be written. Raises :class:`ValueError` for a column that there is not."""
    wanted = [name.strip() for name in (options.columns or "").split(",") if name.strip()]
    words = Words(options.lang, timezone=options.tz or None)
    return Table(title, chosen(columns, wanted), words, pages)


def pieces_of(
    table: Table[Row],
    form: Format,
    items: Callable[[Sequence[Row]], Sequence[object]],
    picture: Callable[[Row], Picture | None] = lambda _: None,
) -> Iterator[bytes]:
    """Return the file of a table, piece by piece."""
    match form:
        case "csv":
            return csv_pieces(table)
        case "xlsx":
            return xlsx_pieces(table)
        case "jsonl":
            return jsonl_pieces(table.pages(), items)
        case "zip":
            return zip_pieces(table, picture)


async def answer_file(
    request: AnyRequest,
    access: Access,
    begin: Callable[[Rows], Iterator[bytes]],
    *,
    what: str,
    form: Format,
    detail: dict[str, object],
) -> Stream:
    """Send what ``begin`` makes as a file, in its turn, with a line in the audit log before it and one behind it."""
    access.shares.exports.take(request.user)
    if not _turns.acquire(blocking=False):
        access.shares.exports.give_back(request.user)
        raise HTTPException(
            f"{AT_ONCE} exports are under way already; try again when one has ended",
            status_code=503,
            headers={"retry-after": "30"},
        )

    rows = Rows()

    def noted() -> Iterator[bytes]:
        with answering():
            pieces = begin(rows)
        access.note(request, f"{what}.exported", form, **detail)
        return ended(pieces)

    def ended(pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        finally:  # also where the client left
            try:
                access.note(request, f"{what}.export_ended", form, rows=rows.count)
            except StoreError as error:
                log.warning("export.end_not_noted", rows=rows.count, why=str(error))

    moment = datetime.fromtimestamp(access.doors.now_ms() / 1000, UTC)
    name = f"{what}-{moment:%Y%m%dT%H%M%SZ}.{form}"
    return await streamed(
        request,
        _steps(noted, lambda: access.shares.exports.give_back(request.user)),
        media_type=TYPES[form],
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
    )


async def _steps(
    begin: Callable[[], Iterator[bytes]], ended: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of an export, each made in the export's own thread: one at a time, and one heap for all of them.

    Gives the turn back, and calls ``ended``, when the last step has ended, also where nobody waits for it any more.
    """
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(1, "gatepost-export")
    pieces: Iterator[bytes] = iter(())
    try:
        pieces = await loop.run_in_executor(pool, begin)
        yield b""
        while (piece := await loop.run_in_executor(pool, next, pieces, None)) is not None:
            yield piece
    finally:
        pool.submit(_finish, pieces, ended)
        pool.shutdown(wait=False)


def _finish(pieces: Iterator[bytes], ended: Callable[[], None]) -> None:
    try:
        if isinstance(pieces, Generator):
            pieces.close()
    finally:
        _turns.release()
        ended()
