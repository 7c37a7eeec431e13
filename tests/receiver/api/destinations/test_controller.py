"""Destinations over the API, with a real endpoint at the other end."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from aiohttp import web
from tests.forward.kit import Hook, hooked
from tests.receiver.api.roles import least_role
from tests.receiver.kit import Answer, Running, alarm, receiving, record

from gatepost import items
from gatepost.forward.options.destination import Destination
from gatepost.forward.sinks.webhook import signature, signing_key
from gatepost.receiver.api.destinations import bodies
from gatepost.store.query.notices import NewNotice, Notices

PATH = "/api/v1/destinations"
IMAGE = "/9j/2Q=="

LOOPBACK = {"forward_networks": ("127.0.0.0/8",)}


async def call(receiver: Running, method: str, path: str = "", body: Any = None) -> Answer:
    data = b"" if body is None else json.dumps(body).encode()
    return await receiver.request(method, PATH + path, data)


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    async with receiving(tmp_path / "data", real_time=True, **LOOPBACK) as running:
        yield running


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with hooked() as made:
        yield made


async def made(receiver: Running, hook: Hook, **more: Any) -> dict[str, Any]:
    reply = await call(receiver, "POST", "", {"name": "HR", "kind": "webhook", "url": hook.url, **more})
    assert reply.status == 201, reply.body
    found: dict[str, Any] = reply.json
    return found


async def shown(receiver: Running, which: int) -> dict[str, Any]:
    reply = await call(receiver, "GET", f"/{which}")
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    parts = ("filtered", "delivered", "waiting", "dead", "dropped")
    assert found["seen"] == sum(found[part] for part in parts)
    return found


async def settled(receiver: Running, which: int, **wanted: int) -> dict[str, Any]:
    """Wait until the ledger has these numbers."""
    return await until(receiver, which, lambda found: all(found[name] == wanted[name] for name in wanted))


async def until(receiver: Running, which: int, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask for a destination until something holds of it."""
    async with asyncio.timeout(50):
        while not is_so(found := await shown(receiver, which)):
            pass
    return found


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    at = int(headers["webhook-timestamp"])
    mine = signature([signing_key(secret)], headers["webhook-id"], at, body)
    return mine in headers["webhook-signature"].split(" ") or mine == headers["webhook-signature"]


async def test_a_destination_is_made_and_sent_what_arrives(receiver: Running, hook: Hook) -> None:
    found = await made(receiver, hook)
    secret = found["secret"]
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert (found["state"], found["enabled"], found["secrets_set"]) == ("running", True, ["signing"])
    await receiver.push(record())
    await receiver.push(alarm())
    ledger = await settled(receiver, found["id"], delivered=2)
    assert (ledger["waiting"], ledger["attempts"], ledger["lag_s"]) == (0, 2, None)
    assert ledger["last_delivered_at"] is not None
    assert {headers["webhook-id"].partition("-")[0] for headers, _ in hook.requests} == {"record", "alarm"}
    assert all(is_signed(secret, *sent) for sent in hook.requests)
    listed = (await call(receiver, "GET")).json
    assert [one["name"] for one in listed["items"]] == ["HR"]
    assert secret not in json.dumps(listed) + json.dumps(ledger)


async def test_what_does_not_fit_is_a_400_that_names_the_field(receiver: Running, hook: Hook) -> None:
    good = {"name": "HR", "kind": "webhook", "url": hook.url}
    for changed, named in (
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://169.254.169.254/"}, "url"),
        ({"urls": "x"}, "urls"),
        ({"shape": "xml"}, "shape"),
        ({"filter": {"records": {"colour": "red"}}}, "colour"),
        ({"filter": {"records": {"site": "Atlantis"}}}, "filter.records.site"),
        ({"filter": {"records": {"terminal": "a\0b"}}}, "terminal"),
        ({"secret": "whsec_short"}, "secret"),
        ({"secrets": {"headers": {"Host": "x"}}}, "secrets.headers"),
        ({"secrets": {"signing": []}}, "secrets.signing"),
        ({"batch": 5, "order": "terminal"}, "batch"),
        ({"ca_file": "/nowhere.pem"}, "ca_file"),
        ({"name": " "}, "name"),
        (
            {
                "kind": "notify",
                "url": "slack:",
                "secret": "https://hooks.slack.com/x",
                "notify": {"rules": [{"event": "alarm", "sites": ["Atlantis"]}]},
            },
            "notify.rules[0].sites",
        ),
    ):
        reply = await call(receiver, "POST", "", {**good, **changed})
        assert reply.status == 400, (changed, reply.body)
        assert named in reply.body.decode(), (changed, reply.body)
    assert (await call(receiver, "GET")).json["items"] == []
    which = (await made(receiver, hook))["id"]
    for changed, named in (
        ({"kind": "mqtt"}, "kind"),
        ({"batch": 100}, "batch"),
        ({"url": "x"}, "url"),
        ({"secret": "x"}, "secret"),
    ):
        reply = await call(receiver, "PATCH", f"/{which}", changed)
        assert reply.status == 400, (changed, reply.body)
        assert named in reply.body.decode()
    assert (await call(receiver, "POST", "", good)).status == 409
    assert (await call(receiver, "GET", "?colour=red")).status == 400


async def test_a_change_is_taken_over_and_the_rest_stays(receiver: Running, hook: Hook) -> None:
    which = (await made(receiver, hook, headers={"X-A": "1"}))["id"]
    change = {
        "shape": "flat",
        "filter": {"alarms": None},
        "secrets": {"headers": {"Authorization": "Basic eHk="}},
    }
    found = (await call(receiver, "PATCH", f"/{which}", change)).json
    assert (found["shape"], found["url"], found["headers"]) == ("flat", hook.url, {"X-A": "1"})
    assert found["secrets_set"] == ["signing", "headers.Authorization"]
    await receiver.push(alarm())
    await receiver.push(record())
    await settled(receiver, which, delivered=1, filtered=1)
    ((headers, body),) = hook.requests
    assert headers["authorization"] == "Basic eHk="
    assert json.loads(body)["event"] == "record"
    assert "eHk=" not in json.dumps((await receiver.get("/api/v1/audit")).json)


async def test_paused_it_is_sent_nothing_and_resumed_everything(receiver: Running, hook: Hook) -> None:
    which = (await made(receiver, hook, enabled=False))["id"]
    assert (await shown(receiver, which))["state"] == "paused"
    await receiver.push(record())
    waiting = await settled(receiver, which, waiting=1)
    assert waiting["lag_s"] is not None
    assert hook.requests == []
    assert (await call(receiver, "POST", f"/{which}/resume")).json["state"] == "running"
    await settled(receiver, which, delivered=1)
    assert (await call(receiver, "POST", f"/{which}/pause")).json["state"] == "paused"


async def test_one_that_says_gone_is_closed_until_it_is_resumed(receiver: Running, hook: Hook) -> None:
    hook.reply = lambda number: web.Response(status=410 if number == 1 else 204)
    which = (await made(receiver, hook))["id"]
    await receiver.push(record())
    found = await until(receiver, which, lambda found: found["state"] == "closed")
    assert "410" in found["last_error"]
    await call(receiver, "POST", f"/{which}/resume")
    await settled(receiver, which, delivered=1)


async def test_one_that_cannot_be_reached_says_so_and_when_it_is_tried_next(
    receiver: Running, hook: Hook
) -> None:
    hook.reply = lambda _: web.Response(status=503)
    which = (await made(receiver, hook))["id"]
    await receiver.push(record())
    found = await until(
        receiver, which, lambda found: found["state"] == "waiting" and found["last_error"] is not None
    )
    assert "503" in found["last_error"]
    assert found["next_attempt_at"] is not None
    assert found["waiting"] == 1
    attempts = (await call(receiver, "GET", f"/{which}/attempts")).json
    assert {(one["outcome"], one["status"]) for one in attempts["items"]} == {("unreachable", "HTTP 503")}


@pytest.mark.parametrize("shape", ["cloudevents", "flat", "push"])
async def test_a_test_event_is_marked_goes_the_same_way_and_counts_nowhere(
    receiver: Running, hook: Hook, shape: str
) -> None:
    found = await made(receiver, hook, shape=shape, enabled=False)
    reply = await call(receiver, "POST", f"/{found['id']}/test")
    assert (reply.json["outcome"], reply.json["status"]) == ("delivered", "HTTP 204")
    ((headers, body),) = hook.requests
    sent = json.loads(body)
    marks = {"cloudevents": "type", "flat": "event", "push": "type"}
    assert sent[marks[shape]] == ("test" if shape == "flat" else "gatepost.test")
    assert headers["webhook-id"].startswith("test-")
    assert is_signed(found["secret"], headers, body)
    ledger = await shown(receiver, found["id"])
    assert (ledger["seen"], ledger["attempts"]) == (0, 0)
    hook.reply = lambda _: web.Response(status=401, text="who are you?")
    refused = (await call(receiver, "POST", f"/{found['id']}/test")).json
    assert (refused["outcome"], refused["reply"]) == ("refused", "who are you?")


async def test_a_test_goes_nowhere_where_no_event_may_go(tmp_path: Path, hook: Hook) -> None:
    async with receiving(tmp_path / "data", real_time=True) as receiver:
        name = hook.url.replace("127.0.0.1", "localhost")
        which = (await call(receiver, "POST", "", {"name": "x", "kind": "webhook", "url": name})).json["id"]
        found = (await call(receiver, "POST", f"/{which}/test")).json
        assert found["outcome"] == "unreachable"
        assert "forward_networks" in found["reply"]
    assert hook.requests == []


async def test_a_rotated_secret_signs_next_to_the_one_before_until_that_is_over(
    receiver: Running, hook: Hook
) -> None:
    found = await made(receiver, hook)
    which, first = found["id"], found["secret"]
    second = (await call(receiver, "POST", f"/{which}/rotate", {})).json["secret"]
    await receiver.push(record())
    await settled(receiver, which, delivered=1)
    assert len(hook.requests[0][0]["webhook-signature"].split(" ")) == 2
    assert is_signed(first, *hook.requests[0])
    assert is_signed(second, *hook.requests[0])
    assert (await call(receiver, "POST", f"/{which}/rotate", {"secret": "s" * 30, "keep_s": 0})).json == {
        "secret": None
    }
    await receiver.push(record(uuid="u-2"))
    await settled(receiver, which, delivered=2)
    assert is_signed("s" * 30, *hook.requests[1])
    assert not is_signed(second, *hook.requests[1])
    assert (await call(receiver, "POST", f"/{which}/rotate", {"keep_s": 1e9})).status == 400


async def test_a_span_is_sent_again_flagged_and_counted_by_itself(receiver: Running, hook: Hook) -> None:
    which = (await made(receiver, hook))["id"]
    for number in range(3):
        await receiver.push(record(uuid=f"u-{number}"))
    await settled(receiver, which, delivered=3)
    reply = await call(
        receiver, "POST", f"/{which}/replay", {"since": "2020-01-01", "filter": {"alarms": None}, "rate": 100}
    )
    assert (reply.status, reply.json["seen"]) == (201, 3)
    found = await until(receiver, which, lambda found: found["replays"][0]["state"] == "finished")
    assert (found["seen"], found["replays"][0]["delivered"]) == (3, 3)
    again = [json.loads(body) for _, body in hook.requests[3:]]
    assert [one["replay"] for one in again] == [True] * 3
    assert {one["id"] for one in again} == {json.loads(body)["id"] for _, body in hook.requests[:3]}
    replay = found["replays"][0]["id"]
    assert (await call(receiver, "POST", f"/{replay}/replay", {"since": "2020-01-01"})).status == 409
    assert (await call(receiver, "DELETE", f"/{replay}")).status == 204
    assert (await shown(receiver, which))["replays"] == []
    for wrong in ({"since": "soon"}, {"since": "2030-01-01"}, {"since": "2020-01-01", "rate": 1e9}, {}):
        assert (await call(receiver, "POST", f"/{which}/replay", wrong)).status == 400


async def test_dead_letters_are_listed_retried_and_dropped(receiver: Running, hook: Hook) -> None:
    refused = {"u-0", "u-1"}
    hook.reply = lambda number: web.Response(
        status=400 if any(name.encode() in hook.requests[number - 1][1] for name in refused) else 204,
        text="no such employee",
    )
    which = (await made(receiver, hook, max_refusals=1))["id"]
    for number in range(2):
        await receiver.push(record(uuid=f"u-{number}"))
    # Three of the kind have to be accepted after the first refusal of each.
    async with asyncio.timeout(50):
        while len((await call(receiver, "GET", f"/{which}/attempts")).json["items"]) < 2:
            pass
    for number in range(2, 6):
        await receiver.push(record(uuid=f"u-{number}"))
    await settled(receiver, which, dead=2, delivered=4)
    dead = (await call(receiver, "GET", f"/{which}/dead?limit=1")).json
    assert dead["items"][0]["reason"].endswith("no such employee")
    more = (await call(receiver, "GET", f"/{which}/dead?limit=1&cursor={dead['next_cursor']}")).json
    first, second = dead["items"][0]["event"], more["items"][0]["event"]
    assert more["next_cursor"] is None
    refused.clear()
    assert (await call(receiver, "POST", f"/{which}/retry", {"events": [first]})).json == {"events": 1}
    await settled(receiver, which, dead=1, delivered=5)
    assert (await call(receiver, "POST", f"/{which}/drop", {"events": [second]})).json == {"events": 1}
    ledger = await settled(receiver, which, dead=0, dropped=1)
    assert ledger["dropped_why"] == {"by a person": 1}
    for wrong in ({}, {"all": True, "events": [1]}, {"events": [0]}):
        assert (await call(receiver, "POST", f"/{which}/drop", wrong)).status == 400
    assert (await call(receiver, "POST", f"/{which}/retry", {"all": True})).json == {"events": 0}


async def test_a_preview_shows_the_latest_event_and_sends_nothing(receiver: Running, hook: Hook) -> None:
    assert (await call(receiver, "POST", "/preview", {})).json["id"] is None
    await receiver.push(record(uuid="u-1", rgb_image="/9j/2Q=="))
    await receiver.push(record(uuid="u-2", mode=8, **{"pass": False}))
    await receiver.push(alarm(code=10001))
    latest = json.loads((await call(receiver, "POST", "/preview", {"shape": "flat"})).json["body"])
    assert (latest["uuid"], latest["mode"]) == ("u-2", 8)
    passed = {"shape": "cloudevents", "filter": {"records": {"passed": True}}}
    found = json.loads((await call(receiver, "POST", "/preview", passed)).json["body"])
    assert (found["data"]["uuid"], found["type"]) == ("u-1", "gatepost.record")
    pushed = (await call(receiver, "POST", "/preview", {"shape": "push"})).json
    assert json.loads(pushed["body"])["data"]["uuid"] == "u-2"
    await receiver.desk.housekeeping.note_groups()
    steps = {"shape": "flat", "filter": {"records": None, "alarms": {"code": 10001, "state": "open"}}}
    assert json.loads((await call(receiver, "POST", "/preview", steps)).json["body"])["alarm_code"] == 10001
    steps["filter"]["alarms"]["code"] = 9  # type: ignore[index]
    assert (await call(receiver, "POST", "/preview", steps)).json["body"] is None
    assert hook.requests == []


async def test_a_preview_is_an_alarm_or_a_notice_where_there_is_no_record(receiver: Running) -> None:
    every = {"shape": "flat", "filter": {"notices": ["login.locked"]}}
    new = NewNotice(kind="login.locked", subject="eva", detail={"failures": 5})
    await asyncio.to_thread(Notices(receiver.store).tell, [new], now_ms=1)
    assert json.loads((await call(receiver, "POST", "/preview", every)).json["body"])["notice"] == new.kind
    cloud = (await call(receiver, "POST", "/preview", {**every, "shape": "cloudevents"})).json
    assert (json.loads(cloud["body"])["type"], cloud["id"][:7]) == ("gatepost.notice", "notice-")
    assert (await call(receiver, "POST", "/preview", {**every, "shape": "push"})).json["body"] is None
    await receiver.push(alarm(code=10001))
    for filter in ({"records": None}, {}, every["filter"]):
        shown = (await call(receiver, "POST", "/preview", {"shape": "flat", "filter": filter})).json
        assert json.loads(shown["body"])["alarm_code"] == 10001


async def test_a_preview_shows_nothing_of_a_terminal_that_is_held(receiver: Running) -> None:
    await receiver.push(record(uuid="u-1"))
    await asyncio.to_thread(receiver.store.update_terminal, 1, state="held")
    assert (await call(receiver, "POST", "/preview", {})).json["body"] is None


async def test_what_is_sent_fits_its_schema(receiver: Running, hook: Hook) -> None:
    found = (await call(receiver, "GET", "/schemas")).json
    assert set(found) == {"cloudevents", "cloudevents_batch", "flat", "flat_batch", "push"}
    for number, name in enumerate(found):
        shape, _, batch = name.partition("_")
        notices = [] if shape == "push" else ["login.locked"]
        told = {"shape": shape, "images": "inline", "filter": {"notices": notices}}
        which = (await made(receiver, hook, name=name, batch=16 if batch else 1, enabled=False, **told))["id"]
        await call(receiver, "POST", f"/{which}/test")
        await receiver.push(record(uuid=f"u-{number}", rgb_image=IMAGE))
        await receiver.push(alarm(trace_id=f"t-{number}"))
        new = NewNotice(kind="login.locked", subject=f"eva-{number}", detail={"failures": 5})
        await asyncio.to_thread(Notices(receiver.store).tell, [new], now_ms=1)
        events = 2 if shape == "push" else 3
        await until(receiver, which, lambda found: found["waiting"] >= 3)
        await call(receiver, "POST", f"/{which}/resume")
        await settled(receiver, which, delivered=events)
        await call(receiver, "DELETE", f"/{which}")
        sent = [json.loads(body) for _, body in hook.requests]
        hook.requests.clear()
        for each in sent:
            jsonschema.validate(each, found[name])
        assert sum(len(each) if batch else 1 for each in sent) == events + 1
        assert len(sent) < events + 1 if batch else True


async def test_a_schema_tells_what_does_not_fit(receiver: Running) -> None:
    found = (await call(receiver, "GET", "/schemas")).json
    for name, wrong in (
        ("push", {"type": 1, "data": {}}),
        ("push", {"type": 7, "data": {"trace_id": "x"}}),
        ("flat", {"id": "record-1"}),
        ("flat_batch", {"id": "record-1"}),
        ("cloudevents_batch", []),
        ("cloudevents", {"type": "gatepost.notice", "data": {}}),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, found[name])


async def test_a_link_to_an_image_needs_no_login_and_is_over_with_its_destination(
    tmp_path: Path, hook: Hook
) -> None:
    url = "http://gatepost.example/in"
    async with receiving(tmp_path / "data", public_url=url, **LOOPBACK) as receiver:
        which = (await made(receiver, hook, images="link"))["id"]
        await receiver.push(record(rgb_image=IMAGE))
        await settled(receiver, which, delivered=1)
        shown = json.loads(hook.requests[0][1])["data"]["image"]
        path = shown.removeprefix(url)

        async def opened() -> Answer:
            return await receiver.request("GET", path, headers={"Authorization": ""})

        reply = await opened()
        assert (reply.status, reply.body) == (200, base64.b64decode(IMAGE))
        assert reply.headers["cache-control"] == "no-store"
        log = (await receiver.get("/api/v1/audit")).json["items"]
        assert [one["detail"]["first"] for one in log if one["actor"] == f"link: {which} HR"] == [1]
        assert [one["detail"]["images"] for one in log if one["action"] == "destination.created"] == ["link"]
        for wrong in (f"{path[:-1]}{'1' if path[-1] == '0' else '0'}", f"{path}0"):
            assert (await receiver.request("GET", wrong, headers={"Authorization": ""})).status != 200

        await call(receiver, "PATCH", f"/{which}", {"images": "none"})
        assert (await opened()).status == 404
        await call(receiver, "PATCH", f"/{which}", {"images": "link"})
        assert (await opened()).status == 200
        await asyncio.to_thread(receiver.store.update_terminal, 1, state="held")
        assert (await opened()).status == 404
        await asyncio.to_thread(receiver.store.update_terminal, 1, state="approved")
        await call(receiver, "DELETE", f"/{which}")
        assert (await opened()).status == 404


async def test_links_need_the_address_of_the_receiver(receiver: Running, hook: Hook) -> None:
    reply = await call(
        receiver, "POST", "", {"name": "HR", "kind": "webhook", "url": hook.url, "images": "link"}
    )
    assert reply.status == 400
    assert "public_url" in reply.body.decode()


async def test_a_deleted_one_is_gone_and_sent_nothing_more(receiver: Running, hook: Hook) -> None:
    which = (await made(receiver, hook))["id"]
    assert (await call(receiver, "DELETE", f"/{which}")).status == 204
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/test"),
        ("GET", "/dead"),
        ("GET", "/attempts"),
    ):
        assert (await call(receiver, method, f"/{which}{path}")).status == 404
    assert (await call(receiver, "GET", f"/{1 << 64}")).status == 404
    await receiver.push(record())
    assert hook.requests == []


async def test_what_is_done_is_in_the_audit_log_without_a_secret(receiver: Running, hook: Hook) -> None:
    url = f"{hook.url}/PATH-SECRET"
    found = await made(receiver, hook, url=url, secrets={"headers": {"Authorization": "Bearer TOP-SECRET"}})
    which = found["id"]
    again = (await call(receiver, "POST", f"/{which}/rotate", {})).json["secret"]
    for path in ("test", "pause", "resume"):
        await call(receiver, "POST", f"/{which}/{path}")
    await call(receiver, "PATCH", f"/{which}", {"name": "ERP"})
    await call(receiver, "POST", f"/{which}/replay", {"since": "2020-01-01"})
    for path in ("retry", "drop"):
        await call(receiver, "POST", f"/{which}/{path}", {"all": True})
    await call(receiver, "DELETE", f"/{which}")
    log = (await receiver.get("/api/v1/audit")).json["items"]
    done = [one["action"] for one in reversed(log) if one["action"].startswith("destination.")]
    assert done == [
        f"destination.{what}"
        for what in (
            *("created", "rotated", "tested", "paused", "resumed"),
            *("changed", "replayed", "retried", "dropped", "deleted"),
        )
    ]
    for secret in (found["secret"], again, "TOP-SECRET", "PATH-SECRET"):
        assert secret not in json.dumps(log)


async def test_a_changed_address_is_in_the_audit_log_by_its_hosts(receiver: Running, hook: Hook) -> None:
    which = (await made(receiver, hook, url="https://old.example.com/OLD-PATH?key=OLD-KEY"))["id"]
    await call(receiver, "PATCH", f"/{which}", {"url": "https://new.example.com:8443/NEW-PATH?key=NEW-KEY"})
    await call(receiver, "PATCH", f"/{which}", {"batch": 2, "enabled": False})
    log = (await receiver.get("/api/v1/audit")).json["items"]
    second, first = (one["detail"] for one in log if one["action"] == "destination.changed")
    assert (first["host_before"], first["host"]) == ("old.example.com", "new.example.com")
    assert not second.keys() & {"host", "host_before"}
    assert (second["batch"], second["was_batch"]) == (2, 1)
    assert (second["enabled"], second["was_enabled"]) == (False, True)
    assert not {part for part in ("PATH", "KEY", "8443") if part in json.dumps(log)}


async def test_only_administrators_read_and_change(receiver: Running, hook: Hook) -> None:
    assert await least_role(receiver, "GET", "destinations") == "admin"
    assert await least_role(receiver, "POST", "destinations/preview", {}) == "admin"
    which = (await made(receiver, hook))["id"]
    for path in ("test", "pause", "resume"):
        assert await least_role(receiver, "POST", f"destinations/{which}/{path}") == "admin"


async def test_it_is_the_same_on_either_database(either: Running) -> None:
    body = {"name": "HR", "kind": "webhook", "url": "https://localhost/", "enabled": False}
    which = (await call(either, "POST", "", body)).json["id"]
    await either.push(record())
    found = await settled(either, which, waiting=1)
    assert found["lag_s"] is not None
    replay = await call(either, "POST", f"/{which}/replay", {"since": "2020-01-01"})
    assert replay.json["seen"] == 1
    assert (await call(either, "POST", "/preview", {"shape": "flat"})).json["id"] is not None
    assert (await call(either, "DELETE", f"/{which}")).status == 204


def test_what_can_be_set_can_be_changed_and_is_shown() -> None:
    told = set(Destination.__struct_fields__)
    assert told - {"kind"} <= set(bodies.DestinationChange.__struct_fields__)
    assert told <= set(bodies.ToldDestination.__struct_fields__)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("ToldDestination", items.DestinationItem), ("ToldDetail", items.DestinationDetail)],
)
def test_what_is_shown_is_what_a_client_reads(ours: str, theirs: type[msgspec.Struct]) -> None:
    assert set(theirs.__struct_fields__) <= set(getattr(bodies, ours).__struct_fields__)
