"""The table of records, and one of them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from tests.console.kit import Desk
from tests.receiver.kit import UUID, record
from tests.terminals import ensured

from gatepost.store.accounts.accounts import Accounts


async def test_the_table_shows_what_the_filters_leave(desk: Desk) -> None:
    await desk.running.push(record(uuid="u-1"))
    await desk.running.push(record(uuid="u-2", **{"pass": False}, abnormal_type=20002))
    everything, refused = await desk.get("/records"), await desk.get("/records?passed=false")
    assert everything.html.count("data-panel") == 2
    assert refused.html.count("data-panel") == 1
    assert "outside the permitted hours" in refused.words


async def test_a_form_leads_to_an_address_without_names(desk: Desk) -> None:
    answer = await desk.post("/records", "viewer", q="王五", passed="true")
    assert answer.status == 303
    assert answer.location.startswith("/records?q=~")


async def test_a_record_is_shown_in_full_as_a_page_and_as_a_panel(desk: Desk) -> None:
    await desk.running.push(record())
    page = await desk.get("/records/1", "viewer")
    panel = await desk.get("/records/1", "viewer", x_part="panel")
    for text in ("王五", "23385", "employee", "face, card, QR code or PIN", "测试3", UUID, "0.930"):
        assert text in page.words
        assert text in panel.words
    assert "<html" in page.html
    assert "<html" not in panel.html


@pytest.mark.parametrize("form", ["csv", "xlsx", "jsonl", "zip"])
async def test_what_is_filtered_is_exported_and_noted(desk: Desk, form: str) -> None:
    await desk.running.push(record())
    answer = await desk.get(f"/records/export?format={form}&passed=true", "operator")
    assert answer.status == 200
    assert "attachment" in answer.headers["content-disposition"]
    line = Accounts(desk.store).audit(action="records.exported").items[0]
    assert line.actor == "operator"
    assert line.detail["passed"] is True


async def test_an_export_speaks_the_language_of_the_page(desk: Desk) -> None:
    await desk.running.push(record())
    assert "姓名" in (await desk.get("/records/export?format=csv", accept_language="zh")).html


async def test_an_export_of_another_kind_is_refused_in_words(desk: Desk) -> None:
    answer = await desk.get("/records/export?format=pdf")
    assert answer.status == 400
    assert "format is one of" in answer.words


async def test_a_held_terminals_record_is_not_listed(desk: Desk) -> None:
    ensured(desk.store, "SN-1", now_ms=0, state="held")
    await desk.running.desk.table.refresh()
    await desk.running.push(record())
    assert "data-panel" not in (await desk.get("/records")).html


async def test_a_record_from_the_future_is_marked(desk: Desk) -> None:
    await desk.running.push(record(timestamp=4_436_000_000))
    assert "clock wrong" in (await desk.get("/records")).words
    shown = await desk.get("/records/1")
    assert "The terminal's clock said 2110-" in shown.words
    assert "is over a day after the time of receipt" in shown.words


async def test_today_is_by_the_clocks_of_the_site_that_is_filtered_by(desk: Desk) -> None:
    desk.store.update_site(1, timezone="Etc/GMT+12")
    there = desk.store.create_site("Line Islands", "Pacific/Kiritimati", now_ms=0)
    today = datetime.now(ZoneInfo("Pacific/Kiritimati")).date()
    page = await desk.get(f"/records?site={there.id}")
    assert f"since={today}T00%3A00" in page.html
    assert f"since={today}T00%3A00" not in (await desk.get("/records")).html


@pytest.mark.parametrize("what", ["records", "alarms", "attendance"])
async def test_a_file_is_refused_of_filters_that_make_no_sense(desk: Desk, what: str) -> None:
    for query, named in (("site=9", "Site"), ("teminal=SN-1", "teminal")):
        answer = await desk.get(f"/{what}/export?format=csv&{query}")
        assert answer.status == 400
        assert f"no file is made, because these filters make no sense: {named}" in answer.words
    answer = await desk.get(f"/{what}/export?format=csv&site=9", accept_language="zh")
    assert "未生成文件，因为以下筛选无效：站点" in answer.words
    assert (await desk.get(f"/{what}/export?format=csv&site=1")).status == 200
