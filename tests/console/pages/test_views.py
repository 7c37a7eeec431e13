"""Views of pages: saved, linked, shared, and with which a page begins."""

import re

from tests.console.kit import Desk
from tests.receiver.kit import alarm, record


def saving(html: str) -> dict[str, str]:
    """Return the hidden fields of the form that saves a view."""
    form = re.findall(r'action="/views".*?</form>', html, re.S)[0]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form.replace("&amp;", "&")))


async def test_the_filters_of_a_page_are_saved_and_lead_back_to_it(desk: Desk) -> None:
    await desk.running.push(record())
    sealed = (await desk.post("/records", "viewer", q="Anna", passed="true")).location
    page = await desk.get(sealed, "viewer")
    answer = await desk.post("/views", "viewer", name="Anna in", **saving(page.html))
    assert (answer.status, answer.location) == (303, sealed + "&done=view_saved")
    page = await desk.get(answer.location, "viewer")
    assert re.search(r'class="pill"[^>]* aria-current="true">Anna in', page.html)
    assert "View saved." in page.words
    (item,) = (await desk.running.get("/api/v1/views")).json["items"] or [None]
    assert item is None or item["name"] != "Anna in"  # it is the viewer's own
    listed = await desk.get("/views", "viewer")
    number = re.findall(r'href="/views/(\d+)"', listed.html)[0]
    assert (await desk.get(f"/views/{number}", "viewer")).location == sealed
    assert (await desk.get(f"/views/{number}", "operator")).status == 404
    assert "Anna in" not in (await desk.get("/records", "operator")).words
    renamed = await desk.post(f"/views/{number}", "viewer", name="Anna")
    assert renamed.location == "/views?done=saved"
    assert (await desk.post(f"/views/{number}/delete", "viewer")).location == "/views?done=deleted"
    assert "No views yet." in (await desk.get("/views", "viewer")).words


async def test_a_page_begins_with_a_view_until_one_asks_for_no_filter(desk: Desk) -> None:
    await desk.running.push(alarm())
    page = await desk.get("/alarms?show=open&code=10001", "guard")
    await desk.post("/views", "guard", name="Tampering", start="1", **saving(page.html))
    assert (await desk.get("/alarms", "guard")).location == "/alarms?code=10001&show=open"
    assert (await desk.get("/alarms", "viewer")).status == 200
    page = await desk.get("/alarms?code=10001", "guard")
    assert page.html.count('href="/alarms?view=all"') >= 2  # the chip, and all of them
    assert '<input type="hidden" name="view" value="all">' in page.html
    everything = await desk.get("/alarms?view=all", "guard")
    assert everything.status == 200
    assert "Found: 1" in everything.words


async def test_an_operator_shares_a_view_and_others_begin_with_it(desk: Desk) -> None:
    page = await desk.get("/people?type=2", "operator")
    assert 'name="shared"' in page.html
    assert 'name="shared"' not in (await desk.get("/people?type=2", "viewer")).html
    await desk.post("/views", "operator", name="Visitors", shared="1", **saving(page.html))
    assert (await desk.post("/views", "viewer", name="x", shared="1", **saving(page.html))).status == 403
    page = await desk.get("/people", "viewer")
    assert '<a class="pill" href="/people?type=2">Visitors <small>shared</small></a>' in page.html
    number = re.findall(r'href="/views/(\d+)"', (await desk.get("/views", "viewer")).html)[0]
    assert f"/views/{number}/delete" not in (await desk.get("/views", "viewer")).html
    assert f"/views/{number}/delete" in (await desk.get("/views", "admin")).html
    await desk.post(f"/views/{number}", "viewer", start="yes")
    assert (await desk.get("/people", "viewer")).location == "/people?type=2"
    assert (await desk.post("/people", "viewer", view="all")).location == "/people?view=all"
    await desk.post(f"/views/{number}", "operator", shared="no")
    assert (await desk.get("/people", "viewer")).status == 200


async def test_a_period_moves_on_with_the_day(desk: Desk) -> None:
    page = await desk.get("/records", "viewer")
    today = re.findall(r'href="(/records\?since=[^"]*)"[^>]*>Today', page.html)[0]
    await desk.post("/views", "viewer", name="Today", **saving((await desk.get(today, "viewer")).html))
    number = re.findall(r'href="/views/(\d+)"', (await desk.get("/views", "viewer")).html)[0]
    assert (await desk.get(f"/views/{number}", "viewer")).location == today
    for row in desk.running.desk.access.doors.accounts.accounts():
        if row.name == "viewer":
            from gatepost.store.accounts.saved_views import Reader, SavedViews

            reader = Reader(account_id=row.id, role="viewer", every_site=True)
            views = SavedViews(desk.store.seen_by(desk.store.visible), reader)
            assert views.all()[0].filters == {"period": "today"}


async def test_every_page_with_filters_has_views(desk: Desk) -> None:
    for path in (
        *("/?site=1", "/records?passed=true", "/alarms?show=open", "/people?type=1", "/attendance?kind=all"),
        *("/statistics?site=1", "/terminals?show=online", "/quarantine?site=1", "/audit?actor=admin"),
    ):
        page = await desk.get(path)
        form = saving(page.html)
        answer = await desk.post("/views", name="Mine", start="1", **form)
        assert answer.location == path + "&done=view_saved", path
        assert (await desk.get(path.partition("?")[0])).location == path
    listed = await desk.get("/views", accept_language="zh")
    assert listed.words.count("Mine") >= 9
    assert "重命名" in listed.words


async def test_a_view_of_a_terminal_that_was_deleted_still_opens(desk: Desk) -> None:
    await desk.running.push(record())
    (terminal,) = desk.store.terminals()
    paths = (
        *(f"/?terminals={terminal.id}", f"/records?terminal={terminal.serial}"),
        *(f"/alarms?terminal={terminal.serial}", f"/statistics?terminal={terminal.serial}"),
        f"/quarantine?terminal={terminal.serial}",
    )
    for path in paths:
        page = await desk.get(path, "operator")
        assert (
            await desk.post("/views", "operator", name="Gate", start="1", **saving(page.html))
        ).status == 303
    desk.store.update_terminal(terminal.id, state="retired")
    await desk.post("/terminals/chosen/delete", ids=terminal.id, typed="1")
    assert desk.store.terminals() == []
    assert (await desk.get("/views", "operator")).words.count("Gate") >= len(paths)
    for path in paths:
        begun = await desk.get(path.partition("?")[0], "operator")
        assert begun.location == path
        page = await desk.get(path, "operator")
        assert page.status == 200, path
        assert ("is no longer there" if path.startswith("/?") else terminal.serial) in page.words, path
