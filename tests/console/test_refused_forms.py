"""A form that is refused is shown again with what was typed."""

import html
import re

import pytest
from tests.console.kit import PASSWORD, Desk
from tests.receiver.kit import alarm, body, record

from gatepost.console.input.refused_forms import refill

PAGE = """<html><main>
<form method="post" action="/other"><input name="a" value="x"></form>
<details class="fold"><summary>…</summary><form method="post" action="/here" id="f">
<input type="hidden" name="n" value="1"><input name="a" value="x &amp; y"></form></details>
<details class="fold"><summary>…</summary><form method="post" action="/here" id="f">
<input type="hidden" name="n" value="2"><input name="a" value="x" required><input name="p" type="password">
<select name="s"><option value="">–</option><option value="1" selected>one</option>
<option value="2">two</option></select>
<input type="checkbox" name="c" value="1" checked><input type="checkbox" name="c" value="2">
<textarea name="t">old</textarea></form></details><input type="checkbox" name="c" value="3" form="f">
</main></html>"""


def test_the_form_that_was_sent_is_filled_in_and_no_other() -> None:
    fields = {"n": ["2"], "a": ['"<b>"'], "p": ["secret"], "s": ["2"], "c": ["2", "3"], "t": ["<new>"]}
    found = refill(PAGE, "/here", fields, "no <such> thing", sent_from="/page?a=1")
    assert found is not None
    before, _, form = found.partition(
        '<p class="problem" id="refused" role="alert">no &lt;such&gt; thing</p>'
    )
    assert before == PAGE[: PAGE.rindex("<details")] + "<details open" + ' class="fold"><summary>…</summary>'
    assert 'value="&quot;&lt;b&gt;&quot;"' in form
    assert "secret" not in form
    assert re.findall(r'<option value="(\d?)" selected', form) == ["2"]
    assert re.findall(r'name="c" value="(\d)"(?: form="f")? checked', form) == ["2", "3"]
    assert '<textarea name="t">&lt;new&gt;</textarea>' in form
    assert '<input type="hidden" name="sent_from" value="/page?a=1">' in form


@pytest.mark.parametrize(("action", "n"), [("/nowhere", "2"), ("/here", "3")])
def test_a_page_without_the_form_is_left_alone(action: str, n: str) -> None:
    assert refill(PAGE, action, {"n": [n]}, "why") is None


def field(page: str, name: str) -> list[str]:
    return re.findall(rf'name="{name}"[^>]* value="([^"]*)"', page)


def sent_from(path: str) -> dict[str, str]:
    return {"referer": f"http://127.0.0.1{path}"}


async def test_a_refused_correction_keeps_its_form_also_the_second_time(desk: Desk) -> None:
    await desk.running.push(record())
    person = (await desk.running.get("/api/v1/people")).json["items"][0]["id"]
    page = f"/people/{person}?month=2023-05&day=2023-05-29"
    form = {"person": person, "day": "2023-05-30", "time": "24:30", "note": "left by the gate"}
    answer = await desk.post("/corrections", "operator", headers=sent_from(page), **form)
    assert answer.status == 400
    assert 'id="refused"' in answer.html
    assert (field(answer.html, "day")[-1], field(answer.html, "note")) == ("2023-05-30", ["left by the gate"])
    again = {**form, "sent_from": field(answer.html, "sent_from")[0].replace("&amp;", "&"), "note": "x"}
    answer = await desk.post("/corrections", "operator", headers=sent_from("/corrections"), **again)
    assert (answer.status, field(answer.html, "note")) == (400, ["x"])
    again["time"] = "17:30"
    assert (await desk.post("/corrections", "operator", **again)).status == 303


async def test_a_mistyped_password_or_zone_keeps_the_first_start(desk: Desk) -> None:
    headers = sent_from("/welcome")
    form = {"current": "wrong", "new": "quite another one", "again": "quite another one", "back": "/welcome"}
    answer = await desk.post("/account/password", "admin", headers=headers, **form)
    assert answer.status == 400
    assert "The current password is wrong." in answer.words
    assert "Start a simulated terminal" in answer.words
    assert "quite another" not in answer.html
    answer = await desk.post("/welcome/site", headers=headers, name="杭州", timezone="Asia/Hangzhou")
    assert answer.status == 400
    assert field(answer.html, "name") == ["杭州"]
    assert field(answer.html, "timezone") == ["Asia/Hangzhou"]
    assert "Asia/Hangzhou" in answer.words
    right = await desk.post("/account/password", "admin", headers=headers, **{**form, "current": PASSWORD})
    assert right.location == "/welcome?done=password"


@pytest.mark.parametrize("page", ["", "https://elsewhere.example", "http://127.0.0.1/api/v1/records"])
async def test_a_refused_form_of_no_page_of_ours_is_told_on_the_page_of_errors(desk: Desk, page: str) -> None:
    answer = await desk.post("/welcome/site", headers={"referer": page}, name="x", timezone="nowhere")
    assert answer.status == 400
    assert "there is no time zone 'nowhere'" in answer.words
    assert 'id="refused"' not in answer.html


JUNK = "?! <junk>"

PAGES = (
    "/welcome", "/account", "/settings", "/system", "/settings/users", "/schedules", "/corrections", "/attendance",
    "/records",
    "/people", "/people/{person}?month=2023-05&day=2023-05-29", "/terminals", "/terminals/new", "/terminals/1",
    "/terminals/names", "/destinations/new?kind=webhook", "/destinations/1", "/fleet/adopt", "/fleet/import",
    "/fleet/find", "/fleet/history", "/quarantine", "/alarms", "/alarms/{alarm}",
)  # fmt: skip

FORM = re.compile(
    r'<form(?: class="[^"]*"| id="[^"]*")? method="post"(?: data-within)? action="([^"]+)"[^>]*>(.*?)</form>',
    re.S,
)
TYPED = re.compile(r'<(?:input(?! type="(?:hidden|checkbox|radio|file)")|textarea)[^>]* name="([^"]+)"[^>]*>')
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


async def test_no_form_loses_what_was_typed(desk: Desk) -> None:
    """Send every form of every page with junk; where it is refused, the junk is still in it."""
    await desk.running.push(record())
    await desk.running.push(alarm())
    await desk.running.push(b'{"type": 7}')
    person = (await desk.running.get("/api/v1/people")).json["items"][0]["id"]
    created = await desk.running.request("POST", "/api/v1/destinations", body(DESTINATION))
    assert created.status == 201, created.body
    refused = set()
    for path in PAGES:
        page = path.format(person=person, alarm=desk.running.alarms()[0].id)
        shown = await desk.get(page)
        assert shown.status == 200, page
        for action, content in dict(FORM.findall(shown.html)).items():
            names = [name for name in TYPED.findall(content) if name != "username"]
            if not names or action in ("/language", "/logout", "/account/password"):
                continue
            form = {**dict(HIDDEN.findall(content)), **dict.fromkeys(names, JUNK)}
            answer = await desk.send(action, form, headers={"referer": f"http://127.0.0.1{page}"})
            if answer.status >= 400:
                secret = {name for name in names if re.search(rf'name="{name}"[^>]*type="password"', content)}
                again = dict(FORM.findall(answer.html)).get(action, "")
                lost = [name for name in set(names) - secret if name not in _with_junk(again)]
                assert not lost, (page, action, lost, answer.words)
                refused.add(action)
    assert refused >= {
        "/welcome/site",
        "/settings/sites",
        "/schedules",
        "/corrections",
        "/schedules/holidays",
    }


DESTINATION = {
    "name": "x",
    "kind": "webhook",
    "url": "https://example.com/",
    "secret": "0123456789abcdef0123456789",
}


def _with_junk(form: str) -> set[str]:
    kept = html.escape(JUNK)
    found = set(re.findall(rf'name="([^"]+)"[^>]*value="{re.escape(kept)}"', form))
    return found | set(re.findall(rf'<textarea[^>]* name="([^"]+)"[^>]*>\n?{re.escape(kept)}<', form))
