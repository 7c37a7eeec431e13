"""Exports over HTTP, on both databases."""

import asyncio
import csv
import gc
import io
import json
import weakref
import zipfile
from typing import Any

import pytest
from msgspec.structs import replace
from tests.receiver.exports.workbook import Sheet, layout, sheets
from tests.receiver.kit import JPEG, TRACE, Running, alarm, base64, record, request, until

from gatepost.errors import StoreUnavailable
from gatepost.receiver.api.exports import download, events, people
from gatepost.receiver.api.exports.events import TIDY
from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.interface import Page, RecordQuery
from gatepost.store.questions import UserStore


def rows(body: bytes) -> list[dict[str, str]]:
    assert body.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))


@pytest.fixture
async def stocked(either: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Twenty-five passages, in pages of four, and two alarms."""
    monkeypatch.setattr(events, "PAGE", 4)
    monkeypatch.setattr(people, "PAGE", 4)
    for number in range(25):
        image = base64(JPEG) if number % 5 == 0 else ""
        user = {"name": f"=王{number}", "user_id": str(number % 3)}
        await either.push(
            record(uuid=f"u-{number}", timestamp=1_685_343_715 + number, rgb_image=image, user=user)
        )
    await either.push(alarm(alarm_photo=base64(JPEG)))
    await either.push(alarm(trace_id="T-2", status=3))
    return either


async def test_every_record_once_in_order_across_pages(stocked: Running) -> None:
    for order, expected in (("oldest", range(25)), ("newest", reversed(range(25)))):
        answer = await stocked.get(f"/api/v1/records/export?order={order}")
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["content-disposition"].startswith('attachment; filename="records-')
        assert answer.headers["cache-control"] == "no-store"
        assert [row["UUID"] for row in rows(answer.body)] == [f"u-{n}" for n in expected]


async def test_the_lists_filters_filter_the_file(stocked: Running) -> None:
    answer = await stocked.get("/api/v1/records/export?person=1&has_image=true&columns=uuid,person_type,name")
    assert [list(row.items()) for row in rows(answer.body)] == [
        [("UUID", "u-10"), ("Kind of person", ""), ("Name", "'=王10")]
    ]


async def test_the_same_rows_in_every_format(stocked: Running) -> None:
    names = [f"u-{number}" for number in range(25)]
    book = sheets((await stocked.get("/api/v1/records/export?format=xlsx&lang=zh&columns=uuid")).body)
    assert [row[0].text for row in book["records"]] == ["UUID", *names]
    lines = (await stocked.get("/api/v1/records/export?format=jsonl")).body.splitlines()
    listed = (await stocked.get("/api/v1/records?order=oldest&limit=1000")).json["items"]
    assert [json.loads(line) for line in lines] == listed
    packed = (await stocked.get("/api/v1/records/export?format=zip")).body
    with zipfile.ZipFile(io.BytesIO(packed)) as found:
        table = rows(found.read("records.csv"))
        assert [row["UUID"] for row in table] == names
        images = [row["Image"] for row in table if row["Image"]]
        assert len(images) == 5
        assert all(found.read(image) == JPEG for image in images)


async def test_words_and_times_are_in_the_language_and_zone_asked_for(stocked: Running) -> None:
    (first, *_) = rows((await stocked.get("/api/v1/records/export?lang=zh&tz=Asia/Shanghai")).body)
    assert (first["时间"], first["是否通行"], first["识别类型"]) == (
        "2023-05-29T15:01:55+08:00",
        "是",
        "员工",
    )
    (first, *_) = rows((await stocked.get("/api/v1/records/export")).body)
    assert (first["Time"], first["Time zone"], first["Passed"]) == ("2023-05-29T07:01:55+00:00", "UTC", "yes")


async def test_alarms_can_be_taken_away_too(stocked: Running) -> None:
    found = rows((await stocked.get("/api/v1/alarms/export?lang=en")).body)
    assert {(row["Trace ID"], row["State"]) for row in found} == {(TRACE, "open"), ("T-2", "cleared")}
    packed = (await stocked.get("/api/v1/alarms/export?format=zip&state=open")).body
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        image, table = archive.namelist()
        assert table == "alarms.csv"
        assert archive.read(image) == JPEG
    lines = (await stocked.get("/api/v1/alarms/export?format=jsonl")).body.splitlines()
    assert [json.loads(line) for line in lines] == (await stocked.get("/api/v1/alarms")).json["items"]


async def test_a_file_holds_what_was_there_while_more_arrives(stocked: Running) -> None:
    async def write() -> None:
        for number in range(25, 60):
            await stocked.push(record(uuid=f"u-{number}", timestamp=1_685_343_715 + number % 7))

    writing = asyncio.create_task(write())
    for order in ("oldest", "newest"):
        names = [
            row["UUID"] for row in rows((await stocked.get(f"/api/v1/records/export?order={order}")).body)
        ]
        assert len(set(names)) == len(names)
        assert {f"u-{number}" for number in range(25)} <= set(names)
    await writing


async def test_each_export_is_two_lines_of_the_audit_log_that_name_nobody(stocked: Running) -> None:
    await stocked.get("/api/v1/records/export?q=secretname&passed=false&format=xlsx")
    await stocked.get("/api/v1/alarms/export?state=open")
    lines = (await stocked.get("/api/v1/audit")).json["items"]
    token = {"token": 1, "made_by": "test"}
    assert [
        (line["action"], line["subject"], line["detail"]) for line in lines if "export" in line["action"]
    ] == [
        ("alarms.export_ended", "csv", {"rows": 1, **token}),
        ("alarms.exported", "csv", {"state": "open", **token}),
        ("records.export_ended", "xlsx", {"rows": 0, **token}),
        ("records.exported", "xlsx", {"q": "given", "passed": False, "order": "oldest", **token}),
    ]


async def test_a_viewer_looks_but_takes_nothing_away(receiver: Running) -> None:
    accounts = Accounts(receiver.store)
    for role, status in (("viewer", 403), ("operator", 200)):
        secret, _ = issue_token(accounts, role, role, by="test", now_ms=0)  # type: ignore[arg-type]
        for what in ("records", "alarms"):
            answer = await receiver.request(
                "GET", f"/api/v1/{what}/export", headers={"Authorization": f"Bearer {secret}"}
            )
            assert answer.status == status


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("format=pdf", "format"),
        ("columns=id,pin", "there is no column 'pin'; there are id, time"),
        ("tz=Mars", "there is no time zone 'Mars'"),
        ("lang=de", "lang"),
        ("order=received", "order"),
        ("since=x", "since"),
    ],
)
async def test_what_cannot_be_exported_is_refused_in_words_and_leaves_no_line(
    receiver: Running, query: str, says: str
) -> None:
    answer = await receiver.get(f"/api/v1/records/export?{query}")
    assert answer.status == 400
    assert answer.json["detail"].startswith(says)
    assert (await receiver.get("/api/v1/audit?action=records.exported")).json["items"] == []


async def test_what_fails_half_way_is_cut_off_and_does_not_look_whole(
    stocked: Running,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    real, asked = stocked.store.records, []

    def fails(query: Any) -> Any:
        asked.append(query)
        if len(asked) == 3:
            raise StoreUnavailable("the disk is gone")
        return real(query)

    monkeypatch.setattr(UserStore, "records", staticmethod(fails))
    sender = await stocked.connect()
    await sender.write(
        request("GET", "/api/v1/records/export", headers={"Authorization": f"Bearer {stocked.token}"})
    )
    body = await sender.ended()
    assert body.startswith(b"HTTP/1.1 200")
    assert b"u-7" in body
    assert not body.endswith(b"0\r\n\r\n")
    told = capsys.readouterr()
    assert "StoreUnavailable" in told.out + told.err
    assert "Traceback" not in told.out + told.err + caplog.text


async def test_only_so_many_at_once_and_one_that_was_left_makes_room(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record())
    real = receiver.store.records

    def endless(query: Any) -> Any:
        page = real(replace(query, cursor=None))
        return type(page)(page.items * 1000, "again")

    monkeypatch.setattr(UserStore, "records", staticmethod(endless))
    names = ("test", "other", "third")
    tokens = [issue_token(Accounts(receiver.store), name, "admin", by="test", now_ms=0)[0] for name in names]
    senders = [await receiver.connect() for _ in range(download.AT_ONCE)]
    for number, sender in enumerate(senders):
        headers = {"Authorization": f"Bearer {tokens[number % 2]}"}
        await sender.write(request("GET", "/api/v1/records/export", headers=headers))
        assert b"200" in await sender.reader.readline()
    refused = await receiver.get("/api/v1/records/export")  # as the first of them
    assert (refused.status, refused.headers["retry-after"]) == (429, "5")
    third = {"Authorization": f"Bearer {tokens[2]}"}
    refused = await receiver.request("GET", "/api/v1/records/export", headers=third)
    assert refused.status == 503
    assert refused.headers["retry-after"] == "30"
    for sender in senders:
        await sender.close()
    monkeypatch.setattr(UserStore, "records", real)
    turns = download._turns
    await until(lambda: turns._value == download.AT_ONCE)  # type: ignore[attr-defined]
    assert (await receiver.get("/api/v1/records/export")).status == 200


async def test_attendance_is_a_row_a_shift(either: Running) -> None:
    for number, day in ((1, 0), (1, 3600), (2, 86_400)):
        user = {"name": f"n{number}", "user_id": str(number)}
        await either.push(record(uuid=f"{number}-{day}", timestamp=1_685_343_715 + day, user=user))
    found = rows((await either.get("/api/v1/attendance/export?month=2023-05")).body)
    assert sorted((row["Person ID"], row["Day"], row["Hours between"]) for row in found) == [
        ("1", "2023-05-29", "1.0"),
        ("2", "2023-05-30", ""),
    ]
    answer = await either.get("/api/v1/attendance/export?first=2023-05-29&last=2023-05-29&format=jsonl&q=n1")
    (line,) = answer.body.splitlines()
    assert (json.loads(line)["person"]["user_id"], json.loads(line)["shift"]["passages"]) == ("1", 2)
    book = sheets((await either.get("/api/v1/attendance/export?day=2023-05-29&format=xlsx&lang=zh")).body)
    assert [cell.text for cell in book["attendance"][0][:3]] == ["日期", "人员编号", "姓名"]
    (line, *_) = (await either.get("/api/v1/audit?action=attendance.exported")).json["items"][1:]
    asked = {"first": "2023-05-29", "last": "2023-05-29", "q": "given", "kind": "employees"}
    assert line["detail"] == {**asked, "token": 1, "made_by": "test"}


async def test_a_month_is_a_matrix_for_payroll(receiver: Running) -> None:
    """A row a person, with frozen headings; what is read back is what attendance says."""
    for number, day in ((1, 0), (1, 3600), (2, 86_400)):
        user = {"name": f"n{number}", "user_id": str(number)}
        await receiver.push(record(uuid=f"{number}-{day}", timestamp=1_685_343_715 + day, user=user))
    address = "/api/v1/attendance/export?month=2023-05&layout=matrix"
    found = {row["Person ID"]: row for row in rows((await receiver.get(address)).body)}
    assert {name: (row["Days"], row["Hours between"]) for name, row in found.items()} == {
        "1": ("1", "1.0"),
        "2": ("1", "0.0"),
    }
    assert (found["1"]["2023-05-29"], found["1"]["2023-05-30"]) == ("07:01–08:01", "")
    assert found["2"]["2023-05-30"] == "07:01–? (no last out)"
    data = (await receiver.get(f"{address}&format=xlsx&lang=zh&columns=user_id,late,2023-05-29")).body
    book = sheets(data)["attendance"]
    assert [cell.text for cell in book[0]] == ["人员编号", "迟到", "2023-05-29"]
    assert sorted([cell.text for cell in row] for row in book[1:]) == [["1", "0", "07:01–08:01"], ["2", "0"]]
    assert layout(data)["attendance"].frozen == (1, 1)  # the number; what was left out is not in sight
    (line, *_) = (await receiver.get("/api/v1/audit?action=attendance.exported")).json["items"]
    assert line["detail"]["layout"] == "matrix"
    for query in ("month=2023-05&format=jsonl", "first=2023-01-01&last=2023-05-31"):
        answer = await receiver.get(f"/api/v1/attendance/export?layout=matrix&{query}")
        assert answer.status == 400, query


async def test_the_workbooks_of_payroll_are_read_back_by_site_group_and_kind(receiver: Running) -> None:
    """Frozen headings, widths, formats of numbers and times, paper: what a spreadsheet shows."""
    receiver.store.create_site("Harbour", "Asia/Shanghai", now_ms=0)
    receiver.store.create_terminal(now_ms=0, serial="SN-2", site_id=2)
    people = (
        ("SN-1", "1", "n1", "Sales", 1),
        ("SN-1", "2", "n2", "Works", 1),
        ("SN-1", "3", "n3", "Sales", 2),
        ("SN-2", "4", "n4", "Sales", 1),
    )
    for serial, number, name, group, kind in people:
        user = {
            "name": name,
            "user_id": number,
            "type": kind,
            "groups": [{"id": group, "name": group}],
        }
        for hour in (0, 9):
            at = 1_685_343_715 + hour * 3600
            pushed = record(uuid=f"{number}-{hour}", timestamp=at, user=user, deviceSN=serial)
            assert (await receiver.push(pushed)).status == 200
    address = "/api/v1/attendance/export?month=2023-05&format=xlsx"

    async def read(query: str) -> tuple[list[str], list[dict[str, str]], Sheet]:
        data = (await receiver.get(f"{address}&{query}")).body
        (head, *found) = sheets(data)["attendance"]
        names = [cell.text for cell in head]
        return (
            names,
            [{names[cell.column]: cell.text for cell in row} for row in found],
            layout(data)["attendance"],
        )

    for choice, expected in (
        ("kind=all", ["1", "2", "3", "4"]),
        ("kind=employees", ["1", "2", "4"]),
        ("kind=visitors", ["3"]),
        ("kind=all&group=Sales", ["1", "3", "4"]),
        ("kind=all&site=2", ["4"]),
        ("site=1&group=Sales", ["1"]),
    ):
        for form in ("matrix", "shifts"):
            _, found, _ = await read(f"layout={form}&{choice}")
            assert sorted(row["Person ID"] for row in found) == expected, (form, choice)
    head, (values,), shape = await read("layout=matrix&site=2")
    assert (values["Hours between"], values["Days"], shape.frozen) == ("9", "1", (1, 2))
    assert len(head) == len(shape.widths) == 15 + 31
    # As wide as what is in it.
    assert shape.widths[head.index("2023-05-29")] >= len(values["2023-05-29"])
    assert shape.formats[1, head.index("Hours between")] == "0.00"
    assert shape.formats[1, head.index("Days")] == "General"
    assert shape.formats[1, head.index("Person ID")] == "@"
    assert (shape.orientation, shape.repeated) == ("landscape", "$1:$1")
    head, _, shape = await read("layout=shifts&site=2")
    assert (shape.frozen, shape.orientation, shape.repeated) == ((1, 0), "landscape", "$1:$1")
    assert len(head) == len(shape.widths)
    assert shape.widths[head.index("First in")] == 19
    assert shape.formats[1, head.index("First in")] == "yyyy-mm-dd hh:mm:ss"
    assert shape.formats[1, head.index("Hours between")] == "0.00"


@pytest.mark.parametrize(
    "query", ["", "month=May", "first=2024-01-01&last=2023-01-01", "day=2024-01-01&format=zip"]
)
async def test_attendance_of_no_days_is_refused(receiver: Running, query: str) -> None:
    assert (await receiver.get(f"/api/v1/attendance/export?{query}")).status == 400


def test_what_pages_leave_behind_in_circles_does_not_gather() -> None:
    left: list[weakref.ref[Circle]] = []

    def ask(query: RecordQuery) -> Page[int]:
        circle = Circle()
        left.append(weakref.ref(circle))
        return Page((len(left),), None if len(left) == 10 * TIDY else "next")

    gc.disable()
    try:
        for _ in events._pages(ask, RecordQuery()):
            assert sum(ref() is not None for ref in left) <= TIDY + 1
    finally:
        gc.enable()
    assert len(left) == 10 * TIDY


class Circle:
    """Refers to itself, as a statement does that has been compiled."""

    def __init__(self) -> None:
        self.itself = self
