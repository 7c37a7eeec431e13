import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gatepost.simulator.demo.inventory import Api, ApiError, Expected, Inventory, Stored, compare, digest
from gatepost.wire import Alarm, Record


def inventory(*events: tuple[str, str, str | None]) -> Inventory:
    return Inventory(tuple(Stored(*event) for event in events), {})


RECORDED = {"A": [Expected("1", "x"), Expected("2", None)], "B": [Expected("3", "z")]}


def test_equal_sets_hold() -> None:
    verdicts, strangers = compare(RECORDED, inventory(("1", "A", "x"), ("2", "A", None), ("3", "B", "z")))
    assert all(verdict.holds for verdict in verdicts.values())
    assert (verdicts["A"].recorded, verdicts["A"].stored) == (2, 2)
    assert strangers == []


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ([("1", "A", "x")], "lost"),
        ([("1", "A", "x"), ("2", "A", None), ("2", "A", None)], "duplicates"),
        ([("1", "A", "x"), ("2", "B", None)], "misfiled"),
        ([("1", "A", "y"), ("2", "A", None)], "altered"),
        ([("1", "A", None), ("2", "A", None)], "altered"),
    ],
)
def test_every_difference_is_found_and_named(stored: list[tuple[str, str, str | None]], field: str) -> None:
    verdicts, _ = compare(RECORDED, inventory(*stored, ("3", "B", "z")))
    assert getattr(verdicts["A"], field) == 1
    assert not verdicts["A"].holds
    assert verdicts["B"].holds


def test_the_right_number_of_wrong_events_does_not_hold() -> None:
    verdicts, strangers = compare(RECORDED, inventory(("1", "A", "x"), ("9", "A", None), ("3", "B", "z")))
    assert verdicts["A"].lost == 1
    assert [event.key for event in strangers] == ["9"]


def test_an_event_is_told_by_what_it_bears() -> None:
    at = datetime(2026, 1, 5, tzinfo=UTC)
    assert Expected.of(Record(uuid="u", image=b"jpeg")) == Expected("u", digest(b"jpeg"))
    assert Expected.of(Alarm(trace_id="t", status=3, event_time=at)) == Expected("t/3", None)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    records = [
        {"id": n, "terminal": "A", "uuid": str(n), "image": f"/image/{n}" if n % 2 else None}
        for n in range(5)
    ]
    steps = [{"status": 1, "image": "/image/1"}, {"status": 3, "image": None}]
    alarms = [{"terminal": "A", "trace_id": "t", "history": steps}]

    def check(request: web.Request) -> None:
        if request.headers.get("authorization") != "Bearer secret":
            raise web.HTTPUnauthorized

    async def listing(request: web.Request) -> web.Response:
        check(request)
        items: list[Any] = records if request.path.endswith("records") else alarms
        begin = int(request.query.get("cursor", "0"))
        end = begin + 2
        answer = {"items": items[begin:end], "next_cursor": str(end) if end < len(items) else None}
        return web.Response(body=msgspec.json.encode(answer))

    async def image(request: web.Request) -> web.Response:
        check(request)
        return web.Response(body=b"jpeg " + request.match_info["n"].encode())

    behind = itertools.chain([2, 1], itertools.repeat(0))

    async def stats(request: web.Request) -> web.Response:
        check(request)
        return web.json_response({"records": 5, "journal": {"events": next(behind)}})

    app = web.Application()
    app.add_routes(
        [
            web.get("/api/v1/records", listing),
            web.get("/api/v1/alarms", listing),
            web.get("/api/v1/stats", stats),
            web.get("/image/{n}", image),
        ]
    )
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


async def secret() -> str:
    return "secret"


async def test_it_reads_every_page_and_every_image_with_a_token_that_it_asks_for(server: TestServer) -> None:
    async with Api(str(server.make_url("/")), token=secret) as api:
        found = await api.inventory()
    assert found.stats == {"records": 5, "journal": {"events": 0}}
    assert [event.key for event in found.events] == ["0", "1", "2", "3", "4", "t/1", "t/3"]
    assert found.events[3] == Stored("3", "A", digest(b"jpeg 3"))
    assert found.events[5] == Stored("t/1", "A", digest(b"jpeg 1"))
    assert found.events[4].image is None


async def test_an_answer_that_is_not_ok_is_told_with_its_status(server: TestServer) -> None:
    async with Api(str(server.make_url("/"))) as api:
        with pytest.raises(ApiError, match="HTTP 401"):
            await api.inventory()
    async with Api(str(server.make_url("/")), token=secret) as api:
        with pytest.raises(ApiError, match="HTTP 404"):
            await api.get("/api/v1/nothing")


async def test_nobody_there_is_told_as_well() -> None:
    async with Api("http://127.0.0.1:9") as api:
        with pytest.raises(ApiError, match="/api/v1/stats failed"):
            await api.get("/api/v1/stats")
