"""What the log says of a disk that does not take everything: the right level, and one line a condition."""

import asyncio
import errno
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.terminal.outbox_kit import Clock, SmallDisk, outbox_in, put_many, record, settle_all

from gatepost.errors import OutboxUnavailable
from gatepost.terminal.outbox.disk.log import QUIET_S, DiskLog

UNAVAILABLE = ("error", "outbox.unavailable")
KEPT = ("warning", "outbox.kept_in_memory")
RECOVERED = ("info", "outbox.recovered")


def lines(logs: list[object]) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in logs]  # type: ignore[index]


async def test_results_that_wait_in_memory_are_a_warning_and_a_refused_caller_is_an_error(
    tmp_path: Path,
) -> None:
    disk, now = SmallDisk(tmp_path), Clock()
    async with outbox_in(tmp_path, now=now, files=disk) as outbox:
        await put_many(outbox, 4)
        with capture_logs() as logs:
            disk.error = errno.EIO
            for _ in range(2):
                await settle_all(outbox, await outbox.claim(1, now=now()))
            assert lines(logs) == [KEPT]
            for number in range(3):
                with pytest.raises(OutboxUnavailable):
                    await outbox.put(record(number))
            await settle_all(outbox, await outbox.claim(1, now=now()))
            assert lines(logs) == [KEPT, UNAVAILABLE]
            disk.error = None
            await outbox.put(record(9))
            async with asyncio.timeout(20):
                while (await outbox.status()).storage_error is not None:  # noqa: ASYNC110 - a disk has no event
                    await asyncio.sleep(0.01)
            assert lines(logs) == [KEPT, UNAVAILABLE, RECOVERED]
            assert (await outbox.status()).unsaved == 0


def test_a_condition_that_comes_and_goes_with_each_event_is_one_line_a_minute_and_its_end() -> None:
    trouble = DiskLog()
    with capture_logs() as logs:
        for second in range(125):
            trouble.failed("full", is_refused=True, now=1000.0 + second)
            trouble.ended(now=1000.0 + second)
    assert lines(logs) == [UNAVAILABLE, RECOVERED] * 3


def test_one_that_lasts_is_said_although_another_has_just_ended() -> None:
    trouble = DiskLog()
    with capture_logs() as logs:
        trouble.failed("full", is_refused=False, now=1000.0)
        trouble.ended(now=1001.0)
        for second in range(2, 300):
            trouble.failed("full", is_refused=True, now=1000.0 + second)
        trouble.ended(now=1300.0)
    assert lines(logs) == [KEPT, RECOVERED, UNAVAILABLE, RECOVERED]


def test_a_clock_that_was_set_back_does_not_silence_it() -> None:
    trouble = DiskLog()
    with capture_logs() as logs:
        for now in (1e9, 1e9 - 2 * QUIET_S):
            trouble.failed("full", is_refused=True, now=now)
            trouble.ended(now=now)
    assert lines(logs) == [UNAVAILABLE, RECOVERED] * 2
