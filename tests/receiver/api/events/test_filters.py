"""Every filter of records and alarms, on both databases."""

import json
from urllib.parse import quote

import pytest
from tests.receiver.kit import JPEG, Running, alarm, base64, record

from gatepost.receiver.api.events.filters import told
from gatepost.store.interface import AlarmQuery, RecordQuery

FIRST = 1_685_343_715
WANTED = {
    "uuid": "wanted",
    "deviceSN": "SN-2",
    "recognitionType": 2,
    "pass": False,
    "abnormal_type": 20001,
    "entry_mode": 3,
    "timestamp": FIRST + 100,
    "rgb_image": base64(JPEG),
    "user": {
        "name": "李_四%",
        "user_id": "42",
        "job_number": "J-42",
        "ic_number": "0042",
        "id_number": "X42",
    },
}

FILTERS = [
    f"since={FIRST + 100}",
    "since=2023-05-29T07:03:35Z",
    "since=2023-05-29T15:03:35%2B08:00",
    "since=2023-05-29T15:03:35.000000+0800",
    f"since={FIRST + 100}000",
    "terminal=SN-2",
    "person=42",
    "name=" + quote("四"),
    "name=" + quote("_四%"),
    "job_number=J-42",
    "recognition_type=2",
    "passed=false",
    "abnormal_type=20001",
    "entry_mode=3",
    "has_image=true",
    "q=" + quote("李"),
    "q=J-4",
    "q=004",
    "q=X42",
    f"since={FIRST + 100}&until={FIRST + 101}&terminal=SN-2&person=42&passed=false&q=42&has_image=true",
]


@pytest.fixture
async def stocked(either: Running) -> Running:
    for number in range(3):
        await either.push(record(uuid=f"u-{number}", timestamp=FIRST + number))
    await either.push(record(**WANTED))
    return either


async def test_each_filter_alone_and_all_together_find_what_fits_and_nothing_else(stocked: Running) -> None:
    for order in ("newest", "oldest", "received"):
        for query in FILTERS:
            answer = await stocked.get(f"/api/v1/records?{query}&order={order}")
            assert [item["uuid"] for item in answer.json["items"]] == ["wanted"], query


async def test_filters_that_fit_nothing_find_nothing(stocked: Running) -> None:
    for query in (
        "person=7",
        "q=nobody",
        "terminal=SN-9",
        "recognition_type=999",
        f"until={FIRST}",
        "site_id=9",
    ):
        assert (await stocked.get(f"/api/v1/records?{query}")).json == {"items": [], "next_cursor": None}, (
            query
        )


async def test_an_empty_field_of_a_form_filters_nothing(stocked: Running) -> None:
    empty = "since=&until=&terminal=&person=&name=&job_number=&q="
    assert len((await stocked.get(f"/api/v1/records?{empty}")).json["items"]) == 4


async def test_a_terminal_without_a_serial_is_found_by_its_number(stocked: Running) -> None:
    (item,) = (await stocked.get("/api/v1/records?terminal=SN-2")).json["items"]
    found = (await stocked.get(f"/api/v1/records?terminal_id={item['terminal_id']}")).json["items"]
    assert found == [item]


async def test_strangers_are_faces_that_nobody_knew(stocked: Running) -> None:
    await stocked.push(record(uuid="s", recognitionType=3, user=None))
    found = (await stocked.get("/api/v1/records?strangers=true")).json["items"]
    assert [item["uuid"] for item in found] == ["s"]


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("since=yesterday", "since"),
        ("until=x", "until"),
        ("passed=maybe", "passed"),
        (f"recognition_type={1 << 70}", "recognition_type"),
        ("terminal_id=0", "terminal_id"),
        ("terminal=a&terminal_id=1", "terminal"),
        ("q=%00", "q"),
        ("name=a%00", "name"),
        ("limit=0", "limit"),
        ("order=best", "order"),
        ("cursor=x", "cursor"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_and_named(either: Running, query: str, where: str) -> None:
    answer = await either.get(f"/api/v1/records?{query}")
    assert answer.status == 400
    assert answer.json["detail"].startswith(where)


async def test_alarms_have_their_own_filters(either: Running) -> None:
    await either.push(alarm(trace_id="A", event_time=FIRST * 1000))
    await either.push(alarm(trace_id="B", event_time=(FIRST + 9) * 1000, deviceSN="SN-2"))
    await either.push(alarm(trace_id="B", event_time=(FIRST + 10) * 1000, status=3, deviceSN="SN-2"))
    everything = (await either.get("/api/v1/alarms")).json["items"]
    assert [item["trace_id"] for item in everything] == ["B", "A"]
    number = everything[0]["id"]
    await either.request("POST", f"/api/v1/alarms/{number}/acknowledge", b"{}")
    for query in (f"since={FIRST + 9}", "state=cleared", "acknowledged=true"):
        found = (await either.get(f"/api/v1/alarms?{query}")).json["items"]
        assert [item["trace_id"] for item in found] == ["B"], query


def test_the_audit_log_is_told_which_filters_but_not_whom_they_looked_for() -> None:
    query = RecordQuery(person="42", name="李", q="x", terminal="SN-1", passed=False, recognition_type=0)
    assert told(query) == {
        "person": "given",
        "name": "given",
        "q": "given",
        "terminal": "SN-1",
        "passed": False,
        "recognition_type": 0,
    }
    assert told(AlarmQuery(state="open")) == {"state": "open"}


async def at_terminals(either: Running) -> dict[str, int]:
    """Push a record and an alarm from four terminals; return the id of each by its serial or address."""
    for serial in ("SN-1", "SN-2", "SN-3"):
        await either.push(record(uuid=f"of {serial}", deviceSN=serial))
        await either.push(alarm(trace_id=f"of {serial}", deviceSN=serial))
        await either.push({"type": 9}, headers={"sn": serial})
    await either.push(record(uuid="of none", deviceSN=None))
    terminals = (await either.get("/api/v1/terminals")).json["items"]
    ids = {item["serial"] or "": item["id"] for item in terminals}
    for serial, change in (
        ("SN-1", {"name": "北门"}),
        ("SN-2", {"name": "北门", "site_id": 2}),
        ("SN-3", {"name": "SN-1"}),
    ):
        if "site_id" in change:
            await either.request("POST", "/api/v1/sites", b'{"name": "Campus", "timezone": "UTC"}')
        done = await either.request("PATCH", f"/api/v1/terminals/{ids[serial]}", json.dumps(change).encode())
        assert done.status == 200
    return ids


async def test_a_terminal_is_filtered_by_serial_name_or_id_and_a_site_by_name(either: Running) -> None:
    ids = await at_terminals(either)
    for query, found in (
        ("terminal=SN-1", ["SN-1"]),  # which is the name of another one, too
        ("terminal=" + quote("北门"), ["SN-1", "SN-2"]),
        (f"terminal={ids['SN-3']}", ["SN-3"]),
        (f"terminal=%23{ids['SN-3']}", ["SN-3"]),
        ("terminal=SN-9", []),
        ("without_serial=true", ["none"]),
        ("without_serial=true&terminal=SN-1", []),
        ("site=Campus", ["SN-2"]),
        ("site=2", ["SN-2"]),
        ("site_id=2&terminal=" + quote("北门"), ["SN-2"]),
    ):
        for order in ("newest", "received"):
            items = (await either.get(f"/api/v1/records?{query}&order={order}")).json["items"]
            assert sorted(item["uuid"] for item in items) == [f"of {each}" for each in found], query
        alarms = (await either.get(f"/api/v1/alarms?{query}")).json["items"]
        with_serial = [each for each in found if each != "none"]
        assert sorted(item["trace_id"] for item in alarms) == [f"of {each}" for each in with_serial], query
        pushes = (await either.get(f"/api/v1/quarantine?{query}")).json["items"]
        assert sorted(item["terminal"] for item in pushes) == with_serial, query
        counted = (await either.get(f"/api/v1/statistics?day=2023-05-29&{query}")).json
        assert counted["total"]["records"] == len(found), query
        file = await either.get(f"/api/v1/records/export?columns=uuid&{query}")
        assert file.body.count(b"of ") == len(found), query


async def test_a_site_that_there_is_not_is_refused_with_the_nearest_one(either: Running) -> None:
    await either.request("POST", "/api/v1/sites", b'{"name": "Campus", "timezone": "UTC"}')
    for path in ("records", "people", "terminals", "groups", "statistics?day=2023-05-29", "quarantine"):
        answer = await either.get(f"/api/v1/{path}{'&' if '?' in path else '?'}site=campus")
        assert answer.status == 400
        assert "there is no site `campus`: did you mean `Campus`?" in answer.json["detail"]
    answer = await either.get("/api/v1/records?site=Campus&site_id=2")
    assert (answer.status, answer.json["detail"]) == (400, "site and site_id say the same; give one of them")
