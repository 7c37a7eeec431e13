"""Every class of what the field sends: at the codec, at the endpoint over both databases, at the terminal's door."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import SUCCESS, serving
from tests.store.conftest import (  # noqa: F401 - fixtures
    empty_folder,
    open_postgres,
    open_sqlite,
)

from gatepost import wire
from gatepost.dialect_faults.classes import CLASSES
from gatepost.dialect_faults.faults import Body, Variant
from gatepost.settings import ReceiverSettings
from gatepost.store.base import BaseStore
from gatepost.store.interface import AlarmQuery, RecordQuery
from gatepost.terminal.local_socket.client import address
from gatepost.terminal.local_socket.server import LocalSocket

AT = datetime(2023, 11, 14, 22, 0, tzinfo=UTC)

VARIANTS = [(found.name, variant) for found in CLASSES for variant in found.variants]

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4 + b"\xff\xd9"
"""With every letter of base64 in it."""


def record(number: int) -> bytes:
    return wire.encode(
        wire.Record(
            serial="SN-1",
            uuid=f"4d3987c1-a3b3-470b-9fb7-{number:012d}",
            recorded_at=AT + timedelta(seconds=number),
            recognition_type=1,
            passed=True,
            entry_mode=1,
            image=JPEG,
            user=wire.User(
                user_id=str(1000 + number), name=f"王{number}", type=1, job_number="77", remark="x"
            ),
        )
    )


def alarm(number: int) -> bytes:
    return wire.encode(
        wire.Alarm(
            trace_id=f"SPX-1684381418208-{number:04d}",
            status=1,
            code=10001,
            event_time=AT + timedelta(seconds=number),
            description="x",
        )
    )


def written(variant: Variant, number: int) -> list[tuple[bytes, Body]]:
    """Each event that the variant concerns, before and after it."""
    found = [(body, variant.write(body, random.Random(number))) for body in (record(number), alarm(number))]
    return [(before, after) for before, after in found if after is not None]


def charset(body: Body) -> str | None:
    _, _, parameter = (body.content_type or "").partition("charset=")
    return parameter.strip().strip('"') or None


@pytest.mark.parametrize(("name", "variant"), VARIANTS, ids=[f"{name}: {one.name}" for name, one in VARIANTS])
def test_the_codec_reads_the_event_that_was_meant(name: str, variant: Variant) -> None:
    pairs = written(variant, 7)
    assert pairs
    for before, after in pairs:
        meant = wire.decode(before).event
        (read,) = wire.decode_many(after.content, lenient=True, charset=charset(after))
        event = read.event
        assert type(event) is type(meant)
        assert not isinstance(event, wire.Unknown)
        again = wire.decode_many(after.content, lenient=True, charset=charset(after))[0]
        assert wire.key(event, read) == wire.key(event, again)
        if not isinstance(event, wire.Record) or not isinstance(meant, wire.Record):
            continue
        assert event.user is not None
        assert meant.user is not None
        assert (event.serial, event.user.user_id) == (meant.serial, meant.user.user_id)
        assert event.user.name
        assert event.passed is True
        assert event.image is not None
        assert (event.image == meant.image) == (name != "picture-format")
        assert meant.recorded_at is not None
        if variant.name == "no clock":
            assert event.recorded_at is None
        elif read.local_time is not None:
            assert read.local_time.replace(tzinfo=UTC) - meant.recorded_at in (
                timedelta(0),
                timedelta(hours=8),
            )
        else:
            assert event.recorded_at is not None
            assert abs(event.recorded_at - meant.recorded_at) < timedelta(seconds=1)


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest) -> BaseStore:
    opener: Callable[[], BaseStore] = request.getfixturevalue(f"open_{request.param}")
    return opener()


async def test_every_class_is_listed_once_however_often_it_is_sent(opened: BaseStore) -> None:
    events = [body for number, (_, variant) in enumerate(VARIANTS) for _, body in written(variant, number)]
    async with serving(opened, ReceiverSettings()) as receiver:
        for _ in range(2):
            for body in events:
                headers = {"sn": "SN-1"}
                if body.content_type is not None:
                    headers["Content-Type"] = body.content_type
                answer = await receiver.push(body.content, headers=headers)
                assert answer.json == SUCCESS, body
        stats = receiver.store.stats()
        assert (stats.quarantined, stats.duplicates) == (0, len(events))
        listed = len(receiver.store.records(RecordQuery(limit=500)).items)
        steps = sum(len(row.history) for row in receiver.store.alarms(AlarmQuery(limit=500)).items)
        assert listed + steps == len(events)


async def test_the_door_takes_what_the_receiver_takes(tmp_path: Path) -> None:
    accepted: list[wire.Record | wire.Alarm] = []

    async def accept(events: Sequence[wire.Record | wire.Alarm]) -> list[int]:
        accepted.extend(events)
        return list(range(len(accepted) - len(events) + 1, len(accepted) + 1))

    door = LocalSocket(tmp_path, accept=accept, commands={})
    await door.open()
    try:
        with address(tmp_path) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        for number, (name, variant) in enumerate(VARIANTS):
            for _, body in written(variant, number):
                # A line has no content type, and is not UTF-16; a raw line end would be two lines.
                if variant.needs_header or b"\n" in body.content.rstrip(b"\r\n\0 \t"):
                    continue
                writer.write(body.content.rstrip(b"\r\n\0 \t") + b"\n")
                async with asyncio.timeout(10):
                    answer: dict[str, Any] = json.loads(await reader.readline())
                assert answer["ok"] is True, (name, variant.name, answer)
        writer.close()
    finally:
        await door.close()
    assert len(accepted) > len(VARIANTS) / 2
