"""Thousands of terminals that push for the first time, all at once, and an alarm of one that is known."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from tests.receiver.kit import SUCCESS, Process, alarm, body, record

from gatepost.receiver.opening import open_store
from gatepost.settings import ReceiverSettings

TERMINALS, SENDERS, BEFORE_THE_ALARM = 3000, 100, 300


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_none_of_three_thousand_unknown_terminals_is_refused_and_an_alarm_waits_for_few_of_them(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_store_url") if database == "postgresql" else ""
    process = await Process.start(tmp_path / "data", *(["--database", url] if url else []))
    acknowledged: list[str] = []
    some = asyncio.Event()

    async def send(serials: range) -> None:
        sender = await process.connect()
        for number in serials:
            push = record(deviceSN=f"NEW-{number}", uuid=f"uuid-{number:06d}")
            assert (await sender.request("POST", "/Record", body(push))).json == SUCCESS
            acknowledged.append(f"NEW-{number}")
            if len(acknowledged) == BEFORE_THE_ALARM:
                some.set()
        await sender.close()

    async def raise_alarm() -> None:
        sender = await process.connect()
        await some.wait()
        assert (await sender.request("POST", "/Record", body(alarm()), {"sn": "KNOWN"})).json == SUCCESS
        acknowledged.append("alarm")
        await sender.close()

    try:
        push = record(deviceSN="KNOWN", uuid="uuid-known")
        assert (await process.request("POST", "/Record", body(push))).json == SUCCESS
        await process.settle()
        sends = [send(range(first, TERMINALS, SENDERS)) for first in range(SENDERS)]
        await asyncio.gather(raise_alarm(), *sends)
        await process.settle()
        assert await process.stop() == 0
    finally:
        await process.kill()
    assert acknowledged.index("alarm") < TERMINALS // 2
    with closing(open_store(ReceiverSettings(database=url), tmp_path / "data")) as store:
        terminals = {row.serial: (row.records, row.alarms, row.duplicates) for row in store.terminals()}
        assert terminals == {"KNOWN": (1, 1, 0)} | {f"NEW-{n}": (1, 0, 0) for n in range(TERMINALS)}
        listed = store.read_feed(0, TERMINALS + 2).items
        assert [item.kind for item in listed].index("alarm") < TERMINALS // 2
