"""``/inside``, marks and joins in the console; directions of terminals on their pages."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.console.kit import Desk
from tests.receiver.kit import record


async def passed(desk: Desk, user_id: str, name: str, serial: str = "SN-1", ago: int = 60) -> str:
    user = record()["data"]["user"] | {"user_id": user_id, "name": name}
    sent = record(
        uuid=f"{user_id}-{serial}-{ago}", user=user, deviceSN=serial, timestamp=int(time.time()) - ago
    )
    assert (await desk.running.push(sent)).status == 200
    items = (await desk.running.get(f"/api/v1/people?q={user_id}")).json["items"]
    return next(str(one["id"]) for one in items if one["user_id"] == user_id)


async def test_a_guard_reads_who_is_inside(desk: Desk) -> None:
    await passed(desk, "601", "Anna")
    page = await desk.get("/inside", "guard")
    assert (page.status, page.title) == (200, "Who is inside")
    assert "1 person" in page.words
    assert "Anna" in page.words
    assert 'href="/people/' not in page.html
    assert "Excel" not in page.words
    part = await desk.get("/inside/now", "guard")
    assert "Anna" in part.words
    assert "<html" not in part.html
    assert (await desk.get("/inside/export?format=csv", "guard")).status == 403
    assert 'href="/people/' in (await desk.get("/inside", "viewer")).html


async def test_filters_of_who_is_inside(desk: Desk) -> None:
    await passed(desk, "601", "Anna")
    before = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M}"
    assert "No one is inside." in (await desk.get(f"/inside?at={before}Z")).words
    assert "data-now" not in (await desk.get(f"/inside?at={before}Z")).html
    assert "No one is inside." in (await desk.get("/inside?kind=visitors")).words
    assert "Anna" in (await desk.get("/inside?group=%E6%B5%8B%E8%AF%953&kind=employees")).words
    wrong = await desk.get("/inside?at=2999-01-01T00:00Z&kind=x")
    assert "Anna" in wrong.words
    assert "At a time" in wrong.words
    assert (await desk.get("/inside/export?at=x", "operator")).status == 400
    file = await desk.get("/inside/export?format=csv", "operator")
    assert "Anna" in file.html


async def test_the_direction_of_terminals_is_set_on_their_pages(desk: Desk) -> None:
    await passed(desk, "601", "Anna")
    await passed(desk, "601", "Anna", "SN-2", ago=30)
    assert (await desk.post("/terminals/1", name="Gate", site=1, direction="in")).status == 303
    assert desk.store.terminals()[0].direction == "in"
    assert "Direction in" in (await desk.get("/terminals/1")).words
    assert (await desk.post("/terminals/1", name="Gate", site=1)).status == 303
    assert desk.store.terminals()[0].direction == "in"
    assert (await desk.post("/terminals/chosen/direct", ids=[1, 2], direction="out")).status == 303
    assert [row.direction for row in desk.store.terminals()] == ["out", "out"]
    assert "No one is inside." in (await desk.get("/inside")).words
    for path in ("/terminals/1", "/terminals/chosen/direct"):
        assert (await desk.post(path, ids=[1], direction="up", name="Gate", site=1)).status == 400
    text = "Serial number,Name,Direction\nSN-1,Gate,in\nSN-2,Back,进出\nSN-1,x,sideways\n"
    checked = await desk.post("/terminals/names", list=text)
    assert "2 terminals are changed. 1 line is not used." in checked.words
    assert (await desk.post("/terminals/names", list=text, sure="yes")).status == 303
    assert [(row.name, row.direction) for row in desk.store.terminals()] == [("Gate", "in"), ("Back", "both")]
    listed = (await desk.get("/terminals/names/list")).html
    assert "SN-1,Gate,in" in listed.splitlines()
    assert "SN-2,Back,both ways" in listed.splitlines()
    again = await desk.post("/terminals/names", list=listed)
    assert "0 terminals are changed" in again.words
    wrong = await desk.post("/terminals/names", list="SN-1,Gate,sideways")
    assert "the direction is none of in, out, both" in wrong.words


async def test_a_mark_is_shown_in_lists_and_on_the_live_page(desk: Desk) -> None:
    person = await passed(desk, "601", "Anna")
    marked = await desk.post(
        f"/people/{person}/mark", "operator", reason="ask <her>", until="2999-01-01T00:00"
    )
    assert (marked.status, marked.location) == (303, f"/people/{person}?done=saved")
    for path in ("/", "/people", f"/people/{person}", "/records", "/inside", "/records/1"):
        assert "ask <her>" in (await desk.get(path, "viewer")).words, path
    assert "data-marked" in (await desk.get("/", "guard")).html
    assert "ask <her>" in (await desk.get("/inside", "guard")).words
    for wrong in ({"reason": ""}, {"reason": "x", "until": "yesterday"}):
        assert (await desk.post(f"/people/{person}/mark", "operator", **wrong)).status == 400
    assert (await desk.post(f"/people/{person}/unmark", "operator")).status == 303
    assert "ask <her>" not in (await desk.get("/people", "viewer")).words
    assert (await desk.post(f"/people/{person}/unmark", "operator")).status == 404


@pytest.mark.parametrize("verb", ["mark", "unmark", "same", "join", "part"])
async def test_a_viewer_changes_nothing_about_people(desk: Desk, verb: str) -> None:
    assert (
        await desk.post(f"/people/1/{verb}", "viewer", reason="x", q="x", other="1", number=1)
    ).status == 403


async def test_people_are_joined_and_parted(desk: Desk) -> None:
    one, other = await passed(desk, "601", "Anna"), await passed(desk, "702", "A. Berg")
    found = await desk.post(f"/people/{one}/same", "operator", q="Berg")
    assert "A. Berg" in found.words
    assert f'name="other" value="{other}"' in found.html
    assert (
        "Nothing fits these filters." in (await desk.post(f"/people/{one}/same", "operator", q="Anna")).words
    )
    joined = await desk.post(f"/people/{one}/join", "operator", other=other)
    assert joined.status == 303
    page = await desk.get(f"/people/{one}", "operator")
    assert "One person, several numbers" in page.words
    assert "601" in page.words
    numbers = (await desk.running.get(f"/api/v1/people/{one}/joined")).json["items"]
    assert len(numbers) == 2
    number = numbers[1]["number_id"]
    assert (await desk.post(f"/people/{one}/part", "operator", number=number)).status == 303
    assert "One person, several numbers" not in (await desk.get(f"/people/{one}", "operator")).words
    assert (await desk.post(f"/people/{one}/part", "operator", number=number)).status == 404
    assert (await desk.post(f"/people/{one}/join", "operator", other="99")).status == 400
