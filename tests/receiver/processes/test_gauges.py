import asyncio
import threading
from typing import Any

import pytest
from tests.receiver.kit import SUCCESS, Running, body, record, request, until

from gatepost.errors import JournalUnavailable
from gatepost.journal.streams import Position
from gatepost.journal.writer import Writer
from gatepost.receiver.processes.gauges import ReplyTimes


async def test_a_receiver_that_did_nothing_yet_has_every_number_and_each_is_0(receiver: Running) -> None:
    told = receiver.ingest.gauges.by_name()
    assert set(told) == {
        "connections", "bodies_bytes", "waiting", "commits", "committed", "failed", "refused",
    }  # fmt: skip
    assert set(told.values()) == {0}


async def test_the_numbers_are_those_of_this_process_since_its_start(receiver: Running) -> None:
    for uuid in ("u-1", "u-1", "u-2"):
        assert (await receiver.push(record(uuid=uuid))).json == SUCCESS
    for _ in range(2):
        assert (await receiver.push(b"{")).status == 400
    await receiver.flush()
    told = receiver.desk.ingests.gauges.by_name()
    assert (told["commits"], told["committed"], told["failed"], told["refused"]) == (3, 3, 0, 2)


async def test_what_is_open_and_what_is_arriving_is_told_while_it_is(receiver: Running) -> None:

    def read() -> dict[str, int]:
        return receiver.ingest.gauges.by_name()

    sender = await receiver.connect()
    push = request("POST", "/Record", body(record()))
    await sender.write(push[:-100])
    arrived = len(body(record())) - 100
    await until(lambda: read()["bodies_bytes"] == arrived)
    assert read()["connections"] == 1
    await sender.write(push[-100:])
    assert (await sender.answer()).json == SUCCESS
    await sender.close()
    await until(lambda: read()["connections"] == 0)
    assert read()["bodies_bytes"] == 0


async def test_what_waits_for_the_disk_is_told(receiver: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await receiver.push(record(uuid="first"))

    def read() -> dict[str, int]:
        return receiver.ingest.gauges.by_name()

    gate, append = threading.Event(), Writer.append_with_images

    def wait(writer: Writer, *what: Any) -> Position:
        gate.wait(20)
        return append(writer, *what)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "append_with_images", wait)
        pushes = [asyncio.create_task(receiver.push(record(uuid="u-0")))]
        await until(lambda: read()["bodies_bytes"] == len(body(record(uuid="u-0"))))
        pushes += [asyncio.create_task(receiver.push(record(uuid=f"u-{n}"))) for n in range(1, 4)]
        await until(lambda: read()["waiting"] == 3)
        assert read()["committed"] == 1
        gate.set()
        await asyncio.gather(*pushes)
        assert (read()["waiting"], read()["committed"]) == (0, 5)


def test_reply_times_are_counted_up_to_bounds_and_summed() -> None:
    times = ReplyTimes()
    assert (times.total, times.within(0.5)) == (0, None)
    for seconds in (0.0001, 0.0005, 0.003, 0.003, 60.0):
        times.observe(seconds)
    assert times.counts == [2, 0, 0, 2, *[0] * 10, 1]
    assert times.seconds == pytest.approx(60.0066)
    assert [times.within(share) for share in (0.4, 0.5, 0.8, 0.99)] == [0.0005, 0.005, 0.005, None]
    both = times + times
    assert (both.total, both.counts[0], both.seconds) == (10, 4, pytest.approx(120.0132))
    assert times.total == 5


async def test_the_time_of_every_reply_is_counted_also_of_a_refusal_and_of_several_events(
    receiver: Running,
) -> None:
    assert (await receiver.push(record())).status == 200
    assert (await receiver.push([record(uuid="a"), record(uuid="b")])).status == 200
    assert (await receiver.push(b"{")).status == 400
    assert (await receiver.push(record(), "/Record/wrong")).status == 404
    await receiver.flush()
    times = receiver.desk.ingests.gauges.replies
    assert times.total == 4
    assert times.seconds > 0


async def test_what_the_guard_counts_comes_under_its_name_and_in_order(receiver: Running) -> None:
    for head in (
        b"no HTTP at all\r\n\r\n",
        b"POST /Record HTTP/1.1\r\nHost: r\r\nContent-Length: 99999999\r\n\r\n",
    ):
        sender = await receiver.connect()
        await sender.write(head)
        await sender.answer()
    await receiver.flush()
    told = receiver.desk.ingests.gauges.by_name()
    assert [name for name in told if name.startswith("guard.")] == ["guard.refused.400", "guard.refused.413"]
    assert (told["guard.refused.400"], told["guard.refused.413"]) == (1, 1)


async def test_what_the_disk_could_not_take_has_failed_and_is_not_committed(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record(uuid="u-1"))

    def away(*_: object) -> None:
        raise JournalUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "append_with_images", away)
        assert (await receiver.push(record(uuid="u-2"))).status == 503
    await receiver.flush()
    told = receiver.desk.ingests.gauges.by_name()
    assert (told["commits"], told["committed"], told["failed"], told["waiting"]) == (1, 1, 1, 0)
