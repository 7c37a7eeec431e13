"""Pages of records while a writer writes, on both databases."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.receiver.api.listener import Listener
from tests.receiver.kit import Running, alarm, receiving, record


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


async def test_an_event_says_site_terminal_and_zone_in_list_single_stream_and_file(either: Running) -> None:
    listener = await Listener.open(either)
    site = either.store.create_site("east", "Asia/Shanghai", now_ms=0)
    either.store.create_terminal(now_ms=0, serial="SN-9", name="gate", site_id=site.id)
    await either.push(record(deviceSN="SN-9"), headers={"sn": "SN-9"})
    await either.push(alarm(), headers={"sn": "SN-9"})
    place = {
        "terminal": "SN-9",
        "terminal_name": "gate",
        "site_id": site.id,
        "site": "east",
        "timezone": "Asia/Shanghai",
    }
    told = {event.kind: event.data for event in await listener.events(2)}
    for kind in ("record", "alarm"):
        (listed,) = (await either.get(f"/api/v1/{kind}s")).json["items"]
        single = (await either.get(f"/api/v1/{kind}s/{listed['id']}")).json
        (line,) = (await either.get(f"/api/v1/{kind}s/export?format=jsonl")).body.splitlines()
        assert listed == single == told[kind]
        for item in (listed, json.loads(line)):
            assert {name: item[name] for name in place} == place
        # A file has the same moments, by the clocks of the terminal.
        name = "received_at" if kind == "record" else "first_at"
        assert json.loads(line)[name].endswith("+08:00")
        assert listed[name].endswith("Z")


@pytest.mark.parametrize("scope", ["site", "terminal", "everywhere"])
async def test_the_id_of_a_records_person_is_that_of_people(scope: Any, tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", people_scope=scope) as running:
        site = running.store.create_site("east", "UTC", now_ms=0)
        for serial, site_id in (("SN-1", 1), ("SN-2", 1), ("SN-3", site.id)):
            running.store.create_terminal(now_ms=0, serial=serial, site_id=site_id)
        user = record()["data"]["user"]
        for number, (serial, job) in enumerate((("SN-1", "A"), ("SN-1", "B"), ("SN-2", "B"), ("SN-3", "B"))):
            body = record(uuid=f"u-{number}", deviceSN=serial, user={**user, "job_number": job})
            await running.push(body, headers={"sn": serial})
        await running.push(record(uuid="u-9", user=None, recognitionType=3))
        items = (await running.get("/api/v1/records?order=received")).json["items"]
        ids = [item["person"] and item["person"]["id"] for item in items]
        assert ids.pop() is None
        same = {"site": [0, 0, 0, 1], "terminal": [0, 0, 1, 2], "everywhere": [0, 0, 0, 0]}[scope]
        assert [list(dict.fromkeys(ids)).index(one) for one in ids] == same
        assert set(ids) == {one["id"] for one in (await running.get("/api/v1/people")).json["items"]}
        for one in ids:
            assert (await running.get(f"/api/v1/people/{one}")).json["id"] == one


async def test_the_original_is_told_where_it_is_asked_for_and_nowhere_else(either: Running) -> None:
    listeners = [await Listener.open(either, query) for query in ("", "?include=original")]
    stranger = record(uuid="u-2", user=None, recognitionType=3)
    for body in (record(), stranger, alarm()):
        await either.push(body)
        either.settle()  # else the alarm may come first
    (first, _, step) = await listeners[0].events(3)
    (full, _, full_step) = await listeners[1].events(3)
    assert "original" not in first.data
    assert json.loads(full.data["original"])["data"]["uuid"] == first.data["uuid"]
    assert "original" not in step.data["history"][0]
    assert json.loads(full_step.data["history"][0]["original"])["type"] == 1
    record_id, alarm_id = first.data["id"], step.data["id"]
    for path in ("records", f"records/{record_id}", "people/strangers", "alarms", f"alarms/{alarm_id}"):
        for query, told in (("", False), ("?include=original", True)):
            answer = await either.get(f"/api/v1/{path}{query}")
            assert (b'"original":' in answer.body) is told, path
    for what in ("records", "alarms"):
        for query, told in (("", False), ("&include=original", True)):
            answer = await either.get(f"/api/v1/{what}/export?format=jsonl{query}")
            assert (b'"original":' in answer.body) is told, what
    refused = await either.get("/api/v1/records/export?format=csv&include=original")
    assert (refused.status, "format=jsonl" in refused.json["detail"]) == (400, True)
    assert (await either.get("/api/v1/records?include=everything")).status == 400
