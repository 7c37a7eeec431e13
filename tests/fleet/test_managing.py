"""Real terminals are adopted, tended and released: the promises, against real services, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.fleet.double import ADMIN, Double
from tests.fleet.kit import House, account
from tests.receiver.kit import JPEG, until

from gatepost import wire
from gatepost.fleet.adoption import Order
from gatepost.wire import Subscription

OTHER = Subscription("http://192.0.2.1/in", True)


def passage(number: int, serial: str = "SN-7") -> wire.Record:
    at = datetime.fromtimestamp(1_700_000_000 + number, UTC)
    return wire.Record(serial=serial, uuid=f"4d3987c1-a3b3-470b-9fb7-{number:012}", recorded_at=at)


async def sends_to(double: Double) -> Subscription | None:
    """Return where a terminal pushes to, with what is secret in it."""
    return await double.terminal.subscription()


class Recorder:
    """A peer that says who it is and writes down what it is asked: a terminal has no list of what it was sent."""

    def __init__(self) -> None:
        self.serial = "SN-7"
        self.asked: list[str] = []
        self.login: dict[str, Any] = {"code": 1001, "msg": "Password Wrong", "data": None}
        self.address = ""

    async def reply(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        ok: dict[str, Any] = {"code": 200, "msg": "OK", "data": None}
        said = self.login if request.path == "/v1/auth/login" else ok
        return web.json_response(said, headers={"sn": self.serial, "model": "T-1"})

    def count(self, what: str) -> int:
        return sum(what in one for one in self.asked)


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    made = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.reply)
    async with TestServer(app, host="127.0.0.1") as server:
        made.address = f"http://127.0.0.1:{server.port}"
        yield made


async def test_an_adopted_terminal_pushes_here_by_an_address_of_its_own(desk: House) -> None:
    double = await desk.double()
    before = (await desk.call("POST", "/look", {"address": double.address})).json
    assert (before["serial"], before["model"], await sends_to(double)) == ("SN-7", "T-1", None)

    made = await desk.adopt(double, certificate=before["certificate"], serial="SN-7", name="Front door")

    assert (made["serial"], made["name"], made["state"], made["found"]) == (
        "SN-7",
        "Front door",
        "ours",
        "ours",
    )
    assert (made["has_arrived"], made["previous"], made["certificate"]) == (
        False,
        None,
        before["certificate"],
    )
    told = await sends_to(double)
    assert told is not None
    start, _, token = told.event_dest.rpartition("/")
    assert (f"{start}/***", len(token) >= 32, told.enabled) == (made["event_dest"], True, True)

    await double.terminal.record(passage(1))
    await double.terminal.alarm(
        wire.Alarm(trace_id="SPX-1", code=1, status=1, event_time=datetime.now(UTC), image=JPEG)
    )
    await until(lambda: bool(desk.receiver.records()) and bool(desk.receiver.alarms()))

    # An alarm has no serial: the address says whose it is.
    assert {row.terminal_id for row in desk.receiver.alarms()} == {made["terminal_id"]}
    assert (await desk.show(made["terminal_id"]))["has_arrived"]


async def test_m1_nothing_is_written_where_nothing_differs_or_nothing_is_adopted(desk: House) -> None:
    async with recorder() as peer:
        assert (await desk.call("POST", "/look", {"address": peer.address})).status == 200
        reply = await desk.call("POST", "/adopt", account(await desk.double()) | {"address": peer.address})
        assert (reply.status, peer.count("POST /v1/event/subscribe")) == (409, 0)
    double = await desk.double("SN-8")
    made = await desk.adopt(double)
    first = await desk.show(made["terminal_id"])
    told = await sends_to(double)

    for _ in range(3):
        await desk.verify(made["terminal_id"])
    again = await desk.adopt(double)

    assert (again["set_at"], await sends_to(double)) == (first["set_at"], told)


async def test_m2_a_wrong_password_is_tried_once_and_then_a_person_is_asked(desk: House) -> None:
    async with recorder() as peer:
        order = {"address": peer.address, "username": "admin", "password": "wrong"}
        reply = await desk.call("POST", "/adopt", order)
        assert (reply.status, peer.count("login")) == (409, 1)
        assert "password is wrong" in reply.json["detail"]

        peer.login = {"code": 200, "msg": "OK", "data": {"token": "t"}}
        made = (await desk.call("POST", "/adopt", order)).json
        peer.login = {"code": 1001, "msg": "Password Wrong", "data": None}
        desk.fleet.visitor.forget(made["terminal_id"])
        before = peer.count("login")

        found = await desk.verify(made["terminal_id"])
        for _ in range(3):
            await desk.verify(made["terminal_id"])
            await desk.fleet.tender.once()
            await desk.fleet.tender.settle()

        assert (found["state"], peer.count("login") - before) == ("stopped", 1)
        assert "user name or password" in found["reason"]
        notices = (await desk.receiver.get("/api/v1/notices")).json["items"]
        assert [one["terminal_id"] for one in notices if one["kind"] == "terminal.stopped"] == [
            made["terminal_id"]
        ]

        peer.login = {"code": 200, "msg": "OK", "data": {"token": "t"}}
        resumed = await desk.call("POST", f"/{made['terminal_id']}/resume")
        assert resumed.json["state"] == "adopted"


async def test_m2_holds_for_audit_and_back_fill_too(desk: House) -> None:
    async with recorder() as peer:
        peer.login = {"code": 200, "msg": "OK", "data": {"token": "t"}}
        order = {"address": peer.address, "username": "admin", "password": "right"}
        which = (await desk.call("POST", "/adopt", order)).json["terminal_id"]
        peer.login = {"code": 1001, "msg": "Password Wrong", "data": None}
        desk.fleet.visitor.forget(which)
        before = peer.count("login")

        asked = [await desk.call("POST", f"/{which}/audit") for _ in range(3)]

        assert [reply.status for reply in asked] == [409] * 3
        assert "password is wrong" in asked[0].json["detail"]
        assert "is stopped" in asked[2].json["detail"]
        assert (peer.count("login") - before, (await desk.show(which))["state"]) == (1, "stopped")
    notices = (await desk.receiver.get("/api/v1/notices")).json["items"]
    assert "terminal.stopped" in [one["kind"] for one in notices]


async def test_m3_no_password_goes_to_another_serial_or_certificate(desk: House) -> None:
    async with recorder() as peer:
        order = {"address": peer.address, "username": "admin", "password": "a long password"}
        reply = await desk.call("POST", "/adopt", order | {"serial": "SN-9"})
        assert (reply.status, "is terminal SN-7 now, not SN-9" in reply.json["detail"]) == (409, True)
        reply = await desk.call("POST", "/adopt", order | {"certificate": "00" * 32})
        assert (reply.status, peer.count("login")) == (409, 0)

        peer.login = {"code": 200, "msg": "OK", "data": {"token": "t"}}
        made = (await desk.call("POST", "/adopt", order)).json
        peer.serial, before = "SN-9", peer.count("v1")
        found = await desk.verify(made["terminal_id"])
        assert (found["state"], found["found"], peer.count("v1")) == ("stopped", "another terminal", before)

    double = await desk.double("SN-8")
    wrong = await desk.call("POST", "/adopt", account(double) | {"certificate": "00" * 32})
    assert (wrong.status, "certificate" in wrong.json["detail"]) == (409, True)
    adopted = await desk.adopt(double)
    await double.happens("certificate")

    found = await desk.verify(adopted["terminal_id"])

    assert (found["state"], found["found"]) == ("stopped", "another certificate")
    assert "adopt it again" in found["reason"]
    again = await desk.adopt(double)
    assert (again["state"], again["certificate"] != adopted["certificate"]) == ("ours", True)


async def test_m4_where_it_pushed_to_is_kept_shown_and_given_back(desk: House) -> None:
    double = await desk.double()
    await double.terminal.outbox.subscribe(OTHER)

    made = await desk.adopt(double)
    assert made["previous"] == OTHER.event_dest
    assert await sends_to(double) != OTHER
    await desk.adopt(double)  # which gives back no address of our own

    reply = await desk.call("POST", f"/{made['terminal_id']}/release", {})

    assert (reply.status, await sends_to(double)) == (200, OTHER)
    assert (await desk.call("GET", f"/{made['terminal_id']}")).status == 404
    terminal = (await desk.receiver.get(f"/api/v1/terminals/{made['terminal_id']}")).json
    assert not terminal["has_token"]


async def test_what_it_did_not_show_is_not_given_back_and_it_says_so(desk: House) -> None:
    double = await desk.double()
    await double.terminal.outbox.subscribe(Subscription("http://192.0.2.1/in/secret", True))
    made = await desk.adopt(double)
    assert made["previous"] == "http://192.0.2.1/in/***"
    told = await sends_to(double)

    reply = await desk.call("POST", f"/{made['terminal_id']}/release", {})
    assert (reply.status, "set its address by hand" in reply.json["detail"]) == (409, True)
    assert (await desk.show(made["terminal_id"]))["state"] == "ours"

    await double.close()
    reply = await desk.call("POST", f"/{made['terminal_id']}/release", {"give_back": False})

    assert reply.status == 200
    assert told is not None
    # It is away and still pushes by its token, which counts on.
    pushed = await desk.receiver.push({"type": 9}, "/Record/" + told.event_dest.rpartition("/")[2])
    assert pushed.json["code"] == 200


async def test_m6_it_is_set_again_three_times_an_hour_and_then_a_person_is_told(desk: House) -> None:
    double = await desk.double()
    made = await desk.adopt(double)
    ours = await sends_to(double)
    states = []
    for _ in range(4):
        await double.happens("contested")
        states.append((await desk.verify(made["terminal_id"]))["state"])

    # To adopt it has set its address once.
    assert states == ["ours", "ours", "contested", "contested"]
    assert await sends_to(double) != ours
    found = await desk.show(made["terminal_id"])
    assert (found["shown"], "which other tool" in found["reason"]) == ("http://127.0.0.1:9/Record", True)
    notices = (await desk.receiver.get("/api/v1/notices")).json["items"]
    assert [one["kind"] for one in notices if one["kind"].startswith("terminal.contest")] == [
        "terminal.contested"
    ]

    resumed = await desk.call("POST", f"/{made['terminal_id']}/resume")

    assert (resumed.json["state"], await sends_to(double)) == ("ours", ours)
    notices = (await desk.receiver.get("/api/v1/notices")).json["items"]
    assert "terminal.ours" in [one["kind"] for one in notices]


async def test_one_that_forgot_its_address_at_a_reboot_is_back_by_itself(desk: House) -> None:
    double = await desk.double()
    made = await desk.adopt(double)
    ours = await sends_to(double)
    await double.happens("forget")
    assert await sends_to(double) != ours

    desk.fleet.adopted.came_back([made["terminal_id"]], now_ms=round(desk.fleet.around.now() * 1000))
    await desk.fleet.tender.once()
    await desk.fleet.tender.settle()
    async with asyncio.timeout(30):
        while await sends_to(double) != ours:
            await desk.fleet.tender.once()

    await double.terminal.record(passage(1))
    await until(lambda: bool(desk.receiver.records()))


async def test_an_address_that_another_terminal_took_stops_it(desk: House) -> None:
    double = await desk.double()
    made = await desk.adopt(double)
    other = await desk.double("SN-9")
    port = double.rehearsal.port
    await double.rehearsal.shut()
    await other.rehearsal.reopen(port)

    found = await desk.verify(made["terminal_id"])

    assert (found["state"], "SN-9" in found["said"]) == ("stopped", True)
    assert await sends_to(other) is None


async def test_one_that_is_away_is_tried_again_and_its_address_can_be_given_anew(desk: House) -> None:
    double = await desk.double()
    made = await desk.adopt(double)
    await double.happens("move")
    away = await desk.verify(made["terminal_id"])
    assert (away["state"], "cannot be reached" in away["said"]) == ("away", True)

    again = await desk.adopt(double)

    assert (again["terminal_id"], again["state"], again["address"]) == (
        made["terminal_id"],
        "ours",
        double.address,
    )


async def test_a_retired_terminal_is_looked_at_no_more_and_deleted_with_its_account(desk: House) -> None:
    double = await desk.double()
    which = (await desk.adopt(double))["terminal_id"]
    path = f"/api/v1/terminals/{which}"
    assert (await desk.receiver.request("POST", f"{path}/retire")).status == 200
    looks = dict(desk.fleet.tender.looks)

    assert (await desk.verify(which))["next_look_at"] is None
    assert (await desk.call("POST", "/adopt", account(double))).status == 409
    assert desk.fleet.tender.looks == looks
    assert (await desk.receiver.request("DELETE", path)).status == 200

    assert (await desk.call("GET", f"/{which}")).status == 404


@pytest.mark.parametrize("reply", ["404", "500", "html", "endless"])
async def test_what_is_no_reply_of_a_terminal_is_said_and_nothing_is_stored(desk: House, reply: str) -> None:
    double = await desk.double("SN-7", f"reply={reply}")

    found = await desk.call("POST", "/adopt", account(double))

    assert (found.status, ADMIN.password in str(found.json)) == (409, False)
    assert (await desk.call("GET")).json["items"] == []
    assert await sends_to(double) is None


async def test_an_address_that_a_person_replaced_is_made_again(desk: House) -> None:
    double = await desk.double()
    made = await desk.adopt(double)
    before = await sends_to(double)
    which = made["terminal_id"]
    assert (await desk.receiver.request("POST", f"/api/v1/terminals/{which}/token")).status == 200

    await desk.verify(which)

    told = await sends_to(double)
    assert told is not None
    assert told != before
    pushed = await desk.receiver.push({"type": 9}, "/Record/" + told.event_dest.rpartition("/")[2])
    assert pushed.json["code"] == 200


async def test_after_a_restart_between_adoption_and_address_it_is_set(desk: House) -> None:
    double = await desk.double()
    ours = f"http://127.0.0.1:{desk.receiver.port}/Record"
    order = Order(
        address=double.address, username=ADMIN.username, password=ADMIN.password, ours=ours, by="anna"
    )
    await desk.fleet.adopt(order)  # and nothing else: as if the process had ended here

    async with asyncio.timeout(30):
        while (told := await sends_to(double)) is None:
            await desk.fleet.tender.once()

    assert told.event_dest.startswith(f"{ours}/")


async def test_looks_of_one_step_begin_one_after_the_other(desk: House) -> None:
    await desk.stop()
    managed = [await desk.adopt(await desk.double(serial)) for serial in ("SN-7", "SN-8")]
    tender = desk.fleet.tender
    which = [one["terminal_id"] for one in managed]
    await asyncio.to_thread(lambda: desk.fleet.adopted.came_back(which, now_ms=1))
    before = sum(tender.looks.values())
    assert await tender.once(2, apart_s=3600) == 2
    first, second = tender._looking.values()
    await asyncio.wait({first})
    assert (sum(tender.looks.values()) - before, second.done()) == (1, False)
    await tender.close()
