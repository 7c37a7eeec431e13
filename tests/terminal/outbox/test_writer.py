"""The writer: shared commits, and nobody who pays for somebody else."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gatepost.errors import OutboxError, OutboxFull, OutboxUnavailable
from gatepost.terminal.outbox.schema import connect, unavailable
from gatepost.terminal.outbox.writer import Transaction, Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Writer]:
    writer = Writer(
        connect(path),
        explain=lambda error: unavailable(error, path),
        reconnect=lambda: connect(path),
        prologue=lambda transaction: None,
    )
    yield writer
    await writer.close()


@pytest.fixture
def held(writer: Writer) -> Iterator[threading.Event]:
    """Holds the writer's thread up, so that everything submitted meanwhile waits for one transaction."""
    go = threading.Event()
    writer.submit(lambda transaction: go.wait(30))
    yield go
    go.set()


def accept(transaction: Transaction) -> int:
    transaction.ledger.accepted += 1
    return transaction.ledger.accepted


def fail(transaction: Transaction) -> int:
    """What a full disk looks like to SQLite: the file may not grow."""
    transaction.ledger.accepted += 1000
    (pages,) = transaction.db.execute("PRAGMA page_count").fetchone()
    transaction.db.execute(f"PRAGMA max_page_count = {pages}")
    try:
        transaction.db.execute("INSERT INTO body (head, tail, image) VALUES (x'', x'', zeroblob(1000000))")
    finally:
        transaction.db.execute("PRAGMA max_page_count = 1000000000")
    return 0


def refuse(transaction: Transaction) -> int:
    raise OutboxFull("full")


async def accepted(writer: Writer) -> int:
    return await writer.submit(lambda transaction: transaction.ledger.accepted)


async def test_those_who_wait_together_share_one_commit(writer: Writer, held: threading.Event) -> None:
    transactions: list[Transaction] = []
    waiting = [writer.submit(transactions.append) for _ in range(16)]
    held.set()
    await asyncio.gather(*waiting)
    assert len(transactions) == 16
    assert len({id(transaction) for transaction in transactions}) == 1


async def test_a_refusal_is_told_to_its_caller_and_harms_nobody(
    writer: Writer, held: threading.Event
) -> None:
    results = asyncio.gather(
        *(writer.submit(work) for work in (accept, refuse, accept)), return_exceptions=True
    )
    held.set()
    first, second, third = await results
    assert (first, third) == (1, 2)
    assert isinstance(second, OutboxFull)
    assert await accepted(writer) == 2


async def test_a_failure_is_told_to_its_caller_and_the_others_are_written(
    writer: Writer, held: threading.Event
) -> None:
    results = asyncio.gather(
        *(writer.submit(work) for work in (accept, fail, accept)), return_exceptions=True
    )
    held.set()
    first, second, third = await results
    assert (first, third) == (1, 2)
    assert isinstance(second, OutboxError)
    assert await accepted(writer) == 2


async def test_a_failing_disk_is_said_until_it_takes_something_again(writer: Writer) -> None:
    with pytest.raises(OutboxUnavailable, match="the disk is full; free some space"):
        await writer.submit(fail)
    assert writer.storage_error is not None
    await writer.submit(accept)
    assert writer.storage_error is None


async def test_a_defect_in_one_piece_of_work_commits_nothing_of_it_and_harms_nobody(
    writer: Writer, held: threading.Event
) -> None:
    def defect(transaction: Transaction) -> None:
        transaction.db.execute("UPDATE ledger SET accepted = 99")
        raise ZeroDivisionError

    results = asyncio.gather(writer.submit(defect), writer.submit(accept), return_exceptions=True)
    held.set()
    first, second = await results
    assert isinstance(first, ZeroDivisionError)
    assert second == 1
    assert writer.storage_error is None
    assert await accepted(writer) == 1


async def test_a_commit_with_a_new_event_is_synced_and_others_are_not(writer: Writer) -> None:
    def synchronous(transaction: Transaction) -> int:
        return int(transaction.db.execute("PRAGMA synchronous").fetchone()[0])

    assert await writer.submit(synchronous, durable=True) == 2
    assert await writer.submit(synchronous) == 1
    assert await writer.submit(synchronous, durable=True) == 2


async def test_the_answer_comes_after_the_commit(writer: Writer, path: Path) -> None:
    await writer.submit(accept)
    other = sqlite3.connect(path)
    assert other.execute("SELECT accepted FROM ledger").fetchone() == (1,)
    other.close()


async def test_what_is_done_after_a_commit_is_not_done_without_one(writer: Writer) -> None:
    done: list[str] = []

    def work(transaction: Transaction) -> int:
        transaction.after.append(lambda: done.append("after"))
        return fail(transaction)

    with pytest.raises(OutboxUnavailable):
        await writer.submit(work)
    assert done == []


async def test_a_fallback_answers_where_the_disk_does_not(writer: Writer) -> None:
    assert await writer.submit(fail, fallback=lambda db: 7) == 7


async def test_everything_that_was_submitted_is_finished_before_it_closes(writer: Writer) -> None:
    waiting = [writer.submit(accept) for _ in range(600)]
    await writer.close()
    assert [await one for one in waiting] == list(range(1, 601))
    with pytest.raises(OutboxUnavailable, match="closed"):
        await writer.submit(accept)
