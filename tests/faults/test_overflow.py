"""A full outbox, and 500 events more; drained by a terminal in its own process.

The long run has a backlog of the size that the page promises.
"""

from __future__ import annotations

import asyncio
import re
import signal

import pytest
from tests.faults import processes
from tests.faults.bad_receiver import SUCCESS, until
from tests.faults.line import line, record

from gatepost.settings import TerminalSettings

DROPPED = 500
UUID = re.compile(rb'"uuid":"n(\d+)"')
LENGTH = re.compile(rb"content-length: (\d+)")
REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(SUCCESS), SUCCESS)


class Counting(asyncio.Protocol):
    """As little of a receiver as counts events quickly."""

    arrived: list[int]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(buffer, 0, end)
            assert length is not None
            size = end + 4 + int(length[1])
            if len(buffer) < size:
                break
            name = UUID.search(buffer, end, size)
            assert name is not None
            self.arrived.append(int(name[1]))
            buffer = buffer[size:]
            self._transport.write(REPLY)  # type: ignore[attr-defined]
        self._buffer = buffer


@pytest.mark.timeout(400)
@pytest.mark.parametrize("capacity", [10_000, pytest.param(50_000, marks=pytest.mark.soak)])
async def test_of_events_recorded_offline_the_newest_arrive_and_what_is_over_capacity_is_counted_as_dropped(
    tmp_path, capacity
):
    recorded = capacity + DROPPED

    class Receiver(Counting):
        arrived: list[int] = []  # noqa: RUF012 - shared by the connections of this one test

    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/Record"
        async with line(tmp_path, url, settings=TerminalSettings(capacity=capacity)) as made:
            for n in range(0, recorded, 250):
                await asyncio.gather(
                    *(made.outbox.put(record(f"n{m}", image=None)) for m in range(n, n + 250))
                )
            status = await made.status()
        assert (status.accepted, status.pending, status.dropped) == (recorded, capacity, DROPPED)
        (dropped,) = status.drops
        assert (dropped.reason, dropped.count, dropped.first_id, dropped.last_id) == (
            "capacity",
            DROPPED,
            1,
            DROPPED,
        )

        async with processes.terminal(tmp_path) as terminal:
            await until(lambda: len(Receiver.arrived) >= capacity, 300)
            report = await terminal.end(signal.SIGTERM)

    assert sorted(Receiver.arrived) == list(range(DROPPED, recorded))
    async with line(tmp_path, None) as made:
        status = await made.status()
    assert (status.delivered, status.pending, status.dropped) == (capacity, 0, DROPPED)
    assert report["peak_kb"] < 80 * 1024, "memory does not grow with the backlog"
    assert report["cpu_until_push_s"] < 2.0, "and neither does the time to the first push"
