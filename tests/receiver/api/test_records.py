"""Pages of records while a writer writes, on both databases."""

import asyncio
import random
from urllib.parse import quote

import pytest
from tests.receiver.kit import Running, record


async def pages(running: Running, query: str, *, limit: int = 7) -> list[str]:
    """The uuid of everything that a list shows, page by page."""
    found: list[str] = []
    cursor = ""
    while True:
        answer = (await running.get(f"/api/v1/records?limit={limit}&{query}{cursor}")).json
        found += [item["uuid"] for item in answer["items"]]
        if answer["next_cursor"] is None or (query.endswith("received") and not answer["items"]):
            return found
        cursor = "&cursor=" + quote(answer["next_cursor"])


@pytest.mark.parametrize(
    "query", ["order=newest", "order=oldest", "order=received", "person=1&order=newest", "q=J1&order=oldest"]
)
async def test_paging_neither_skips_nor_repeats_while_events_arrive(either: Running, query: str) -> None:
    rand = random.Random(query)
    written: list[str] = []

    async def write(count: int) -> None:
        """Passages of the past and of now: backlogs arrive in the middle of a list."""
        for _ in range(0, count, 6):
            names = [f"u-{len(written) + n}" for n in range(6)]
            written.extend(names)
            pushes = (
                either.push(
                    record(
                        uuid=name,
                        timestamp=1_685_343_715 + rand.randrange(50),
                        user={"name": "n", "user_id": "1", "job_number": "J1"},
                    )
                )
                for name in names
            )
            assert [answer.status for answer in await asyncio.gather(*pushes)] == [200] * 6

    await write(60)
    before = set(written)
    writing = asyncio.create_task(write(90))
    for _ in range(2):
        found = await pages(either, query)
        assert len(found) == len(set(found))
        assert before <= set(found)
    await writing
    assert sorted(await pages(either, query)) == sorted(written)


async def test_a_cursor_of_arrival_goes_on_with_what_arrives_later(either: Running) -> None:
    await either.push(record(uuid="a"))
    first = (await either.get("/api/v1/records?order=received")).json
    assert (await either.get(f"/api/v1/records?order=received&cursor={first['next_cursor']}")).json[
        "items"
    ] == []
    await either.push(record(uuid="b", timestamp=1))
    later = (await either.get(f"/api/v1/records?order=received&cursor={first['next_cursor']}")).json
    assert [item["uuid"] for item in later["items"]] == ["b"]


async def test_a_cursor_of_another_order_is_refused(either: Running) -> None:
    for number in range(2):
        await either.push(record(uuid=f"u-{number}"))
    cursor = (await either.get("/api/v1/records?order=newest&limit=1")).json["next_cursor"]
    assert (await either.get(f"/api/v1/records?order=oldest&cursor={cursor}")).status == 400


async def test_one_record_is_as_the_list_shows_it(either: Running) -> None:
    await either.push(record())
    (item,) = (await either.get("/api/v1/records")).json["items"]
    assert (await either.get(f"/api/v1/records/{item['id']}")).json == item
    for number in (item["id"] + 1, 1 << 70):
        assert (await either.get(f"/api/v1/records/{number}")).status == 404


async def test_a_record_from_the_future_is_listed_by_its_receipt_and_says_so(receiver: Running) -> None:
    await receiver.push(record(uuid="from-the-future-1", timestamp=4_436_000_000))
    (item,) = (await receiver.get("/api/v1/records")).json["items"]
    assert item["recorded_at"].startswith("2110-")
    assert item["listed_at"] == item["received_at"]
    assert [problem["where"] for problem in item["problems"]] == ["data.timestamp"]
    assert (await receiver.get("/api/v1/records?since=2100-01-01T00:00:00Z")).json["items"] == []
    (terminal,) = (await receiver.get("/api/v1/terminals")).json["items"]
    assert terminal["last_recorded_at"] is None
    assert terminal["clock_error_ms"] > 80 * 365 * 86_400_000
