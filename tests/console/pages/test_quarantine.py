"""The quarantine: look, process again, discard."""

from tests.console.kit import Desk

from gatepost.store.accounts.accounts import Accounts


async def held(desk: Desk) -> list[int]:
    for number in range(2):
        await desk.running.push({"type": 7, "data": {"number": number, "text": "<b>bold</b>"}})
    return [push.id for push in desk.store.quarantined().items]


async def test_what_was_not_understood_is_shown_as_it_came(desk: Desk) -> None:
    ids = await held(desk)
    assert str(ids[0]) in (await desk.get("/quarantine", "viewer")).html
    push = await desk.get(f"/quarantine/{ids[0]}", "viewer")
    assert '"text": "<b>bold</b>"' in push.words
    assert "<b>bold" not in push.html
    assert (await desk.get("/quarantine/12345")).status == 404


async def test_it_is_processed_again_and_said_what_came_of_it(desk: Desk) -> None:
    ids = await held(desk)
    answer = await desk.post("/quarantine/process", "operator", ids=ids)
    assert answer.location == "/quarantine?done=still_unknown"
    assert Accounts(desk.store).audit(action="quarantine.processed").items[0].detail["still_unknown"] == 2


async def test_it_is_discarded_by_an_administrator_only(desk: Desk) -> None:
    ids = await held(desk)
    assert (await desk.post("/quarantine/discard", "operator", ids=ids)).status == 403
    assert (await desk.post("/quarantine/discard", ids=ids)).location == "/quarantine?done=discarded"
    assert desk.store.quarantined().items == ()


async def test_nothing_chosen_is_said(desk: Desk) -> None:
    answer = await desk.post("/quarantine/process")
    assert answer.status == 400
    assert "choose at least one" in answer.words
