"""The page that says why nothing arrives."""

import time

import pytest
from tests.console.kit import Desk
from tests.receiver.kit import record


async def test_it_asks_for_a_terminal_and_offers_those_that_there_are(desk: Desk) -> None:
    await desk.running.push(record())
    page = await desk.get("/why", "viewer")
    assert page.title == "Why does nothing arrive?"
    assert '<option value="SN-1">' in page.html
    assert "/why" in (await desk.get("/terminals")).html
    assert "/why?asked=SN-1" in (await desk.get("/terminals/1")).html


async def test_a_terminal_that_pushes_has_nothing_to_be_done(desk: Desk) -> None:
    await desk.running.push(record(timestamp=int(time.time())))
    desk.running.settle()
    page = await desk.get("/why?asked=SN-1")
    assert "Approve it if it is yours" in page.words
    assert 'action="/terminals/1/approve"' in page.html
    desk.running.store.update_terminal(1, state="approved")
    page = await desk.get("/why?asked=SN-1")
    assert "nothing has to be done" in page.words
    assert "None of its pushes was refused in the last week." in page.words


@pytest.mark.parametrize(
    ("language", "says", "do"),
    [
        ("en", "it pushes to /Reocrd, where nothing is received.", "Correct the address on the terminal"),
        ("zh-CN", "它推送到 /Reocrd，该路径不接收推送", "请在终端上更正推送地址"),
    ],
)
async def test_what_was_refused_is_said_with_what_to_do(
    desk: Desk, language: str, says: str, do: str
) -> None:
    await desk.running.push(record(), path="/Reocrd", headers={"sn": "SN-7"})
    await desk.running.flush()
    for asked in ("SN-7", "127.0.0.1"):
        page = await desk.get(f"/why?asked={asked}", accept_language=language)
        assert says in page.words
        assert do in page.words


async def test_a_held_one_is_approved_from_here_and_one_comes_back(desk: Desk) -> None:
    desk.store.create_terminal(now_ms=0, serial="SN-5", state="held")
    page = await desk.get("/why?asked=SN-5", "operator")
    assert "It waits for approval" not in page.words
    assert "The terminal waits for approval" in page.words
    assert 'action="/terminals/1/approve"' in page.html
    answer = await desk.post("/terminals/1/approve", "operator", back="/why?asked=SN-5")
    assert answer.location == "/why?asked=SN-5&done=approved"
    assert 'action="/terminals/1/approve"' not in (await desk.get("/why?asked=SN-5", "viewer")).html


async def test_an_address_that_is_none_is_said(desk: Desk) -> None:
    assert (await desk.get("/why?asked=a.b/c")).status == 400
