"""Notices: told once by however many receivers, in order, and bounded."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.store.conftest import Opener
from tests.store.events import RECEIVED_MS
from tests.terminals import ensured

from gatepost.store.query import notices
from gatepost.store.query.notices import NewNotice, Notices


def offline(number: int) -> NewNotice:
    return NewNotice(
        kind="terminal.offline", subject=str(number), terminal_id=number, detail={"silent_s": 3600}
    )


def back(number: int) -> NewNotice:
    return NewNotice(kind="terminal.back", subject=str(number), terminal_id=number)


def test_a_condition_is_told_once_until_it_is_over(open_store: Opener) -> None:
    told = Notices(open_store())

    assert [told.tell([one], now_ms=RECEIVED_MS) for one in (offline(1), offline(1), back(1), back(1), offline(1))] == [
        1, 0, 1, 0, 1
    ]  # fmt: skip
    assert told.standing() == {("terminal.offline", "1")}
    assert [(one.id, one.kind) for one in told.page().items] == [
        (3, "terminal.offline"),
        (2, "terminal.back"),
        (1, "terminal.offline"),
    ]


def test_a_notice_has_its_terminal_and_the_numbers(open_store: Opener) -> None:
    store = open_store()
    row = ensured(store, "SN-1", now_ms=RECEIVED_MS)
    told = Notices(store)
    told.tell([offline(row.id)], now_ms=RECEIVED_MS)

    (notice,) = told.page().items

    assert (notice.serial, notice.site, notice.detail) == ("SN-1", "default", {"silent_s": 3600})


def test_receivers_that_tell_at_once_tell_it_once_and_leave_no_gap(open_postgres: Opener) -> None:
    """Each id is committed after all that are lower."""
    everyone = [Notices(open_postgres()) for _ in range(4)]

    def tell(number: int) -> int:
        return everyone[number % 4].tell([offline(number // 4), offline(100 + number)], now_ms=RECEIVED_MS)

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(tell, range(40)))

    assert sum(counts) == 10 + 40
    ids = [one.id for one in everyone[0].page(limit=1000).items]
    assert ids == list(range(50, 0, -1))


def test_the_latest_are_kept(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "MAX_NOTICES", 10)
    told = Notices(open_store())
    for number in range(15):
        told.tell([offline(number), back(number)], now_ms=RECEIVED_MS)

    assert [one.id for one in told.page(limit=1000).items] == list(range(30, 20, -1))


def test_pages_follow_each_other(open_store: Opener) -> None:
    told = Notices(open_store())
    told.tell([offline(number) for number in range(25)], now_ms=RECEIVED_MS)
    found, cursor = [], None
    while True:
        page = told.page(limit=10, cursor=cursor)
        found += [one.id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert found == list(range(25, 0, -1))
