"""Notices: told once by however many receivers, in order, and bounded."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.store.conftest import Opener
from tests.store.events import RECEIVED_MS, arrival, record
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
    found = told.page().items
    assert [one.kind for one in found] == ["terminal.offline", "terminal.back", "terminal.offline"]
    assert found[0].id > found[1].id > found[2].id


def test_a_notice_has_its_terminal_and_the_numbers(open_store: Opener) -> None:
    store = open_store()
    row = ensured(store, "SN-1", now_ms=RECEIVED_MS)
    told = Notices(store)
    told.tell([offline(row.id)], now_ms=RECEIVED_MS)

    (notice,) = told.page().items

    assert (notice.serial, notice.site, notice.detail) == ("SN-1", "default", {"silent_s": 3600})


def test_receivers_that_tell_at_once_tell_it_once(open_postgres: Opener) -> None:
    everyone = [Notices(open_postgres()) for _ in range(4)]

    def tell(number: int) -> int:
        return everyone[number % 4].tell([offline(number // 4), offline(100 + number)], now_ms=RECEIVED_MS)

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(tell, range(40)))

    assert sum(counts) == 10 + 40
    ids = [one.id for one in everyone[0].page(limit=1000).items]
    assert len(set(ids)) == 50


def test_the_latest_are_kept(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "MAX_NOTICES", 10)
    store = open_store()
    told = Notices(store)
    for number in range(15):
        told.tell([offline(number), back(number)], now_ms=RECEIVED_MS)

    assert [one.subject for one in told.page(limit=1000).items] == [
        str(number) for number in range(14, 9, -1) for _ in range(2)
    ]
    page = store.read_feed(0, 100, ["notice"])
    assert (len(page.items), page.deleted) == (10, {"notice": 20})


def test_pages_follow_each_other(open_store: Opener) -> None:
    told = Notices(open_store())
    told.tell([offline(number) for number in range(25)], now_ms=RECEIVED_MS)
    found: list[str] = []
    cursor = None
    while True:
        page = told.page(limit=10, cursor=cursor)
        found += [one.subject for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert found == [str(number) for number in range(24, -1, -1)]


def test_a_notice_stands_in_the_feed_among_what_terminals_send(open_store: Opener) -> None:
    store = open_store()
    row = ensured(store, "SN-1", now_ms=RECEIVED_MS)
    before = store.write([arrival(record(1), row.id)])[0].id
    Notices(store).tell([offline(row.id)], now_ms=RECEIVED_MS)
    behind = store.write([arrival(record(2), row.id)])[0].id

    (notice,) = store.read_feed(0, 10, ["notice"]).items

    assert before < notice.id < behind
    assert [item.kind for item in store.read_feed(0, 10).items] == ["record", "record"]
