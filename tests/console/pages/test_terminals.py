"""Terminals: their list, their settings, their addresses."""

import html
import re
from pathlib import Path
from typing import Any

from tests.console.kit import Desk, Text
from tests.receiver.kit import receiving, record
from tests.terminals import ensured

from gatepost.console.routes import routes
from gatepost.store.accounts.accounts import Accounts


def address(page: Text) -> str:
    found = re.search(r'id="address">([^<]+)<', page.html)
    assert found
    return html.unescape(found[1])


async def test_a_terminal_is_made_and_its_address_told_this_once(desk: Desk) -> None:
    page = await desk.post("/terminals", name="Gate", serial="SN-7", site="1")
    told = address(page)
    assert "/Record/" in told
    token = told.rpartition("/")[2]
    assert (await desk.running.push(record(deviceSN="SN-7"), path=f"/Record/{token}")).json["code"] == 200
    again = await desk.get("/terminals/1")
    assert token not in again.html
    assert token not in str(Accounts(desk.store).audit().items)


async def test_what_is_wrong_with_a_new_terminal_is_said_and_what_was_typed_is_still_there(
    desk: Desk,
) -> None:
    await desk.post("/terminals", name="Gate", serial="SN-7")
    again = await desk.post("/terminals", name="Other", serial="SN-7")
    assert again.status == 400
    assert "already a terminal" in again.words
    assert 'value="Other"' in again.html
    assert (await desk.post("/terminals", name="X", timezone="Mars/Olympus")).status == 400


async def test_settings_of_a_terminal_are_changed_and_count_at_once(desk: Desk) -> None:
    await desk.running.push(record())
    answer = await desk.post("/terminals/1", name="Main gate", site="1", networks="10.9.0.0/16, 10.8.0.0/16")
    assert answer.location == "/terminals/1?done=saved"
    row = desk.store.terminal(1)
    assert row is not None
    assert (row.name, row.networks) == ("Main gate", ("10.9.0.0/16", "10.8.0.0/16"))
    assert (await desk.running.push(record(uuid="u-2"))).json["code"] != 200
    wrong = await desk.post("/terminals/1", name="Main gate", networks="here")
    assert wrong.status == 400
    assert "networks" in wrong.words


async def test_a_state_is_one_that_there_is(desk: Desk) -> None:
    await desk.running.push(record())
    assert (await desk.post("/terminals/1/state", state="held")).location == "/terminals/1?done=saved"
    assert (await desk.post("/terminals/1/approve", "operator", back="/terminals")).status == 303
    assert (await desk.post("/terminals/1/state", state="broken")).status == 400
    assert (await desk.post("/terminals/99/state", state="held")).status == 404
    assert (await desk.post("/terminals/99/approve")).status == 404


async def test_another_address_ends_the_one_before(desk: Desk) -> None:
    first = address(await desk.post("/terminals", name="Gate", serial="SN-7")).rpartition("/")[2]
    second = address(await desk.post("/terminals/1/token")).rpartition("/")[2]
    assert first != second
    pushed = record(deviceSN="SN-7")
    assert (await desk.running.push(pushed, path=f"/Record/{first}")).json.get("code") != 200
    assert (await desk.running.push(pushed, path=f"/Record/{second}")).json["code"] == 200
    assert (await desk.post("/terminals/99/token")).status == 404


async def test_behind_a_proxy_the_address_is_the_one_that_the_browser_has(tmp_path: Path) -> None:
    proxy = {"Host": "door.example", "X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https, http"}
    settings: dict[str, Any] = {"trusted_proxies": ("127.0.0.1",), "path_prefix": "/gatepost"}
    async with receiving(tmp_path / "data", pages=routes, **settings) as running:
        desk = await Desk.made(running)
        plain = await desk.get("/gatepost/terminals/new", **proxy)
        assert '"event_dest": "https://door.example/gatepost/Record"' in plain.words
        here = {**proxy, "Referer": "https://door.example:18443/gatepost/terminals"}
        known = await desk.get("/gatepost/terminals/new", **here)
        assert '"event_dest": "https://door.example:18443/gatepost/Record"' in known.words
        told = await desk.post(
            "/gatepost/terminals", headers={**proxy, "Origin": "https://door.example:18443"}, name="Gate"
        )
        assert address(told).startswith("https://door.example:18443/gatepost/Record/")


async def test_who_is_no_trusted_proxy_does_not_say_what_the_address_is(desk: Desk) -> None:
    page = await desk.get("/terminals/new", **{"X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"})
    assert '"event_dest": "http://127.0.0.1/Record"' in page.words


async def test_an_address_that_is_too_long_for_a_qr_code_is_shown_without_one(desk: Desk) -> None:
    for length, has_code in ((100, True), (2800, False)):
        page = await desk.get("/terminals/new", Host="h" * length)
        assert page.status == 200
        assert ("<svg" in page.html.partition('class="setup"')[2].partition("</section>")[0]) == has_code
        assert "h" * length in page.words


async def test_what_wants_somebody_comes_first(desk: Desk) -> None:
    for serial, state in (("A-RETIRED", "retired"), ("B-FINE", "approved"), ("C-HELD", "held")):
        desk.store.create_terminal(now_ms=0, serial=serial, state=state)
    page = await desk.get("/terminals", "viewer")
    assert page.words.index("C-HELD") < page.words.index("B-FINE") < page.words.index("A-RETIRED")
    assert "B-FINE" not in (await desk.get("/terminals?show=retired")).words
    assert "A-RETIRED" not in (await desk.get("/terminals?q=fine")).words


async def test_an_operator_is_told_how_to_set_one_up_and_a_viewer_is_not_asked_to(desk: Desk) -> None:
    assert (await desk.get("/terminals/new", "operator")).status == 403
    page = await desk.get("/terminals/new", "admin")
    assert '{"event_dest": "http://127.0.0.1/Record", "enabled": true}' in page.words


async def test_a_terminals_page_says_how_it_stands_to_its_address(desk: Desk) -> None:
    await desk.running.push(record(deviceSN="SN-7"))
    assert "can push in its name" in (await desk.get("/terminals/1")).words
    first = address(await desk.post("/terminals/1/token")).rpartition("/")[2]
    assert "Still without its address" in (await desk.get("/terminals/1")).words
    await desk.running.push(record(deviceSN="SN-7", uuid="u-2"), path=f"/Record/{first}")
    assert "taken only with it" in (await desk.get("/terminals/1")).words
    await desk.post("/terminals/1/token")
    assert "What it pushes without it is refused" in (await desk.get("/terminals/1")).words
    assert (await desk.post("/terminals/1/token/remove")).location == "/terminals/1?done=saved"
    assert "can push in its name" in (await desk.get("/terminals/1")).words
    assert (await desk.post("/terminals/99/token/remove")).status == 404


async def test_networks_that_would_refuse_what_was_pushed_in_the_last_week_are_asked_about(
    desk: Desk,
) -> None:
    await desk.running.push(record())
    asked = await desk.post("/terminals/1", name="Gate", networks="10.9.0.0/16", ask="yes")
    assert "would be refused" in asked.words
    assert "127.0.0.1" in asked.words
    row = desk.store.terminal(1)
    assert row is not None
    assert (row.name, row.networks) == (None, ())
    assert (await desk.post("/terminals/1", name="Gate", networks="127.0.0.0/8", ask="yes")).status == 303
    assert (await desk.post("/terminals/1", name="Gate", networks="here", ask="yes")).status == 400
    assert (await desk.post("/terminals/1", name="Gate", networks="10.9.0.0/16")).status == 303


async def test_a_move_is_asked_about_with_what_it_changes_about_people(desk: Desk) -> None:
    desk.store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    desk.store.create_terminal(now_ms=0, serial="SN-9", site_id=2)
    await desk.running.push(record())
    await desk.running.push(record(deviceSN="SN-9", user={"user_id": "5", "name": "Emil"}))
    moving = ensured(desk.store, "SN-1", now_ms=0)
    form = {"name": "Gate", "site": 2, "networks": "", "ask": "yes"}
    asked = await desk.post(f"/terminals/{moving.id}", **form)
    assert asked.status == 200
    assert "1 person goes along to Berlin, with this many records: 1" in asked.words
    assert "Europe/Berlin" in asked.words
    assert "Same number at the new site: 1" in asked.words
    assert "/ Emil" in asked.words
    row = desk.store.terminal(moving.id)
    assert row is not None
    assert (row.name, row.site_id) == (None, 1)
    del form["ask"]
    assert (await desk.post(f"/terminals/{moving.id}", **form)).status == 303
    row = desk.store.terminal(moving.id)
    assert row is not None
    assert (row.name, row.site_id) == ("Gate", 2)


async def test_a_terminal_that_has_seen_no_person_moves_without_a_question(desk: Desk) -> None:
    desk.store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    desk.store.create_terminal(now_ms=0, serial="SN-9")
    assert (await desk.post("/terminals/1", site=2, ask="yes")).status == 303


async def test_what_to_retire_a_terminal_would_refuse_stands_beside_the_button(desk: Desk) -> None:
    desk.store.create_terminal(now_ms=0, serial="QUIET")
    await desk.running.push(record())
    assert "would be refused" not in (await desk.get("/terminals/1")).words
    assert "would be refused" in (await desk.get("/terminals/2")).words
    await desk.post("/terminals/2/state", state="retired")
    assert "would be refused" not in (await desk.get("/terminals/2")).words


async def test_the_list_tells_how_many_terminals_push_without_a_token(desk: Desk) -> None:
    assert "without" not in (await desk.get("/terminals")).words
    await desk.running.push(record())
    assert "1 terminal pushed without a token" in (await desk.get("/terminals")).words


async def test_a_terminals_page_says_that_its_ids_repeat_and_that_it_sends_no_usable_ones(desk: Desk) -> None:
    await desk.running.push(record())
    page = await desk.get("/terminals/1")
    assert "Its ids repeat" not in page.words
    assert "no usable ids" not in page.words
    await desk.running.push(record(timestamp=1_685_343_800))
    await desk.running.push(record(uuid="00000000-0000-0000-0000-000000000000"))
    page = await desk.get("/terminals/1")
    assert "Its ids repeat. 1 record has the id of another record." in page.words
    assert "It sends no usable ids. The id of 1 event is a placeholder or too short." in page.words
    assert "Repeated ids 1" in page.words


async def test_a_retired_terminal_is_deleted_once_its_name_is_typed(desk: Desk) -> None:
    await desk.running.push(record(deviceSN="SN-7"))
    desk.running.settle()
    assert "Delete this terminal" not in (await desk.get("/terminals/1")).words
    await desk.post("/terminals/1/state", state="retired")
    page = await desk.get("/terminals/1")
    assert "1 records with their images" in page.words
    wrong = await desk.post("/terminals/1/delete", typed="SN-8")
    assert wrong.status == 400
    assert "Nothing was deleted" in wrong.words
    assert len(desk.store.terminals()) == 1
    assert (await desk.post("/terminals/1/delete", typed="SN-7")).location == "/terminals?done=deleted"
    assert desk.store.terminals() == []
    assert "Deleted." in (await desk.get("/terminals?done=deleted")).words
    assert (await desk.post("/terminals/1/delete", typed="SN-7")).status == 404
