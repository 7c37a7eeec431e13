"""Anything at all at the endpoint: a documented reply or a closed connection, never a failure of ours."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.receiver.kit import SUCCESS, Running, alarm, base64, body, receiving, record, request

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
AT_LENGTH = settings(FUZZ, max_examples=4000)
"""Some ten minutes for all of them."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", " ", "0", "1", "-1", "1685343715", "9" * 30, "\x00", "true", "/9j/", "AAAA", "名"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KNOWN = [
    *record()["data"],
    *record()["data"]["user"],
    *alarm()["data"],
    "TrackID",
    "livenessScore",
    "groups",
    "type",
]


def changed(
    push: dict[str, Any], inside: dict[str, Any], user: dict[str, Any], beside: dict[str, Any]
) -> Any:
    """A push with some of its fields replaced, at every level."""
    data = {**push["data"], **inside}
    if isinstance(data.get("user"), dict):
        data["user"] = {**data["user"], **user}
    return {**push, "data": data, **beside}


some_fields = st.dictionaries(st.sampled_from(KNOWN), values, max_size=4)
pushes = st.builds(
    changed,
    st.sampled_from([record(), alarm()]),
    some_fields,
    some_fields,
    st.dictionaries(st.text(max_size=4), values),
)


@pytest.fixture
async def watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Running]:
    """A receiver of which nothing may be logged as an error, and in whose loop nothing may go wrong."""
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    with structlog.testing.capture_logs() as events:
        async with receiving(tmp_path / "data") as running:
            yield running
    assert failures == []
    assert [event for event in events if event["log_level"] in ("error", "critical")] == []
    assert [entry for entry in caplog.records if entry.levelno >= logging.ERROR] == []


def counted(receiver: Running) -> int:
    """Everything that was ever acknowledged."""
    steps = sum(len(row.history) for row in receiver.alarms())
    stats = receiver.store.stats()
    return stats.records + steps + stats.quarantined + stats.duplicates


async def documented(receiver: Running, text: bytes) -> None:
    before = counted(receiver)
    answer = await receiver.push(text)
    assert answer.status in (200, 400)
    told = answer.json
    assert set(told) == {"code", "message", "data"}
    assert told["code"] == answer.status
    if answer.status == 200:
        assert told == SUCCESS
    assert (counted(receiver) > before) == (answer.status == 200)  # a list counts each of its elements


async def kept(receiver: Running, push: Any, *, ascii_only: bool) -> None:
    try:
        text = json.dumps(push, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        text = json.dumps(push).encode()
    await documented(receiver, text)
    page = await receiver.get("/api/v1/records")
    assert page.status == 200
    json.loads(page.body)


async def stores_what_it_says(receiver: Running, at: int, insert: bytes, drop: int, cut: int) -> None:
    whole = request("POST", "/Record", body(record(uuid="damaged", rgb_image=base64(b"\xff\xd8\xff\xd9"))))
    damaged = (whole[:at] + insert + whole[at + drop :])[: len(whole) - cut if cut < 100 else len(whole)]
    before = counted(receiver)
    sender = await receiver.connect()
    await sender.write(damaged)
    sender.writer.write_eof()
    told = await sender.ended()
    assert b"Traceback" not in told
    assert b" 500 " not in told
    assert counted(receiver) - before == told.count(b'{"code":200,')
    assert (await receiver.request("GET", "/healthz")).status == 200


any_bytes = given(text=st.binary(max_size=300))
any_json = given(value=values)
any_event = given(push=pushes, ascii_only=st.booleans())
any_damage = given(
    at=st.integers(0, 600),
    insert=st.binary(max_size=8),
    drop=st.integers(0, 8),
    cut=st.integers(0, 700),
)


@FUZZ
@any_bytes
async def test_any_bytes_are_answered_as_documented(watched: Running, text: bytes) -> None:
    await documented(watched, text)


@FUZZ
@any_json
async def test_any_json_is_answered_as_documented(watched: Running, value: Any) -> None:
    await documented(watched, json.dumps(value).encode())


@FUZZ
@any_event
async def test_any_event_with_any_fields_is_acknowledged_and_kept(
    watched: Running, push: Any, ascii_only: bool
) -> None:
    await kept(watched, push, ascii_only=ascii_only)


@FUZZ
@any_damage
async def test_a_damaged_request_stores_nothing_it_did_not_say(
    watched: Running, at: int, insert: bytes, drop: int, cut: int
) -> None:
    await stores_what_it_says(watched, at, insert, drop, cut)


@pytest.mark.soak
@AT_LENGTH
@any_bytes
async def test_any_bytes_at_length(watched: Running, text: bytes) -> None:
    await documented(watched, text)


@pytest.mark.soak
@AT_LENGTH
@any_json
async def test_any_json_at_length(watched: Running, value: Any) -> None:
    await documented(watched, json.dumps(value).encode())


@pytest.mark.soak
@AT_LENGTH
@any_event
async def test_any_event_at_length(watched: Running, push: Any, ascii_only: bool) -> None:
    await kept(watched, push, ascii_only=ascii_only)


@pytest.mark.soak
@AT_LENGTH
@any_damage
async def test_any_damage_at_length(watched: Running, at: int, insert: bytes, drop: int, cut: int) -> None:
    await stores_what_it_says(watched, at, insert, drop, cut)
