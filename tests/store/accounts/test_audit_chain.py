"""A line of the audit log that is changed, removed or put in later shows."""

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, update

from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.audit_chain import Link, _digest
from gatepost.store.base import BaseStore
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.schema import tables as t

DAY_MS = 86_400_000
NOW = 1_700_000_000_000


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    return open_store()


def note(store: BaseStore, count: int, *, at_ms: int = NOW, actor: str = "anna") -> None:
    for number in range(count):
        Accounts(store).note(
            now_ms=at_ms,
            actor=actor,
            address="::1",
            action="tried",
            subject=f"第 {number}",
            detail={"n": number},
        )


def broken(store: BaseStore, known: Link | None = None) -> int | None:
    return Accounts(store).verify_audit(known).broken


def test_a_log_that_nothing_happened_to_fits(store: BaseStore) -> None:
    assert Accounts(store).verify_audit().lines == 0
    note(store, 5)
    found = Accounts(store).verify_audit()
    assert (found.lines, found.head.id, found.broken) == (5, 5, None)


@pytest.mark.parametrize("column", ["at_ms", "actor", "address", "action", "subject", "detail"])
def test_a_line_that_was_changed_shows(store: BaseStore, column: str) -> None:
    note(store, 5)
    with store.changing() as db:
        db.execute(update(t.audit).where(t.audit.c.id == 3).values({column: 5 if column == "at_ms" else "x"}))
    assert broken(store) == 3


def test_a_line_that_was_removed_shows_the_oldest_and_those_in_between(store: BaseStore) -> None:
    for number in (3, 1):
        note(store, 5)
        with store.changing() as db:
            db.execute(delete(t.audit).where(t.audit.c.id == number))
        assert broken(store) == number


def test_a_line_that_was_removed_shows_also_where_the_digests_were_made_again(store: BaseStore) -> None:
    note(store, 4)
    with store.changing() as db:
        db.execute(delete(t.audit).where(t.audit.c.id == 2))
        digest = bytes(32)
        for row in db.execute(t.audit.select().order_by(t.audit.c.id)).all():
            digest = _digest(digest, row._asdict())
            db.execute(update(t.audit).where(t.audit.c.id == row.id).values(digest=digest))
    assert broken(store) == 2


def test_a_line_that_was_put_in_shows(store: BaseStore) -> None:
    note(store, 2)
    head = Accounts(store).verify_audit().head
    row = {
        "id": 3,
        "at_ms": NOW,
        "actor": "berta",
        "address": "",
        "action": "x",
        "subject": "",
        "detail": "{}",
    }
    with store.changing() as db:
        db.execute(insert(t.audit).values(**row, digest=head.digest))
    assert broken(store) == 3


def test_what_was_cut_off_at_the_new_end_or_written_anew_shows_by_a_digest_kept_elsewhere(
    store: BaseStore,
) -> None:
    note(store, 5)
    known = Accounts(store).verify_audit().head
    with store.changing() as db:
        db.execute(delete(t.audit).where(t.audit.c.id >= 4))
    assert broken(store) is None
    assert broken(store, known) == 4
    note(store, 3, actor="berta")
    assert broken(store) is None
    assert broken(store, known) == 5


def test_what_leaves_when_its_time_is_over_leaves_an_anchor(store: BaseStore) -> None:
    for day in range(6):
        note(store, 2, at_ms=NOW + day * DAY_MS)
    known = Accounts(store).verify_audit().head
    retention = Retention(store, Limits(audit_days=2))
    while retention.once(NOW + 5 * DAY_MS).more:
        pass
    found = Accounts(store).verify_audit(known)
    assert (found.lines, found.head.id, found.broken, found.left.id) == (
        7,
        13,
        None,
        6,
    )  # 13: it was shortened
    while retention.once(NOW + 50 * DAY_MS).more:
        pass
    found = Accounts(store).verify_audit(known)
    assert (found.lines, found.left.id, found.is_left_noted) == (1, 13, True)
    (line,) = Accounts(store).audit().items
    assert (line.id, line.actor, line.action, line.subject) == (14, "gatepost", "audit.shortened", "13")
    note(store, 1)
    assert (broken(store), Accounts(store).verify_audit().head.id) == (None, 15)
    with store.changing() as db:
        db.execute(update(t.audit).values(actor="berta"))
    assert broken(store) == 14


def test_what_another_than_retention_took_from_the_old_end_shows(store: BaseStore) -> None:
    """Also where the anchor was moved along, and all lines or the one of an earlier shortening are gone."""

    def take(up_to: int) -> None:
        with store.changing() as db:
            last = db.execute(t.audit.select().where(t.audit.c.id == up_to)).one()
            db.execute(delete(t.audit).where(t.audit.c.id <= up_to))
            db.execute(delete(t.meta).where(t.meta.c.name == "audit:anchor"))
            value = json.dumps([last.id, last.digest.hex()])
            db.execute(insert(t.meta).values(name="audit:anchor", value=value))

    note(store, 4, at_ms=NOW)
    note(store, 4, at_ms=NOW + 9 * DAY_MS)
    known = Accounts(store).verify_audit().head
    retention = Retention(store, Limits(audit_days=2))
    while retention.once(NOW + 9 * DAY_MS).more:
        pass
    assert Accounts(store).verify_audit(known).is_left_noted
    for number in (5, 9):
        take(number)
        found = Accounts(store).verify_audit(known if number == 5 else None)
        assert (found.left.id, found.is_left_noted) == (number, False)


def test_a_clock_that_went_wrong_neither_empties_the_log_nor_holds_it_up(store: BaseStore) -> None:
    note(store, 1, at_ms=NOW + 900 * DAY_MS)
    note(store, 2, at_ms=NOW)
    note(store, 1, at_ms=NOW + 10 * DAY_MS)
    note(store, 1, at_ms=0)
    retention = Retention(store, Limits(audit_days=2))
    while retention.once(NOW + 10 * DAY_MS).more:
        pass
    assert [row.id for row in Accounts(store).audit().items] == [6, 5, 4]
    (kept,) = [one for one in retention.state(NOW + 10 * DAY_MS) if one.part == "audit"]
    assert (kept.oldest, kept.pending) == (datetime.fromtimestamp(NOW / 1000 + 10 * 86_400, UTC), False)
    assert broken(store) is None


def test_several_that_write_at_once_make_one_chain(open_store: Callable[[], BaseStore]) -> None:
    first = open_store()
    stores = [first, open_store() if isinstance(first, PostgresStore) else first]
    threads = [threading.Thread(target=note, args=(stores[number % 2], 25)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Accounts(first).verify_audit()
    assert (found.lines, found.head.id, found.broken) == (100, 100, None)


def test_the_digest_is_what_the_documentation_says(store: BaseStore) -> None:
    note(store, 2)
    before = bytes(32)
    with store.reading() as db:
        rows = db.execute(t.audit.select().order_by(t.audit.c.id)).all()
    for row in rows:
        line = [row.id, row.at_ms, row.actor, row.address, row.action, row.subject, row.detail]
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        assert row.digest == hashlib.sha256(before + text.encode()).digest()
        before = row.digest
