"""Alarms: their list, their life, their acknowledgement."""

import re

from tests.console.kit import Desk
from tests.receiver.kit import alarm, record

from gatepost.store.accounts.accounts import Accounts


async def raised(desk: Desk) -> int:
    await desk.running.push(record())
    await desk.running.push(alarm())
    return desk.running.alarms()[0].id


async def test_an_alarm_is_acknowledged_with_a_note_and_that_is_noted(desk: Desk) -> None:
    alarm_id = await raised(desk)
    answer = await desk.post(
        f"/alarms/{alarm_id}/acknowledge", "operator", note="拆机维护 <i>", back="/alarms?show=open"
    )
    assert (answer.status, answer.location) == (303, "/alarms?show=open&done=acknowledged")
    page = await desk.get("/alarms?show=acknowledged", "viewer")
    assert "拆机维护 <i>" in page.words
    assert "<i>" not in page.html
    assert Accounts(desk.store).audit(action="alarm.acknowledged").items[0].subject == str(alarm_id)


async def test_the_tabs_show_each_kind(desk: Desk) -> None:
    await raised(desk)
    await desk.running.push(alarm(trace_id="T-2", code=20003))
    await desk.running.push(alarm(trace_id="T-2", code=20003, status=3))
    assert "fire alarm</a>" in (await desk.get("/alarms?show=cleared")).html
    assert "fire alarm</a>" not in (await desk.get("/alarms?show=open")).html
    assert "No alarms." in (await desk.get("/alarms?show=clear_failed")).words


async def test_each_occurrence_of_a_trace_is_an_alarm_of_its_own(desk: Desk) -> None:
    await desk.running.push(alarm(trace_id="1", code=10003))
    await desk.running.push(alarm(trace_id="1", code=20003, event_time=1_684_385_033_398))
    page = await desk.get("/alarms?show=open")
    assert "fire alarm" in page.words
    assert page.html.count("<article") == 2
    assert 'title="2 open alarms not acknowledged">2</b>' in page.html


async def test_a_step_from_the_future_shows_its_receipt_and_what_the_clock_said(desk: Desk) -> None:
    await desk.running.push(alarm(event_time=4_436_000_000_000))
    page = await desk.get("/alarms")
    assert "The terminal's clock said 2110-" in page.words


async def test_an_alarm_that_is_none_is_not_acknowledged(desk: Desk) -> None:
    assert (await desk.post("/alarms/999/acknowledge", note="x")).status == 404
    assert (await desk.post(f"/alarms/{1 << 70}/acknowledge", note="x")).status == 404
    assert (await desk.get("/alarms/999")).status == 404


async def test_alarms_are_exported(desk: Desk) -> None:
    await raised(desk)
    answer = await desk.get("/alarms/export?format=csv&show=open", "operator")
    assert "device tampered with" in answer.html
    assert (await desk.get("/alarms/export?format=csv&show=cleared", "operator")).html.count("\n") == 1


async def test_the_panel_has_every_step_as_it_was_pushed(desk: Desk) -> None:
    alarm_id = await raised(desk)
    panel = await desk.get(f"/alarms/{alarm_id}", "viewer", x_part="panel")
    assert "SPX-1684381418208-004-3Adb4v" in panel.words
    assert '"trace_id": "SPX-1684381418208-004-3Adb4v"' in panel.words


async def test_an_operator_closes_an_alarm_with_a_note_and_a_confirmation(desk: Desk) -> None:
    alarm_id = await raised(desk)
    await desk.running.push(alarm(status=2))
    for tab in ("open", "clear_failed"):
        assert f"/alarms/{alarm_id}/close" in (await desk.get(f"/alarms?show={tab}", "operator")).html
    assert f"/alarms/{alarm_id}/close" not in (await desk.get("/alarms", "viewer")).html
    for form in ({"note": "x"}, {"sure": "1"}, {"note": " ", "sure": "1"}):
        assert (await desk.post(f"/alarms/{alarm_id}/close", "operator", **form)).status == 400
    answer = await desk.post(
        f"/alarms/{alarm_id}/close", "operator", note="手动复位", sure="1", back="/alarms"
    )
    assert (answer.status, answer.location) == (303, "/alarms?done=closed")
    page = await desk.get("/alarms?show=cleared", "operator")
    assert "手动复位" in page.words
    assert "Closed by an operator" in page.words
    assert f"/alarms/{alarm_id}/close" not in page.html
    assert 'class="count"' not in page.html
    assert Accounts(desk.store).audit(action="alarm.closed").items[0].subject == str(alarm_id)
    assert (await desk.post(f"/alarms/{alarm_id}/close", "operator", note="x", sure="1")).status == 409


async def test_the_badge_counts_open_alarms_that_are_not_acknowledged(desk: Desk) -> None:
    alarm_id = await raised(desk)
    await desk.running.push(alarm(status=2))
    await desk.running.push(alarm(trace_id="T-2", event_time=1_684_385_033_398))
    assert 'title="2 open alarms not acknowledged">2</b>' in (await desk.get("/alarms")).html
    await desk.post(f"/alarms/{alarm_id}/acknowledge", note="")
    page = await desk.get("/alarms")
    assert 'title="1 open alarm not acknowledged">1</b>' in page.html
    assert page.html.count("<article") == 2


async def test_alarms_are_filtered_by_terminal_and_time(desk: Desk) -> None:
    await raised(desk)
    await desk.running.push(alarm(trace_id="T-2", deviceSN="SN-2"))
    page = await desk.get("/alarms?terminal=SN-2&until=2123-01-01T00:00")
    assert page.html.count("<article") == 1
    assert '<option value="SN-2" selected>' in page.html
    answer = await desk.get("/alarms/export?format=csv&terminal=SN-2", "operator")
    assert answer.html.count("\n") == 2


async def test_no_file_is_made_of_a_tab_that_there_is_not(desk: Desk) -> None:
    assert (await desk.get("/alarms/export?format=csv&show=opened")).status == 400
    assert (await desk.get("/alarms/export?format=csv&show=open")).status == 200


async def test_every_time_of_an_alarm_is_by_the_clocks_of_its_terminal(desk: Desk) -> None:
    alarm_id = await raised(desk)
    await desk.post(f"/alarms/{alarm_id}/close", "operator", note="x", sure="1")
    desk.store.update_terminal(1, timezone="Asia/Kathmandu")
    for path in ("/alarms", f"/alarms/{alarm_id}"):
        zones = set(re.findall(r'<time [^>]*title="([^"]*)"', (await desk.get(path)).html))
        assert len(zones) > 1
        assert all("Kathmandu" in zone for zone in zones), zones


async def test_ticked_alarms_are_acknowledged_with_one_note(desk: Desk) -> None:
    await raised(desk)
    await desk.running.push(alarm(trace_id="T-2", event_time=1_684_385_033_398))
    page = await desk.get("/alarms", "guard")
    ids = re.findall(r'name="ids" value="(\d+)"', page.html)
    assert len(ids) == 2
    assert 'name="ids"' not in (await desk.get("/alarms", "viewer")).html
    answer = await desk.post("/alarms/acknowledge", "guard", ids=ids, note="drill", back="/alarms?show=open")
    assert (answer.status, answer.location) == (303, "/alarms?show=open&done=acknowledged")
    page = await desk.get("/alarms", "guard")
    assert page.html.count("<q>drill</q>") == 2
    assert 'name="ids"' not in page.html
    assert (await desk.post("/alarms/acknowledge", "guard", note="x")).status == 400
    (line,) = Accounts(desk.store).audit(action="alarms.acknowledged").items
    assert line.detail["count"] == 2


async def test_all_that_the_filters_show_is_counted_before_it_is_acknowledged(desk: Desk) -> None:
    await raised(desk)
    await desk.running.push(alarm(trace_id="T-2", code=20003, event_time=1_684_385_033_398))
    page = await desk.get("/alarms?code=20003&show=open")
    assert "Found: 1" in page.words
    assert "共 1 条" in (await desk.get("/alarms?code=20003", accept_language="zh")).words
    asked = await desk.get("/alarms/acknowledge?code=20003&show=open")
    assert "Acknowledge 1 alarm " in asked.words
    assert "fire alarm" in asked.words
    assert "autofocus" in asked.html
    up_to = re.findall(r'name="up_to" value="(\d+)"', asked.html)[0]
    await desk.running.push(alarm(trace_id="T-3", code=20003, event_time=1_684_386_033_398))
    answer = await desk.post("/alarms/acknowledge?code=20003&show=open", up_to=up_to, note="drill")
    assert answer.location == "/alarms?code=20003&show=open&done=acknowledged"
    assert "Found: 1" in (await desk.get("/alarms?show=acknowledged")).words
    for wrong in ("code=fire", "show=opened", "since=soon"):
        assert (await desk.get(f"/alarms/acknowledge?{wrong}")).status == 400
        assert (await desk.post(f"/alarms/acknowledge?{wrong}", up_to=up_to)).status == 400
