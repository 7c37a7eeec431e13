"""Every look at a face, every search, export, login and denial leaves a line, under the name of who did it."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.receiver.api.listener import Listener
from tests.receiver.kit import JPEG, Running, alarm, base64, body, receiving, record

from gatepost.console.commands import console_pages
from gatepost.receiver.api.events import live
from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.rows import Role

PASSWORD = "correct horse"


async def audit(receiver: Running) -> list[tuple[str, str, str, dict[str, Any]]]:
    await asyncio.to_thread(receiver.desk.access.groups.flush, all_of_them=True)
    rows = Accounts(receiver.store).audit(limit=1000).items
    return [(row.actor, row.action, row.subject, row.detail) for row in reversed(rows)]


def of(receiver: Running, role: Role, sites: list[int] | None = None) -> dict[str, str]:
    secret, _ = issue_token(Accounts(receiver.store), role, role, by="anna", now_ms=0, sites=sites)
    return {"Authorization": f"Bearer {secret}"}


async def test_an_image_that_is_opened_leaves_a_line_before_it_is_sent(either: Running) -> None:
    for number in range(4):
        event = record(uuid=f"4d3987c1-a3b3-470b-9fb7-e114772c06{number:02}", rgb_image=base64(JPEG))
        assert (await either.push(event)).status == 200
    ids = [row.id for row in either.records()]
    viewer = of(either, "viewer")
    assert (await either.request("GET", f"/api/v1/records/{ids[0]}/image", headers=viewer)).status == 200
    (line,) = Accounts(either.store).audit().items
    assert (line.actor, line.action) == ("token:viewer", "images.opened")
    for number in ids[1:]:
        await either.request("GET", f"/api/v1/records/{number}/image", headers=viewer)
    assert (await either.request("GET", "/api/v1/records/999999/image", headers=viewer)).status == 404
    token = {"token": 1, "made_by": "anna"}
    assert await audit(either) == [
        ("token:viewer", "images.opened", "", {"count": 1, "first": ids[0], "last": ids[0], **token}),
        ("token:viewer", "images.opened", "", {"count": 3, "first": min(ids), "last": max(ids[1:]), **token}),
    ]


async def test_a_guard_and_a_user_of_some_sites_leave_lines_too(either: Running) -> None:
    assert (await either.push(record(rgb_image=base64(JPEG)))).status == 200
    (number,) = [row.id for row in either.records()]
    guard, limited = of(either, "guard"), of(either, "admin", sites=[1])
    image = f"/api/v1/records/{number}/image"
    asked = [(image, guard), ("/api/v1/records", guard), (image, limited), ("/api/v1/audit", limited)]
    answers = [(await either.request("GET", path, headers=headers)).status for path, headers in asked]
    assert answers == [200, 403, 200, 403]
    lines = [(actor, action, detail.get("what")) for actor, action, _, detail in await audit(either)]
    assert sorted(lines, key=str) == [
        ("token:admin", "denied", ["GET /api/v1/audit (every site)"]),
        ("token:admin", "images.opened", None),
        ("token:guard", "denied", ["GET /api/v1/records (viewer)"]),
        ("token:guard", "images.opened", None),
    ]


async def test_what_was_pushed_leaves_a_line_where_the_whole_of_it_is_read(either: Running) -> None:
    """A face in a field that is not known is in it."""
    face = base64(JPEG) * 10
    await either.push(record(new_face=face))
    await either.push(alarm(new_face=face))
    await either.push({"type": 7, "data": {"new_face": face}}, headers={"sn": "SN-1"})
    (record_row,), (alarm_row,) = either.records(), either.alarms()
    (push,) = either.store.quarantined().items
    asked = {
        f"/api/v1/records/{record_row.id}?include=original": record_row.id,
        f"/api/v1/alarms/{alarm_row.id}?include=original": alarm_row.history[0].id,
        f"/api/v1/quarantine/{push.id}": push.id,
    }
    viewer, guard = of(either, "viewer"), of(either, "guard")
    for number, (path, event_id) in enumerate(asked.items(), 1):
        answer = await either.request("GET", path, headers=viewer)
        assert face in answer.body.decode().replace("\\/", "/")
        lines = await audit(either)
        assert len(lines) == number
        actor, action, _, detail = lines[-1]
        assert (actor, action, detail["first"]) == ("token:viewer", "originals.opened", event_id)
        assert face not in (await either.request("GET", path, headers=guard)).body.decode()
    assert [line[1] for line in await audit(either)] == ["originals.opened"] * 3 + ["denied"]


async def test_the_page_of_a_quarantined_push_leaves_a_line(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", pages=console_pages) as running:
        await running.push({"type": 7, "data": {"new_face": "x"}}, headers={"sn": "SN-1"})
        (push,) = running.store.quarantined().items
        headers = of(running, "viewer")
        assert (await running.request("GET", f"/quarantine/{push.id}", headers=headers)).status == 200
        ((actor, action, _, detail),) = await audit(running)
        assert (actor, action, detail["first"]) == ("token:viewer", "originals.opened", push.id)


async def test_a_stream_from_far_back_leaves_a_line_and_a_guards_begins_nearer(
    either: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_BACK", 3)
    for number in range(6):
        await either.push(record(uuid=f"u-{number}"))
    places = sorted(row.id for row in either.records())
    first, far = places[0], str(places[0] - 1)
    for headers, query in (({}, f"?after={far}"), ({"Last-Event-ID": far}, "")):
        guard = await Listener.open(either, query, **headers, **of(either, "guard"))
        assert [event.data["uuid"] for event in await guard.events(3)] == ["u-3", "u-4", "u-5"]
    assert await audit(either) == []
    viewer = of(either, "viewer")
    near = await Listener.open(either, f"?after={places[2]}", **viewer)
    assert [event.data["uuid"] for event in await near.events(3)] == ["u-3", "u-4", "u-5"]
    assert await audit(either) == []
    everything = await Listener.open(either, f"?after={far}", **viewer)
    assert len(await everything.events(6)) == 6
    ((actor, action, _, detail),) = await audit(either)
    assert (actor, action, detail["first"]) == ("token:viewer", "live.read_back", first - 1)


async def test_a_search_for_people_leaves_a_line_that_says_how_and_not_for_whom(either: Running) -> None:
    await either.push(record())
    either.settle()
    name = quote("王五")
    for path in (
        f"people?q={name}", f"records?name={name}", f"records?person={name}&job_number=23385", "people", "records",
        f"attendance?day=2023-05-29&q={name}",
    ):  # fmt: skip
        assert (await either.get(f"/api/v1/{path}")).status == 200
    lines = await audit(either)
    assert {action for _, action, _, _ in lines} == {"people.searched"}
    assert sum(detail["count"] for *_, detail in lines) == 4
    assert {what for *_, detail in lines for what in detail["what"]} == {"q", "name", "person job_number"}
    assert "王五" not in str(lines)
    assert "23385" not in str(lines)


async def test_an_export_leaves_a_line_when_it_begins_and_one_with_its_rows(either: Running) -> None:
    await either.push(record())
    assert (await either.get("/api/v1/records/export?format=csv")).status == 200
    lines = [(action, detail.get("rows")) for _, action, _, detail in await audit(either)]
    assert lines == [("records.exported", None), ("records.export_ended", 1)]


async def test_login_logout_and_denial_leave_a_line(either: Running) -> None:
    doors = either.desk.access.doors
    await asyncio.to_thread(lambda: doors.accounts.create("anna", "viewer", doors.hash(PASSWORD), now_ms=0))
    sender = await either.connect()
    wrong = await sender.request("POST", "/api/v1/session", body({"name": "anna", "password": "wrong"}))
    right = await sender.request("POST", "/api/v1/session", body({"name": "anna", "password": PASSWORD}))
    own = {
        "Cookie": f"gatepost_session={right.cookies['gatepost_session']}",
        "Sec-Fetch-Site": "same-origin",
    }
    for _ in range(3):
        denied = await sender.request("GET", "/api/v1/audit", headers=own)
    out = await sender.request("DELETE", "/api/v1/session", headers=own)
    assert [answer.status for answer in (wrong, right, denied, out)] == [401, 200, 403, 204]
    what = ["GET /api/v1/audit (admin)"]
    assert await audit(either) == [
        ("unknown", "login.refused", "anna", {}),
        ("anna", "login", "", {}),
        ("anna", "denied", "", {"count": 1, "what": what}),
        ("anna", "logout", "", {}),
        ("anna", "denied", "", {"count": 2, "what": what}),
    ]
    assert doors.accounts.verify_audit().broken is None
