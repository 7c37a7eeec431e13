"""Several terminals at once: approved, moved, retired, deleted and named, each asked about with what it changes."""

import re

import pytest
from tests.console.kit import Desk
from tests.receiver.kit import record

from gatepost.store.accounts.accounts import Accounts


def made(desk: Desk, *states: str) -> list[int]:
    return [
        desk.store.create_terminal(now_ms=0, serial=f"SN-{number}", state=state).id
        for number, state in enumerate(states, 1)
    ]


def states(desk: Desk) -> list[str]:
    return [row.state for row in desk.store.terminals()]


def audited(desk: Desk, action: str) -> list[str | None]:
    return [one.subject for one in Accounts(desk.store).audit().items if one.action == action]


async def test_several_are_approved_at_once_and_a_retired_one_stays_retired(desk: Desk) -> None:
    ids = made(desk, "held", "held", "retired", "held")
    answer = await desk.post(
        "/terminals/chosen/approve", "operator", ids=ids[:3], back="/terminals?show=to_approve"
    )
    assert answer.location == "/terminals?show=to_approve&done=approved"
    assert states(desk) == ["approved", "approved", "retired", "held"]
    assert sorted(filter(None, audited(desk, "terminal.approved"))) == ["1", "2"]


@pytest.mark.parametrize("work", ["move", "retire", "delete"])
async def test_an_operator_approves_and_does_nothing_else(desk: Desk, work: str) -> None:
    ids = made(desk, "held")
    assert (await desk.post(f"/terminals/chosen/{work}", "operator", ids=ids, site=1)).status == 403
    assert work not in re.findall(r"chosen/(\w+)", (await desk.get("/terminals", "operator")).html)
    assert 'name="ids"' not in (await desk.get("/terminals", "viewer")).html


@pytest.mark.parametrize("work", ["approve", "move", "retire", "delete"])
async def test_nothing_chosen_is_said(desk: Desk, work: str) -> None:
    made(desk, "held")
    answer = await desk.post(f"/terminals/chosen/{work}", site=1, ids=[99, 0])
    assert answer.status == 400
    assert "choose at least one; nothing was changed" in answer.words


async def test_a_move_of_several_is_asked_first_with_the_people_who_go_along(desk: Desk) -> None:
    desk.store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    await desk.running.push(record())
    desk.store.create_terminal(now_ms=0, serial="SN-8")
    desk.store.create_terminal(now_ms=0, serial="SN-9", site_id=2)
    asked = await desk.post("/terminals/chosen/move", ids=[1, 2, 3], site=2, back="/terminals?q=SN")
    assert asked.title == "Move 2 terminals"
    assert "Europe/Berlin" in asked.words
    assert "The passages of 1 person go along." in asked.words
    assert "1 more stands there already." in asked.words
    assert [row.site_id for row in desk.store.terminals()] == [1, 1, 2]
    sure = await desk.post("/terminals/chosen/move", ids=[1, 2], site=2, sure="yes", back="/terminals?q=SN")
    assert sure.location == "/terminals?q=SN&done=saved"
    assert [row.site_id for row in desk.store.terminals()] == [2, 2, 2]
    assert (await desk.post("/terminals/chosen/move", ids=[1], site=77)).status == 400


async def test_retiring_several_says_which_still_push(desk: Desk) -> None:
    await desk.running.push(record())
    desk.store.create_terminal(now_ms=0, serial="QUIET")
    asked = await desk.post("/terminals/chosen/retire", ids=[1, 2])
    assert "1 of them pushed in the last week." in asked.words
    assert states(desk) == ["new", "approved"]
    await desk.post("/terminals/chosen/retire", ids=[1, 2], sure="yes")
    assert states(desk) == ["retired", "retired"]
    assert "All of them are retired already." in (await desk.post("/terminals/chosen/retire", ids=[1])).words


async def test_only_retired_ones_are_deleted_once_their_number_is_typed(desk: Desk) -> None:
    ids = made(desk, "retired", "retired", "approved")
    asked = await desk.post("/terminals/chosen/delete", ids=ids)
    assert asked.title == "Delete 2 terminals"
    assert "1 more is not retired and stays." in asked.words
    wrong = await desk.post("/terminals/chosen/delete", ids=ids, typed="3")
    assert (wrong.status, len(states(desk))) == (400, 3)
    assert "Nothing was deleted" in wrong.words
    assert (await desk.post("/terminals/chosen/delete", ids=ids, typed="2")).status == 303
    assert states(desk) == ["approved"]
    assert "Retire them first" in (await desk.post("/terminals/chosen/delete", ids=ids, typed="0")).words


async def test_a_list_of_names_is_checked_before_it_counts(desk: Desk) -> None:
    made(desk, "approved", "approved")
    text = "Serial number,Name\nSN-1,North gate\nSN-2,Südtor\nSN-7,Nowhere\n"
    checked = await desk.post("/terminals/names", list=text)
    assert "2 terminals are changed. 1 line is not used." in checked.words
    assert "no terminal has this serial number" in checked.words
    assert [row.name for row in desk.store.terminals()] == [None, None]
    assert (await desk.post("/terminals/names", list=text, sure="yes")).location == "/terminals?done=saved"
    assert [row.name for row in desk.store.terminals()] == ["North gate", "Südtor"]
    assert "0 terminals are changed" in (await desk.post("/terminals/names", list=text)).words
    assert (await desk.post("/terminals/names", list=" \n")).status == 400
    assert (await desk.post("/terminals/names", "operator", list=text)).status == 403


async def test_the_present_names_are_a_list_that_can_be_brought_back(desk: Desk) -> None:
    made(desk, "approved", "retired")
    desk.store.update_terminal(1, name="=1+1")
    listed = (await desk.get("/terminals/names/list")).html
    assert listed.lstrip("\ufeff").splitlines() == ["Serial number,Name,Direction", "SN-1,'=1+1,both ways"]
    checked = await desk.post("/terminals/names", list=listed)
    assert "0 terminals are changed" in checked.words


async def test_replacing_and_withdrawing_say_first_what_breaks(desk: Desk) -> None:
    made(desk, "approved")
    assert "Nothing breaks" in (await desk.get("/terminals/1")).words
    told = await desk.post("/terminals/1/token")
    found = re.search(r"/Record/([\w-]+)<", told.html)
    assert found
    assert "No push has come to it yet." in (await desk.get("/terminals/1")).words
    await desk.running.push(record(deviceSN="SN-1"), path=f"/Record/{found[1]}")
    desk.running.settle()
    page = await desk.get("/terminals/1")
    assert page.words.count("It is in use: the latest push came") == 2
    assert "The present address is refused at once." in page.words


@pytest.mark.parametrize(
    ("host", "warns"),
    [
        ("127.0.0.1:8080", True),
        ("localhost", True),
        ("[::1]:8080", True),
        ("gate.example", False),
        ("10.1.2.3", False),
    ],
)
async def test_an_address_that_only_this_machine_reaches_is_warned_about(
    desk: Desk, host: str, warns: bool
) -> None:
    page = await desk.get("/terminals/new", Host=host)
    assert ("Only this computer reaches this address." in page.words) == warns
