"""One month of attendance, the same in the API, on the console, in CSV and in XLSX."""

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests import month
from tests.console.kit import Desk
from tests.receiver.exports.workbook import sheets
from tests.receiver.kit import receiving, serving

from gatepost.console.routes import routes
from gatepost.settings import ReceiverSettings
from gatepost.store.postgres.store import PostgresStore

Row = tuple[str, str, datetime, datetime | None, float | None]
"""Person, day, first in, last out, hours."""

ZONE = ZoneInfo(month.ZONE)


@pytest.fixture(params=["sqlite", "postgresql"])
async def stocked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """A console with the simulated month, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        async with receiving(tmp_path / "data", pages=routes) as running:
            month.stock(running.store)
            yield await Desk.made(running)
        return
    server = request.getfixturevalue("postgres_server")
    url = server.create_with_store()
    store = PostgresStore.open(url)
    try:
        async with serving(store, ReceiverSettings(database=url), pages=routes) as running:
            month.stock(store)
            yield await Desk.made(running)
    finally:
        store.close()
        server.drop(url)


def moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def some(text: str) -> datetime:
    found = moment(text)
    assert found is not None
    return found


async def api(desk: Desk) -> tuple[set[Row], dict[str, str]]:
    """Return the rows, and the ``user_id`` by the id of each person."""
    answer = await desk.running.get(f"/api/v1/attendance?month={month.MONTH}&limit=1000")
    items = answer.json["items"]
    rows = {
        (
            item["person"]["user_id"],
            one["day"],
            some(one["first_in"]),
            moment(one["last_out"] or ""),
            one["hours"],
        )
        for item in items
        for one in item["days"]
    }
    assert sum(len(item["days"]) for item in items) == len(rows)
    assert {
        one["last_out"] is None for item in items for one in item["days"] if "no_out" in one["marks"]
    } == {True}
    return rows, {item["person"]["id"]: item["person"]["user_id"] for item in items}


async def in_csv(desk: Desk) -> set[Row]:
    answer = await desk.get(f"/attendance/export?format=csv&month={month.MONTH}", "operator")
    found = list(csv.DictReader(io.StringIO(answer.html.removeprefix("\ufeff"))))
    assert all(row["First in"].endswith("+08:00") for row in found)
    return {
        (
            row["Person ID"],
            row["Day"],
            some(row["First in"]),
            moment(row["Last out"]),
            float(row["Hours between"]) if row["Hours between"] else None,
        )
        for row in found
    }


async def in_xlsx(desk: Desk) -> set[Row]:
    columns = "user_id,day,first_in,passages,hours,last_out"
    path = f"/api/v1/attendance/export?format=xlsx&month={month.MONTH}&columns={columns}"
    header, *rows = sheets((await desk.running.get(path)).body)["attendance"]
    assert len(header) == 6

    def date(number: str) -> datetime:
        """Read a date of a workbook, in days since 1899-12-30."""
        local = datetime(1899, 12, 30, tzinfo=ZONE) + timedelta(seconds=round(float(number) * 86_400))
        return local.replace(tzinfo=ZONE).astimezone(UTC)

    found = set()
    for user_id, day, first_in, _, *rest in rows:
        known = [cell.text for cell in rest]  # what is empty is left out
        assert len(known) in (0, 2)
        found.add(
            (
                user_id.text,
                day.text,
                date(first_in.text),
                date(known[1]) if known else None,
                float(known[0]) if known else None,
            )
        )
    return found


async def on_console(
    desk: Desk, users: dict[str, str]
) -> tuple[set[tuple[object, ...]], set[tuple[object, ...]]]:
    """Return what the pages of the days show, with the hours in whole minutes, and what that of the month does."""
    days: set[tuple[object, ...]] = set()
    page = (await desk.get(f"/attendance?month={month.MONTH}", "viewer")).html
    of_month = {
        (users[person], *map(some, re.findall(r'datetime="([^"]+)"', cell)))
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)
        for person in re.findall(r'href="/people/([^?"]+)', row)
        for cell in re.findall(r'<td class="[^"]*there">(.*?)</td>', row, re.S)
    }
    for number in range(1, 30):
        day = f"{month.MONTH}-{number:02}"
        page = (await desk.get(f"/attendance?day={day}", "viewer")).html
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.S):
            for person in re.findall(r'href="/people/([^?"]+)', row):
                first_in, *last_out = map(some, re.findall(r'datetime="([^"]+)"', row))
                text = re.findall(r"(?:(\d+) h )?(\d+) min", row)
                minutes = [int(hours or 0) * 60 + int(rest) for hours, rest in text]
                days.add((users[person], day, first_in, *last_out, *minutes))
    return days, of_month


async def test_api_console_csv_and_xlsx_say_the_same_of_every_shift_of_a_month(stocked: Desk) -> None:
    rows, users = await api(stocked)
    assert rows == {
        (user_id, worked[0], worked[1].astimezone(UTC), moment(f"{worked[2] or ''}"), month.hours(worked))
        for user_id, of_person in month.expected().items()
        for worked in of_person
    }
    assert await in_csv(stocked) == rows
    assert await in_xlsx(stocked) == rows
    days, of_month = await on_console(stocked, users)
    assert days == {
        (user_id, day, first_in)
        if last_out is None
        else (user_id, day, first_in, last_out, int((last_out - first_in).total_seconds()) // 60)
        for user_id, day, first_in, last_out, _ in rows
    }
    assert of_month == {
        (user_id, first_in) if last_out is None else (user_id, first_in, last_out)
        for user_id, _, first_in, last_out, _ in rows
    }
