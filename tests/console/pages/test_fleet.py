"""Adopted terminals: looked at, adopted, verified, released; many from a list, with a check and with progress."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.console.kit import Desk, Text
from tests.fleet.double import ADMIN, Double
from tests.receiver.kit import receiving, until

from gatepost import wire
from gatepost.console.routes import routes
from gatepost.store.accounts.accounts import Accounts


class House:
    """A console whose receiver may talk to terminals on this machine, and such terminals."""

    def __init__(self, desk: Desk, folder: Path, stack: AsyncExitStack) -> None:
        self.desk = desk
        self._folder = folder
        self._stack = stack

    async def double(self, serial: str = "SN-7", *options: str) -> Double:
        double = Double(self._folder / serial, serial, *options)
        self._stack.push_async_callback(double.close)
        return await double.open()

    async def post(self, path: str, **form: object) -> Text:
        """Send a form, from where terminals reach the receiver, too."""
        host = {"Host": f"127.0.0.1:{self.desk.running.port}"}
        return await self.desk.post(path, headers=host, **form)

    async def adopted(self, double: Double) -> None:
        """Look at a terminal, and adopt it as the page asks for it."""
        seen = await self.post("/fleet/look", address=double.address)
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', seen.html))
        answer = await self.post("/fleet/adopt", **fields, username=ADMIN.username, password=ADMIN.password)
        assert answer.location == "/fleet?done=adopted", answer.words


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    loopback = ("127.0.0.0/8",)
    async with (
        receiving(tmp_path / "data", pages=routes, fleet_networks=loopback) as running,
        AsyncExitStack() as stack,
    ):
        yield House(await Desk.made(running), tmp_path, stack)


async def test_who_is_there_is_shown_before_a_password_is_asked_for(house: House) -> None:
    double = await house.double()
    page = await house.desk.get("/fleet/adopt")
    assert 'type="password"' not in page.html
    seen = await house.post("/fleet/look", address=double.address)
    assert "Terminal SN-7 is there" in seen.words
    assert re.search(r"\b[0-9a-f]{64}\b", seen.words)
    assert 'type="password"' in seen.html
    assert await double.terminal.subscription() is None


async def test_a_terminal_is_adopted_and_stands_in_the_list_with_what_to_do(house: House) -> None:
    double = await house.double()
    await house.adopted(double)
    page = await house.desk.get("/fleet?done=adopted")
    assert "SN-7" in page.words
    assert "no event has come since. Have a person pass the terminal" in page.words
    assert ADMIN.password not in page.html
    subscription = await double.terminal.subscription()
    assert subscription is not None
    assert subscription.event_dest.startswith(f"http://127.0.0.1:{house.desk.running.port}/Record/")
    assert "fleet.adopted" in [one.action for one in Accounts(house.desk.store).audit().items]


async def test_a_wrong_password_is_said_and_is_on_no_page(house: House) -> None:
    double = await house.double()
    answer = await house.post(
        "/fleet/adopt", address=double.address, serial="SN-7", username="admin", password="not the one"
    )
    assert answer.status == 400
    assert "password is wrong" in answer.words
    assert "not the one" not in answer.html
    assert "Adopted terminals" in (await house.desk.get("/fleet")).words


async def test_an_address_where_no_terminal_is_says_so(house: House) -> None:
    answer = await house.post("/fleet/look", address="http://127.0.0.1:1")
    assert answer.status == 400
    assert "cannot be reached" in answer.words
    assert (await house.post("/fleet/look", address="no address/")).status == 400


async def test_another_terminal_at_the_address_gets_no_password(house: House) -> None:
    double = await house.double()
    answer = await house.post(
        "/fleet/adopt",
        address=double.address,
        serial="SN-8",
        username=ADMIN.username,
        password=ADMIN.password,
    )
    assert "is terminal SN-7 now, not SN-8" in answer.words
    assert house.desk.running.desk.fleet.adopted.all() == []


async def test_it_is_verified_and_released_with_the_address_that_it_had(house: House) -> None:
    double = await house.double()
    await double.terminal.subscribe("http://192.0.2.9/old", enabled=True)
    await house.adopted(double)
    page = await house.desk.get("/fleet")
    assert "Have it push to where it pushed before: http://192.0.2.9/old" in page.words
    await double.terminal.subscribe("http://192.0.2.66/other", enabled=True)
    assert (await house.post("/fleet/1/verify")).location == "/fleet?done=verified"
    at = "/fleet?show=look&cursor=200"
    assert (await house.post("/fleet/1/verify", back=at)).location == f"{at}&done=verified"
    subscription = await double.terminal.subscription()
    assert subscription is not None
    assert "/Record/" in subscription.event_dest
    assert (await house.post("/fleet/1/release", give_back="1")).location == "/fleet?done=released"
    subscription = await double.terminal.subscription()
    assert subscription is not None
    assert subscription.event_dest == "http://192.0.2.9/old"
    assert "SN-7" not in (await house.desk.get("/fleet")).words


async def test_what_cannot_be_done_is_said_on_the_list(house: House) -> None:
    double = await house.double()
    await house.adopted(double)
    await double.close()
    answer = await house.post("/fleet/1/release", give_back="1")
    assert answer.status == 409
    assert "cannot be reached" in answer.words
    await house.post("/fleet/1/verify")
    page = await house.desk.get("/fleet")
    assert "Look at its power, its cable and its address." in page.words
    assert (await house.post("/fleet/1/release")).location == "/fleet?done=released"
    assert (await house.post("/fleet/1/verify")).status == 409


async def test_a_list_is_checked_before_anything_is_done_and_its_passwords_are_on_no_page(
    house: House,
) -> None:
    double = await house.double()
    wrong = "address,name,site,user,password\n10.0.0.1,Gate,Nowhere,admin,s3cret\n,Door,,admin,s3cret\n"
    checked = await house.post("/fleet/import", list=wrong)
    assert "2 things are wrong in the list; nothing was done." in checked.words
    assert "Line 2 · site: is no site here" in checked.words
    assert "s3cret" not in checked.html
    listed = f"address,name,user,password\n{double.address},North gate,{ADMIN.username},{ADMIN.password}\n"
    checked = await house.post("/fleet/import", list=listed)
    assert "1 terminal can be adopted." in checked.words
    assert ADMIN.password not in checked.html
    assert house.desk.running.desk.fleet.many.adoptions.latest() == []
    sealed = re.search(r'name="sealed" value="([^"]+)"', checked.html)
    assert sealed
    ordered = await house.post("/fleet/import", sealed=html.unescape(sealed[1]))
    assert ordered.location == "/fleet/adoptions/1"
    many = house.desk.running.desk.fleet.many

    def is_over() -> bool:
        found = many.adoptions.one(1)
        return found is not None and found.finished_at is not None

    await until(is_over)
    page = await house.desk.get("/fleet/adoptions/1")
    assert "1 adopted, 0 failed, 0 to go" in page.words
    assert "data-again" not in page.html
    assert "North gate" in (await house.desk.get("/fleet")).words
    assert (await house.desk.get("/fleet/adoptions/2")).status == 404
    assert "the file is empty" in (await house.post("/fleet/import", sealed="~forged")).words


async def test_the_template_is_in_the_language_of_the_page_and_can_be_brought_back(house: House) -> None:
    listed = (await house.desk.get("/fleet/import/template", accept_language="zh")).html
    assert listed.startswith("\ufeff地址,名称")
    checked = await house.post("/fleet/import", list=listed)
    assert "Line 2 · password: is missing; write it" in checked.words


async def test_a_scan_finds_a_terminal_and_those_that_are_ticked_are_adopted(house: House) -> None:
    double = await house.double()
    place = double.address.removeprefix("https://")
    begun = await house.post("/fleet/find/scan", networks=f"{place}，127.0.0.1:1")
    assert begun.location == "/fleet/find"
    finder = house.desk.running.desk.finder
    await until(lambda: finder.scan is not None and finder.scan.is_over)
    page = await house.desk.get("/fleet/find")
    assert "2 of 2 addresses asked." in page.words
    assert "not adopted" in page.words
    assert f'name="addresses" value="{double.address}"' in page.html
    form = {"addresses": [double.address], "username": ADMIN.username, "password": ADMIN.password}
    assert (await house.post("/fleet/find/adopt", **form)).location == "/fleet/adoptions/1"
    await until(lambda: bool(house.desk.running.desk.fleet.adopted.all()))
    page = await house.desk.get("/fleet/find")
    assert f'name="addresses" value="{double.address}"' not in page.html
    assert (await house.post("/fleet/find/end")).status == 303


async def test_why_asks_who_is_at_an_address_of_which_nothing_is_known(house: House) -> None:
    double = await house.double()
    page = await house.desk.get(f"/why?asked={double.address}")
    assert f"{double.address} replies: it is terminal SN-7." in page.words
    assert "or adopt it by its own address" in page.words
    await double.close()
    assert "Look at its power, its cable" in (await house.desk.get(f"/why?asked={double.address}")).words
    assert "replies" not in (await house.desk.get(f"/why?asked={double.address}", "viewer")).words


async def test_what_cannot_be_scanned_or_adopted_is_said(house: House) -> None:
    answer = await house.post("/fleet/find/scan", networks="10.0.0.0/30")
    assert answer.status == 400
    assert "name it in fleet_networks if it should" in answer.words
    assert 'value="10.0.0.0/30"' in answer.html
    assert (await house.post("/fleet/find/adopt", username="a", password="b")).status == 400
    answer = await house.post("/fleet/find/adopt", addresses="a/b", username="a", password="b")
    assert "must be like 192.0.2.7" in answer.words


async def test_a_day_that_is_short_is_counted_fetched_and_marked(house: House) -> None:
    double = await house.double()
    await house.adopted(double)
    at = datetime.now(UTC) - timedelta(hours=30)
    await double.terminal.outbox.subscribe(wire.Subscription("http://127.0.0.1:9/Record", True))
    for number in range(3):
        user = wire.User(user_id=str(number), name=f"P{number}", type=1)
        await double.terminal.record(
            wire.Record(
                serial="SN-7", uuid=f"4d3987c1-a3b3-470b-0000-{number:012d}",
                recorded_at=at + timedelta(seconds=number),
                recognition_type=1, passed=True, entry_mode=1, user=user,
            )
        )  # fmt: skip
    counted = await house.post("/fleet/history/count", terminal="1")
    assert counted.location == "/fleet/history?terminal=1&done=saved", counted.words
    page = await house.desk.get("/fleet/history?terminal=1")
    assert "The terminal says 3, here are 0" in page.words
    assert "proposed" in page.words
    assert (await house.post("/fleet/history/1/resume")).status == 303
    jobs = house.desk.running.desk.histories.jobs
    await until(lambda: [row.state for row in jobs.page()] == ["done"])
    page = await house.desk.get("/fleet/history")
    assert re.search(r"done .*3 / 3", page.words)
    assert (await house.post("/fleet/history/1/pause")).status == 409
    assert (await house.post("/fleet/history/1/break")).status == 400
    asked = await house.post("/fleet/history", terminal="1", since="2024-05-01T00:00")
    assert asked.location == "/fleet/history?terminal=1&done=saved"
    assert (await house.post("/fleet/history", terminal="1", since="yesterday")).status == 400
    assert (await house.post("/fleet/history", terminal="9", since="2024-05-01T00:00")).status == 400


@pytest.mark.parametrize("path", ["/fleet", "/fleet/find", "/fleet/adopt", "/fleet/import", "/fleet/history"])
async def test_only_administrators_see_it(house: House, path: str) -> None:
    assert (await house.desk.get(path, "operator")).status == 403
    assert 'href="/fleet"' not in (await house.desk.get("/terminals", "operator")).html
