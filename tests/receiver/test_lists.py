"""Several events in one push, as a list or in lines; and times without a zone."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import SUCCESS, Running, alarm, receiving, record

from gatepost.errors import JournalUnavailable, StoreUnavailable
from gatepost.journal.writer import Writer
from gatepost.receiver.ingest.push.decoding import MAX_VALUES
from gatepost.wire import MAX_EVENTS


def passages(count: int, **data: Any) -> list[Any]:
    return [
        record(uuid=f"11111111-0000-4000-8000-{n:012}", timestamp=1_700_000_000 + n, **data)
        for n in range(count)
    ]


def as_list(events: Sequence[Any]) -> bytes:
    return json.dumps(events).encode()


def in_lines(events: Sequence[Any]) -> bytes:
    return b"\r\n".join(json.dumps(event).encode() for event in events)


@pytest.mark.parametrize("form", [as_list, in_lines])
async def test_each_event_is_listed_and_a_resend_lists_nothing_twice(receiver: Running, form: Any) -> None:
    events = [*passages(3), alarm(), passages(1)[0]]
    for _ in range(2):
        assert (await receiver.push(form(events))).json == SUCCESS
    assert len(receiver.records()) == 3
    assert len(receiver.alarms()) == 1
    (terminal,) = receiver.store.terminals()
    assert (terminal.serial, terminal.records, terminal.alarms) == ("SN-1", 3, 1)
    assert terminal.duplicates == 6


NAMES = [
    b"Ann",
    "张伟".encode(),
    rb"\u738b",
    rb"C:\docs",
    b"a\tb",
    "张伟".encode("gbk"),
    "李誠".encode("gbk"),
    b"Jos\xe9",
    b"Jos\xe8",
    "张伟".encode()[:-1],
]


@pytest.mark.parametrize(
    "data",
    [
        {"uuid": "44444444-0000-4000-8000-000000000001"},
        {"uuid": "00000000-0000-0000-0000-000000000000"},
        {"uuid": "0"},
        {"uuid": ""},
        {"uuid": "44444444-0000-4000-8000-000000000001", "timestamp": None},
        {"uuid": "44444444-0000-4000-8000-000000000001", "timestamp": "2025-11-28T10:00:00"},
        {"uuid": "0", "rgb_image": "/9j/ 4AAQ"},
    ],
)
async def test_each_event_is_listed_once_alone_in_a_list_and_in_lines(
    receiver: Running, data: dict[str, Any]
) -> None:
    template = json.dumps(record(**data, user={"name": "NAME", "type": 1})).encode()
    events = [template.replace(b"NAME", name) for name in NAMES]
    bodies = [*events, b"[" + b",".join(events) + b"]", b"\n".join(events), b"1\n" + b"\n".join(events)]
    for event in events:
        around = [b"\0", b"\n", b"\0garbage", event[-9:]]
        bodies += [b"[" + event + b"]", b"[" + event + b"," + events[0] + b"]\0", event + b"\n" + event]
        bodies += [b"\xef\xbb\xbf" + event, b"\0" + event, *[event + end for end in around[:3]]]
        bodies += [event + b"\0" + around[3]]
    for body in bodies:
        assert (await receiver.push(body, headers={"sn": "SN-1"})).json == SUCCESS, body
    stats = receiver.store.stats()
    assert (stats.records, stats.quarantined) == (len(events), 1)


@pytest.mark.parametrize(
    ("event", "listed"),
    [
        (alarm(trace_id="1"), (1, 0)),
        (alarm(trace_id="SPX-1684381418208-004", event_time=None), (1, 0)),
        (alarm(trace_id="SPX-1684381418208-004", status=None), (1, 0)),
        ({"a": 1}, (0, 1)),
        ({"type": 3, "data": {"deviceSN": "SN-1", "x": 1}}, (0, 1)),
        ({"type": 0, "data": []}, (0, 1)),
    ],
)
async def test_an_alarm_and_what_is_no_event_are_kept_once_however_they_are_sent(
    receiver: Running, event: Any, listed: tuple[int, int]
) -> None:
    text = json.dumps(event).encode()
    for body in (
        *(text, b"[" + text + b"]", b"[" + text + b"," + text + b"]", text + b"\n" + text),
        *(text + b"\0", text + b"\n", b"\xef\xbb\xbf" + text, b"\0" + text, text + b"\0garbage"),
    ):
        assert (await receiver.push(body, headers={"sn": "SN-1"})).json == SUCCESS, body
    # The content type is no part of an event either.
    kind = {"sn": "SN-1", "Content-Type": "text/plain"}
    assert (await receiver.push(text, headers=kind)).json == SUCCESS
    stats = receiver.store.stats()
    assert (stats.alarms, stats.quarantined) == listed


@pytest.mark.parametrize("form", [as_list, in_lines])
async def test_so_many_events_are_taken_and_not_one_more(receiver: Running, form: Any) -> None:
    assert (await receiver.push(form(passages(MAX_EVENTS)))).json == SUCCESS
    assert receiver.store.stats().records == MAX_EVENTS
    assert (await receiver.push(form(passages(MAX_EVENTS + 1, deviceSN="SN-2")))).status == 400
    assert receiver.store.stats().records == MAX_EVENTS


async def test_an_element_that_is_no_event_goes_to_the_quarantine(receiver: Running) -> None:
    events = [passages(1)[0], {"door": "open"}, 7, "text", None, [1]]
    assert (await receiver.push(as_list(events))).json == SUCCESS
    stats = receiver.store.stats()
    assert (stats.records, stats.quarantined) == (1, 5)


async def test_where_nothing_unknown_is_kept_a_list_with_such_an_element_is_refused_whole(
    tmp_path: Path,
) -> None:
    async with receiving(tmp_path / "data", on_invalid="refuse") as receiver:
        assert (await receiver.push(as_list([*passages(2), {"door": "open"}]))).status == 400
        assert receiver.records() == []


@pytest.mark.parametrize("text", [b"[]", b"[", b"[{]", b"{}\n{", b"[1,2"])
async def test_what_is_no_list_of_anything_is_refused(receiver: Running, text: bytes) -> None:
    assert (await receiver.push(text, headers={"sn": "SN-1"})).status in (400, 200)
    assert receiver.records() == []


async def test_all_events_are_of_the_sender_of_the_first_and_who_says_otherwise_is_noted(
    receiver: Running,
) -> None:
    one, two = passages(2)
    two["data"]["deviceSN"] = "SN-2"
    assert (await receiver.push(as_list([one, two]))).json == SUCCESS
    rows = {row.uuid[-1]: row for row in receiver.records() if row.uuid}
    assert {row.serial for row in rows.values()} == {"SN-1"}
    assert rows["0"].problems == ()
    assert [problem.where for problem in rows["1"].problems] == ["data.deviceSN"]
    (terminal,) = receiver.store.terminals()
    assert terminal.disagreements == 1


async def test_the_header_says_whose_a_list_is(receiver: Running) -> None:
    one, two = passages(2)
    two["data"]["deviceSN"] = "SN-9"
    assert (await receiver.push(as_list([one, two]), headers={"sn": "SN-9"})).json == SUCCESS
    rows = {row.uuid[-1]: row for row in receiver.records() if row.uuid}
    assert {row.serial for row in rows.values()} == {"SN-9"}
    assert rows["1"].problems == ()
    assert receiver.store.terminals()[0].disagreements == 1


async def test_unless_all_of_it_is_on_disk_nothing_of_it_is_acknowledged(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record())
    enqueue, tried = receiver.ingest.group_commit.enqueue, []

    def full(frame: bytes, settle: Any, **lane: bool) -> None:
        tried.append(frame)
        if len(tried) == 2:
            raise StoreUnavailable("the receiver's queue is full; send it again later")
        enqueue(frame, settle, **lane)

    events = passages(3, deviceSN="SN-3")
    with monkeypatch.context() as patch:
        patch.setattr(receiver.ingest.group_commit, "enqueue", full)
        answer = await receiver.push(as_list(events))
    assert (answer.status, answer.json["code"]) == (503, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert len(receiver.records(terminal="SN-3")) == 2
    assert (await receiver.push(as_list(events))).json == SUCCESS
    assert len(receiver.records(terminal="SN-3")) == 3


async def test_a_store_that_is_away_is_told_once_for_all_of_them(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record())

    def away(*_: object) -> None:
        raise JournalUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "append_with_images", away)
        answer = await receiver.push(as_list(passages(5)))
    assert answer.status == 503
    await receiver.flush()
    (row,) = receiver.store.refused()
    assert (row.status, row.reason, row.count) == (503, "store unavailable", 1)


async def test_the_values_of_a_list_count_as_those_of_a_body(receiver: Running) -> None:
    full = as_list(passages(200, more=[0] * (MAX_VALUES // 200)))
    assert (await receiver.push(full)).status == 400
    assert receiver.ingest.pushes._budget.values == 0
    assert (await receiver.push(as_list(passages(200, more=[0] * 200)))).json == SUCCESS
    assert receiver.ingest.pushes._budget.values == 0


@pytest.mark.parametrize(
    ("form", "column", "where"),
    [(record, "timestamp", "data.timestamp"), (alarm, "event_time", "data.event_time")],
)
async def test_a_time_without_a_zone_is_read_in_the_terminals(
    receiver: Running, form: Any, column: str, where: str
) -> None:
    await receiver.push(record())
    store = receiver.store
    store.update_terminal(1, timezone="Asia/Shanghai")
    await receiver.desk.table.refresh()
    for _ in range(2):
        event = form(**{column: "2025-11-28 11:20:00"})
        if form is record:
            event["data"]["uuid"] = "22222222-0000-4000-8000-000000000001"
        assert (await receiver.push(event, headers={"sn": "SN-1"})).json == SUCCESS
    expected = datetime(2025, 11, 28, 3, 20, tzinfo=UTC)
    if form is record:
        (row,) = [row for row in receiver.records() if row.recorded_at == expected]
        problems = row.problems
    else:
        ((step,),) = [found.history for found in receiver.alarms()]
        assert step.at == expected
        problems = step.problems
    assert (where, "is read in the time zone Asia/Shanghai") in [(one.where, one.why) for one in problems]


async def test_another_zone_later_does_not_make_the_same_event_another(receiver: Running) -> None:
    event = record(timestamp="2025-11-28 11:20:00", uuid="33333333-0000-4000-8000-000000000001")
    for zone in ("Asia/Shanghai", "Europe/Berlin"):
        assert (await receiver.push(event)).json == SUCCESS
        receiver.store.update_terminal(1, timezone=zone)
        await receiver.desk.table.refresh()
    assert (await receiver.push(event)).json == SUCCESS
    assert len(receiver.records()) == 1


@pytest.mark.parametrize("charset", ["gbk", "GB18030", '"gb2312"'])
async def test_the_declared_charset_counts(receiver: Running, charset: str) -> None:
    text = json.dumps(record(), ensure_ascii=False).encode("gbk")
    kind = {"Content-Type": f"application/json; charset={charset}"}
    assert (await receiver.push(text, headers=kind)).json == SUCCESS
    (row,) = receiver.records()
    assert row.person is not None
    assert row.person.name == "王五"
