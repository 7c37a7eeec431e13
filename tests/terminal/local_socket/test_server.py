import asyncio
import json
import stat
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gatepost import wire
from gatepost.errors import NotSubscribed, OutboxFull, OutboxUnavailable
from gatepost.terminal.local_socket.client import SOCKET_FILE, address
from gatepost.terminal.local_socket.server import LocalSocket

RECORD = {"type": 0, "data": {"uuid": "7b0d3c1a-uuid", "rgb_image": "/9j/2Q==", "timestamp": 1685343715}}
ALARM = {
    "type": 1,
    "data": {"trace_id": "trace-0001", "status": 1, "code": 10001, "event_time": 1685343715000},
}


class House:
    """An outbox in memory, which commits when it is told to."""

    def __init__(self) -> None:
        self.accepted: list[wire.Record | wire.Alarm] = []
        self.error: Exception | None = None
        self.commit = asyncio.Event()
        self.commit.set()

    async def accept(self, events: Sequence[wire.Record | wire.Alarm]) -> list[int]:
        first = len(self.accepted) + 1
        self.accepted.extend(events)
        numbers = list(range(first, len(self.accepted) + 1))
        await self.commit.wait()
        if self.error is not None:
            raise self.error
        return numbers

    async def count(self, question: Mapping[str, Any]) -> object:
        return len(self.accepted)

    async def echo(self, question: Mapping[str, Any]) -> object:
        return {"heard": question.get("word")}


class Visitor:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *lines: object) -> None:
        for line in lines:
            self.writer.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")

    async def answer(self) -> Any:
        async with asyncio.timeout(10):
            return json.loads(await self.reader.readline())


async def visit(folder: Path) -> Visitor:
    with address(folder) as path:
        return Visitor(*await asyncio.open_unix_connection(path, limit=1 << 20))


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def door(house: House, tmp_path: Path) -> AsyncIterator[LocalSocket]:
    door = LocalSocket(
        tmp_path,
        accept=house.accept,
        commands={"echo": house.echo, "count": house.count},
        line_limit=10_000,
        pipeline=8,
    )
    await door.open()
    yield door
    await door.close()


@pytest.fixture
async def visitor(door: LocalSocket, tmp_path: Path) -> AsyncIterator[Visitor]:
    visitor = await visit(tmp_path)
    yield visitor
    visitor.writer.close()


async def test_an_event_is_answered_with_its_number_and_its_image_is_carried_as_bytes(
    visitor: Visitor, house: House
) -> None:
    visitor.send(RECORD, ALARM)
    assert await visitor.answer() == {"ok": True, "id": 1}
    assert await visitor.answer() == {"ok": True, "id": 2}
    record, alarm = house.accepted
    assert isinstance(record, wire.Record)
    assert record.image == b"\xff\xd8\xff\xd9"
    assert isinstance(alarm, wire.Alarm)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ({"type": 0, "data": {"uuid": "u", "rgb_image": "%%%"}}, "data.rgb_image"),
        ({"type": 0, "data": {"uuid": "u", "timestamp": "x"}}, "data.timestamp"),
        ({"type": 0, "data": {"uuid": "u", "mask": [1]}}, "data.mask"),
        (b'{"type": 0, "data": {"uuid": "u", "bodyTemperature": 1e999}}', ""),
        (b'{"type": 0, "data": {"uuid": "u", "user": {"name": "\\ud83d"}}}', ""),
    ],
)
async def test_an_event_with_a_broken_detail_is_taken_and_the_answer_names_the_detail(
    visitor: Visitor, house: House, line: object, where: str
) -> None:
    visitor.send(line)
    answer = await visitor.answer()
    assert (answer["ok"], answer["id"]) == (True, 1)
    assert where in [problem["where"] for problem in answer["problems"]]
    (record,) = house.accepted
    assert isinstance(record, wire.Record)
    assert record.uuid == "u"


async def test_nothing_is_answered_before_it_is_durable(visitor: Visitor, house: House) -> None:
    house.commit.clear()
    visitor.send(RECORD)
    answer = asyncio.create_task(visitor.answer())
    done, _ = await asyncio.wait([answer], timeout=0.05)
    assert not done
    house.commit.set()
    assert (await answer)["ok"] is True


async def test_lines_sent_ahead_wait_for_one_commit_together_and_are_bounded(
    visitor: Visitor, house: House
) -> None:
    house.commit.clear()
    visitor.send(*[RECORD] * 100)
    async with asyncio.timeout(10):
        while len(house.accepted) < 8:  # noqa: ASYNC110 (the fake outbox counts, it does not signal)
            await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    assert len(house.accepted) <= 8 + 2  # the queue, the one being answered, the one about to be queued
    house.commit.set()
    assert [(await visitor.answer())["id"] for _ in range(100)] == list(range(1, 101))


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (b"nonsense", ""),
        (b"[]", ""),
        ({"type": 2, "data": {}}, "type"),
        ({"data": {}}, "type"),
        ({"type": 0, "data": 5}, "data"),
        (b"", ""),
        (b" \t\r", ""),
        (b"\0", ""),
        ({"type": 1, "data": {"status": 1}}, "data.trace_id"),
        (b'{"type": 0, "data": {"x": "' + b"x" * 20_000 + b'"}}', ""),
    ],
)
async def test_a_line_that_is_no_event_is_refused_with_its_place_and_the_next_is_taken(
    visitor: Visitor, house: House, line: object, where: str
) -> None:
    visitor.send(line, RECORD)
    refused = await visitor.answer()
    assert (refused["ok"], refused["error"], refused["where"], refused["retry"]) == (
        False,
        "decode",
        where,
        False,
    )
    assert refused["message"]
    assert (await visitor.answer())["ok"] is True
    assert len(house.accepted) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutboxFull("full"), "outbox-full"),
        (OutboxUnavailable("disk full"), "outbox-unavailable"),
        (NotSubscribed("nobody"), "not-subscribed"),
    ],
)
async def test_what_the_outbox_does_not_take_may_be_handed_in_again(
    visitor: Visitor, house: House, error: Exception, kind: str
) -> None:
    house.error = error
    visitor.send(RECORD)
    assert await visitor.answer() == {"ok": False, "error": kind, "message": str(error), "retry": True}


async def test_a_defect_is_an_answer_and_not_the_end(visitor: Visitor, house: House) -> None:
    house.error = RuntimeError("secret")
    visitor.send(RECORD)
    answer = await visitor.answer()
    assert (answer["ok"], answer["error"]) == (False, "defect")
    assert "secret" not in answer["message"]
    house.error = None
    visitor.send(RECORD)
    assert (await visitor.answer())["ok"] is True


async def test_a_question_is_answered(visitor: Visitor) -> None:
    visitor.send({"ask": "echo", "word": "门"}, {"ask": "what"}, {"ask": 5})
    assert await visitor.answer() == {"ok": True, "data": {"heard": "门"}}
    assert (await visitor.answer())["where"] == "ask"
    assert (await visitor.answer())["where"] == "ask"


async def test_a_question_is_asked_in_its_place(visitor: Visitor, house: House, door: LocalSocket) -> None:
    house.commit.clear()
    visitor.send(RECORD, {"ask": "count"}, RECORD)
    async with asyncio.timeout(10):
        while not house.accepted:  # noqa: ASYNC110 (the fake outbox counts, it does not signal)
            await asyncio.sleep(0.001)
    house.commit.set()
    assert [await visitor.answer() for _ in range(3)] == [
        {"ok": True, "id": 1},
        {"ok": True, "data": 1},
        {"ok": True, "id": 2},
    ]


async def test_the_comma_in_the_pages_own_example_is_understood(visitor: Visitor) -> None:
    visitor.send(
        b'{"type":1,"data":{"trace_id":"t","status":1,"code":10001,"event_time":1,"alarm_photo":" ",}}'
    )
    assert (await visitor.answer())["ok"] is True


async def test_a_line_longer_than_any_buffer_is_taken_whole(house: House, tmp_path: Path) -> None:
    door = LocalSocket(tmp_path, accept=house.accept)
    await door.open()
    visitor = await visit(tmp_path)
    photograph = "QUFB" * 300_000
    visitor.send({"type": 0, "data": {"rgb_image": photograph}}, RECORD)
    assert [(await visitor.answer())["ok"] for _ in range(2)] == [True, True]
    assert house.accepted[0].image == b"AAA" * 300_000
    visitor.writer.close()
    await door.close()


async def test_a_last_line_without_its_end_is_taken(visitor: Visitor) -> None:
    visitor.writer.write(json.dumps(RECORD).encode())
    visitor.writer.write_eof()
    assert (await visitor.answer())["ok"] is True


async def test_only_the_owner_may_come_in(door: LocalSocket, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / SOCKET_FILE).stat().st_mode) == 0o600


async def test_a_dead_socket_is_replaced(house: House, tmp_path: Path) -> None:
    left = LocalSocket(tmp_path, accept=house.accept)
    await left.open()
    again = LocalSocket(tmp_path, accept=house.accept)
    await again.open()
    visitor = await visit(tmp_path)
    visitor.send(RECORD)
    assert (await visitor.answer())["ok"] is True
    visitor.writer.close()
    await again.close()
    await left.close()


async def test_a_folder_deeper_than_a_socket_address_works(house: House, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100)
    folder.mkdir()
    door = LocalSocket(folder, accept=house.accept)
    await door.open()
    visitor = await visit(folder)
    visitor.send(RECORD)
    assert (await visitor.answer())["ok"] is True
    visitor.writer.close()
    await door.close()
    assert list(folder.iterdir()) == []


async def test_closing_answers_what_was_taken(
    door: LocalSocket, visitor: Visitor, house: House, tmp_path: Path
) -> None:
    house.commit.clear()
    visitor.send(RECORD)
    async with asyncio.timeout(10):
        while not house.accepted:  # noqa: ASYNC110 (the fake outbox counts, it does not signal)
            await asyncio.sleep(0.001)
    closing = asyncio.create_task(door.close())
    await asyncio.sleep(0)
    house.commit.set()
    assert await visitor.answer() == {"ok": True, "id": 1}
    await closing
    assert not (tmp_path / SOCKET_FILE).exists()


async def test_closing_is_bounded_when_the_disk_hangs(
    door: LocalSocket, visitor: Visitor, house: House
) -> None:
    house.commit.clear()
    visitor.send(RECORD)
    async with asyncio.timeout(10):
        while not house.accepted:  # noqa: ASYNC110 (the fake outbox counts, it does not signal)
            await asyncio.sleep(0.001)
        await door.close(timeout_s=0.01)
    house.commit.set()


async def test_one_visitor_too_many_is_told_so(house: House, tmp_path: Path) -> None:
    door = LocalSocket(tmp_path, accept=house.accept, connections=1)
    await door.open()
    first = await visit(tmp_path)
    first.send(RECORD)
    await first.answer()
    second = await visit(tmp_path)
    assert (await second.answer())["error"] == "busy"
    for visitor in (first, second):
        visitor.writer.close()
    await door.close()


async def test_a_list_is_taken_whole_and_answered_with_its_numbers(visitor: Visitor, house: House) -> None:
    visitor.send([RECORD, ALARM], [RECORD])
    assert await visitor.answer() == {"ok": True, "ids": [1, 2]}
    assert await visitor.answer() == {"ok": True, "ids": [3]}
    assert len(house.accepted) == 3


@pytest.mark.parametrize("line", [[RECORD, 7], [RECORD, {"type": 7}], []])
async def test_of_a_list_in_which_something_is_no_event_nothing_is_taken(
    visitor: Visitor, house: House, line: object
) -> None:
    visitor.send(line)
    answer = await visitor.answer()
    assert (answer["ok"], answer["retry"]) == (False, False)
    assert house.accepted == []


@pytest.mark.parametrize("line", [b" " * 80 + b"[%s,%s]", b"\xef\xbb\xbf[%s,%s]", b"%s\r%s", b"[%s,%s]\0\0"])
async def test_several_events_are_answered_with_their_numbers_whatever_is_around_them(
    visitor: Visitor, line: bytes
) -> None:
    visitor.send(line % (json.dumps(RECORD).encode(), json.dumps(ALARM).encode()))
    assert (await visitor.answer())["ids"] == [1, 2]


@pytest.mark.parametrize("question", [b"%s\0", b"\xef\xbb\xbf%s", b" " * 80 + b"%s", b"\0\t%s \r"])
async def test_a_question_is_one_whatever_is_around_it(visitor: Visitor, question: bytes) -> None:
    visitor.send(question % b'{"ask": "echo", "word": 7}')
    assert await visitor.answer() == {"ok": True, "data": {"heard": 7}}


async def test_the_door_notes_what_a_receiver_notes_and_keeps_an_image_of_any_format(
    visitor: Visitor, house: House
) -> None:
    visitor.send({"type": 0, "data": {"uuid": "7b0d3c1a-uuid", "timestamp": 0, "rgb_image": "SU1H"}})
    answer = await visitor.answer()
    assert {problem["where"] for problem in answer["problems"]} == {"data.timestamp", "data.rgb_image"}
    (record,) = house.accepted
    assert isinstance(record, wire.Record)
    assert (record.image, record.recorded_at) == (b"IMG", None)


@pytest.mark.parametrize(
    "line",
    [
        {"Type": 0, "Data": {"UUID": "7b0d3c1a-uuid", "RGB_IMAGE": "/9j/2Q==", "mask": [1]}},
        {"type": 0, "data": {"uuid": "7b0d3c1a-uuid", "Rgb_Image": "/9j/2Q=="}},
        [{"type": 0, "data": {"uuid": "7b0d3c1a-uuid", "rgb_image": "/9j/2Q==", "timestamp": 1}}],
    ],
)
async def test_an_image_that_a_receiver_reads_is_kept_whatever_is_noted(
    visitor: Visitor, house: House, line: object
) -> None:
    visitor.send(line)
    assert (await visitor.answer())["problems"]
    (record,) = house.accepted
    assert record.image == b"\xff\xd8\xff\xd9"


@pytest.mark.parametrize("data", [{}, {"foo": 1}])
async def test_what_says_nothing_that_the_page_knows_is_no_event(visitor: Visitor, data: object) -> None:
    visitor.send({"type": 0, "data": data})
    answer = await visitor.answer()
    assert (answer["ok"], answer["where"]) == (False, "data")
    assert "has no field that the page knows" in answer["message"]


async def test_a_time_without_a_zone_is_one_of_the_machines_own(
    visitor: Visitor, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        visitor.send({"type": 0, "data": {"uuid": "u", "timestamp": "2025-11-28 11:20:00"}})
        assert (await visitor.answer())["problems"][0]["why"] == "is a time without a zone"
    finally:
        monkeypatch.undo()
        time.tzset()
    (record,) = house.accepted
    assert isinstance(record, wire.Record)
    assert record.recorded_at == datetime(2025, 11, 28, 3, 20, tzinfo=UTC)
