"""People, and one person's days."""

from datetime import date

from tests.console.kit import Desk
from tests.receiver.kit import record

from gatepost.console.pages.people.people import Month
from gatepost.store.accounts.accounts import Accounts

DAY = "2023-05-29"


async def test_somebody_is_found_by_a_part_of_their_name_that_no_address_tells(desk: Desk) -> None:
    await desk.running.push(record())
    found = await desk.post("/people", "viewer", q="王")
    assert "王" not in found.location
    assert "王五" in (await desk.get(found.location, "viewer")).words
    nobody = await desk.post("/people", "viewer", q="赵")
    assert "Nothing fits these filters." in (await desk.get(nobody.location, "viewer")).words


async def test_a_person_has_days_with_first_in_last_out_and_every_passage(desk: Desk) -> None:
    await desk.running.push(record(uuid="u-1", timestamp=1_685_343_715))
    await desk.running.push(record(uuid="u-2", timestamp=1_685_343_715 + 3600))
    page = await desk.get("/people/1")
    assert f"Passages of {DAY}" in page.words
    assert page.html.count('<li class="passed">') == 2
    assert "07:01" in page.words
    assert "08:01" in page.words
    assert "Not seen in this month." in (await desk.get("/people/1?month=2020-01")).words


async def test_erasing_needs_the_name_typed_and_leaves_nothing_of_it(desk: Desk) -> None:
    await desk.running.push(record())
    wrong = await desk.post("/people/1/erase", typed="王")
    assert wrong.status == 400
    assert "Nothing was erased." in wrong.words
    done = await desk.post("/people/1/erase", typed="王五")
    assert done.location == "/people?done=erased"
    assert (await desk.get("/people/1")).status == 404
    assert "王五" not in (await desk.get("/records/1")).words
    line = Accounts(desk.store).audit(action="person.erased").items[0]
    assert (line.actor, line.subject) == ("admin", "1")
    assert "王五" not in str(line)
    assert (await desk.post("/people/1/erase", "operator", typed="王五")).status == 403


async def test_a_person_that_is_none_is_not_there(desk: Desk) -> None:
    assert (await desk.get("/people/99")).status == 404
    assert (await desk.get("/people/x")).status == 404


def test_a_month_knows_its_days_and_the_ones_beside_it() -> None:
    month = Month(date(2024, 2, 1))
    assert (month.text, month.before, month.after) == ("2024-02", "2024-01", "2024-03")
    assert len(month.days) == 29
    assert Month(date(2024, 12, 1)).after == "2025-01"
