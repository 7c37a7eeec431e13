"""Slow links: events arrive one after another, each once, and an alarm does not wait for the records.

The links of the ordinary run are faster than those in the field, and the time limits shorter in proportion, so that a
push takes longer than every limit and no test takes long. What rests on seconds is in the long run, at full size.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.faults import bad_receiver as bad
from tests.faults import certificates
from tests.faults.bad_receiver import BadReceiver, until
from tests.faults.line import Line, alarm, line, names, record, settings
from tests.faults.slow_link import WIRE, SlowLink

from gatepost.settings import TerminalSettings
from gatepost.terminal.push.http_client import HttpClient, Timeouts
from gatepost.terminal.push.http_response import HttpResponse
from gatepost.terminal.push.tls import Trust
from gatepost.terminal.push.window import Window

SHORT = settings(send_timeout_s=1.5, reply_timeout_s=1.5, retry_first_s=0.1, retry_cap_s=0.5)
"""Time limits of a twentieth: 20 KB/s is to them what 1 KB/s is to the defaults."""


def narrow() -> Window:
    """A window that takes a push of half a second for a slow one."""
    return Window(8, slow_s=0.5)


def images(count: int, size: int) -> list[tuple[str, bytes]]:
    return [(f"r{n}", b"\xff\xd8" + bytes(size)) for n in range(count)]


async def fill(made: Line, count: int, size: int) -> None:
    for name, image in images(count, size):
        await made.put(record(name, image=image))


@pytest.mark.parametrize(
    ("rate", "buffer", "size"),
    [
        pytest.param(8_000, WIRE, 12_000, id="a wire"),
        pytest.param(24_000, None, 36_000, id="a modem that acknowledges at once"),
    ],
)
async def test_pushes_that_take_longer_than_every_limit_arrive_one_by_one(tmp_path, rate, buffer, size):
    loop = asyncio.get_running_loop()
    async with (
        BadReceiver(bad.good) as receiver,
        SlowLink(receiver.port, rate=rate, buffer=buffer) as link,
        line(tmp_path, link.url, settings=SHORT, window=narrow()) as made,
    ):
        await fill(made, 3, size)
        began = loop.time()
        made.start()
        await made.drained(60)
        assert loop.time() - began > 3 * SHORT.send_timeout_s
        assert made.pusher.status().failures == 0
    assert names(receiver) == ["r0", "r1", "r2"]
    assert len(receiver.requests) == 3, "none was given up and sent again"
    assert receiver.most_open == 1


async def test_a_handshake_of_tls_that_takes_longer_than_its_limit_comes_to_its_end(tmp_path):
    loop = asyncio.get_running_loop()
    limits = Timeouts(connect_s=2.0)
    transport = HttpClient(trust=Trust(ca_file=str(certificates.ca_file(tmp_path))), limits=limits)
    async with (
        BadReceiver(bad.good, tls=certificates.with_many_names()) as receiver,
        SlowLink(receiver.port, rate=1024) as link,
    ):
        began = loop.time()
        async with asyncio.timeout(60):
            reply = await transport.post(
                f"https://127.0.0.1:{link.port}/Record", b"", [b'{"type":0,"data":{"uuid":"r1"}}']
            )
        assert isinstance(reply, HttpResponse), reply
        assert loop.time() - began > limits.connect_s, "else it shows nothing"
        assert len(receiver.stored) == 1
        await transport.close()


async def test_an_alarm_overtakes_the_records_that_wait(tmp_path):
    async with (
        BadReceiver(bad.good) as receiver,
        SlowLink(receiver.port, rate=32_000) as link,
        line(tmp_path, link.url, settings=SHORT, window=narrow()) as made,
    ):
        await fill(made, 5, 12_000)
        made.start()
        await until(lambda: link.passed > 1000)
        await made.put(alarm("fire", 1))
        await made.drained(60)
    assert names(receiver)[:2] == ["r0", "fire/1"]
    assert names(receiver)[2:] == ["r1", "r2", "r3", "r4"]


async def test_several_are_under_way_where_the_way_is_long_and_the_link_has_room(tmp_path):
    async with (
        BadReceiver(bad.good) as receiver,
        SlowLink(receiver.port, rate=640_000, delay_s=0.15) as link,
        line(tmp_path, link.url, run=True, window=Window(8)) as made,
    ):
        await made.records([f"r{n}" for n in range(40)])
        await made.drained(60)
    assert sorted(names(receiver)) == sorted(f"r{n}" for n in range(40))
    assert receiver.most_open == 8


async def test_where_connections_are_lost_again_and_again_everything_arrives(tmp_path):
    async with (
        BadReceiver(bad.good) as receiver,
        SlowLink(receiver.port, rate=100_000, cut_every_s=0.3) as link,
        line(tmp_path, link.url, settings=SHORT, window=Window(8)) as made,
    ):
        await fill(made, 40, 2_000)
        made.start()
        status = await made.drained(60)
        assert link.cuts > 1
    assert (status.delivered, status.dead, status.dropped) == (40, 0, 0)
    assert set(names(receiver)) == {f"r{n}" for n in range(40)}


async def test_a_link_that_swallows_everything_is_given_up_and_halves_the_window(tmp_path):
    window = Window(8, size=8)
    async with (
        BadReceiver(bad.silence) as receiver,
        line(
            tmp_path,
            receiver.url,
            settings=settings(reply_timeout_s=0.3, send_timeout_s=0.3),
            window=window,
        ) as made,
    ):
        await made.records([f"r{n}" for n in range(8)])
        assert await made.pusher.push_once() == 8
        assert made.pusher.status().reason == "time-out while waiting for the reply"
        assert window.size == 4
        receiver.behave(bad.good)
        await asyncio.sleep(0)
        made.start()
        await made.drained()
        assert window.size == 8


# -- the long run: images of 30 KB, and the limits as they are


async def whole(
    folder: Path,
    count: int,
    rate: float,
    *,
    buffer: int | None,
    delay_s: float = 0.0,
    cut_s: float | None = None,
) -> tuple[float, float, list[str]]:
    """Push so many; return the seconds that it took, those that the link needs, and what arrived."""
    loop = asyncio.get_running_loop()
    async with (
        BadReceiver(bad.good) as receiver,
        SlowLink(receiver.port, rate=rate, buffer=buffer, delay_s=delay_s, cut_every_s=cut_s) as link,
        line(folder, link.url, settings=TerminalSettings(), window=Window(8)) as made,
    ):
        await fill(made, count, 30_000)
        began = loop.time()
        made.start()
        async with asyncio.timeout(3000):
            while (status := await made.status()).pending:  # noqa: ASYNC110 - the ledger is in a file
                await asyncio.sleep(0.1)
        took = loop.time() - began
        assert (status.delivered, status.dead, status.dropped) == (count, 0, 0)
        need = sum(len(request.body) for request in receiver.stored) / rate
    print(  # noqa: T201 - what the long run measured
        f"{count} events, {rate} bytes/s, {delay_s} s: {took:.1f} s, the link needs {need:.1f} s, {link.cuts} cuts"
    )
    return took, need, names(receiver)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("buffer", [WIRE, None], ids=["wire", "modem"])
@pytest.mark.parametrize(("rate", "delay_s"), [(1024, 0.0), (4096, 0.0), (4096, 0.3)])
async def test_six_images_arrive_one_by_one_and_take_little_more_than_the_link_needs(
    tmp_path, rate, delay_s, buffer
):
    took, need, arrived = await whole(tmp_path, 6, rate, buffer=buffer, delay_s=delay_s)
    assert arrived == [f"r{n}" for n in range(6)]
    assert took < 1.3 * need


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("buffer", [WIRE, None], ids=["wire", "modem"])
@pytest.mark.parametrize("delay_s", [0.0, 0.3])
async def test_a_backlog_takes_little_more_than_a_link_of_64_kb_needs(tmp_path, delay_s, buffer):
    took, need, arrived = await whole(tmp_path, 60, 65536, buffer=buffer, delay_s=delay_s)
    assert sorted(arrived) == sorted(f"r{n}" for n in range(60)), "each once"
    assert took < 1.5 * need


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("buffer", [WIRE, None], ids=["wire", "modem"])
async def test_a_backlog_leaves_over_a_link_that_is_lost_each_10_seconds(tmp_path, buffer):
    took, need, arrived = await whole(tmp_path, 60, 65536, buffer=buffer, delay_s=0.3, cut_s=10.0)
    assert set(arrived) == {f"r{n}" for n in range(60)}
    assert took < 3.0 * need
