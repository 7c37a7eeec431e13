"""One terminal for a first look."""

import asyncio
import sys
from datetime import timedelta

from tests.faults.bad_receiver import BadReceiver, good, until

from gatepost.simulator.demo_terminal import ALARM_AT, CLEARED_AFTER, EventScript, play
from gatepost.simulator.world.scenario import DEFAULT_DAY
from gatepost.wire import Alarm, Record
from gatepost.wire.codes import AlarmStatus


def test_a_passage_at_each_step_and_an_alarm_that_is_cleared() -> None:
    step = EventScript(seed=3, now=DEFAULT_DAY + timedelta(hours=9))
    events = [
        event
        for number in range(ALARM_AT + CLEARED_AFTER + 1)
        for event in step.step(DEFAULT_DAY + timedelta(hours=9, seconds=number))
    ]
    records = [event for event in events if isinstance(event, Record)]
    alarms = [event for event in events if isinstance(event, Alarm)]
    assert len(records) == ALARM_AT + CLEARED_AFTER + 1
    assert len({record.uuid for record in records}) == len(records)
    assert [alarm.status for alarm in alarms] == [AlarmStatus.OCCURRED, AlarmStatus.CLEARED]
    assert len({alarm.trace_id for alarm in alarms}) == 1


async def test_it_delivers_until_nobody_is_there_any_more() -> None:
    gone = asyncio.Event()
    async with BadReceiver(good) as receiver:
        playing = asyncio.create_task(play(receiver.url, seconds=60, gone=gone, seed=1))
        await until(lambda: receiver.stored)
        gone.set()
        assert await asyncio.wait_for(playing, 30) >= 1


async def test_as_a_process_it_reads_where_to_push_and_ends_with_its_standard_input() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gatepost.simulator.demo_terminal",
        "--seconds",
        "60",
        stdin=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b"http://127.0.0.1:9/Record\n")
    process.stdin.close()
    async with asyncio.timeout(40):
        assert await process.wait() == 1
