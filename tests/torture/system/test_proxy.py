"""The line does to a push what it is told, and counts it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.conformance.tiny_receiver import Push, TinyReceiver, good

from gatepost.conformance.acknowledgement import acknowledged
from gatepost.conformance.raw_http import Answer, Connection, NoResponse, Response, Target, request
from gatepost.torture.fault_plan import LINE, Kind
from gatepost.torture.system.proxy import IMPOSTORS, Proxy, Traffic


@dataclass
class Setting:
    line: Proxy
    traffic: Traffic
    received: list[Push]

    def target(self, port: int = 0) -> Target:
        return Target.parse(f"http://127.0.0.1:{self.line.ports[port]}/Record")

    async def push(self, name: str, *, port: int = 0, timeout_s: float = 3.0) -> Answer:
        body = json.dumps({"type": 0, "data": {"uuid": name}}).encode()
        return await self.send(body, port=port, timeout_s=timeout_s)

    async def send(self, body: bytes, *, port: int = 0, timeout_s: float = 3.0) -> Answer:
        try:
            async with Connection.open(self.target(port), timeout_s=timeout_s) as connection:
                await connection.send(*request(self.target(port), body))
                return await connection.read()
        except ConnectionRefusedError as error:
            return NoResponse(str(error))


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    received: list[Push] = []

    def decide(push: Push) -> bytes:
        received.append(push)
        return good(push)

    async with TinyReceiver(decide) as receiver:
        traffic = Traffic()
        line = Proxy(lambda: Target.parse(receiver.url), traffic)
        await line.open()
        yield Setting(line, traffic, received)
        await line.close()


async def test_in_peace_a_push_passes_on_either_port_and_its_success_is_remembered(setting: Setting) -> None:
    assert acknowledged(await setting.push("a"))
    assert acknowledged(await setting.push("b", port=1))
    assert [push.data["uuid"] for push in setting.received] == ["a", "b"]
    assert setting.traffic.acknowledged == {"a", "b"}
    assert (setting.traffic.pushes, setting.traffic.resends) == (2, 0)
    assert setting.traffic.defects == []


async def test_a_push_of_an_event_seen_before_is_counted_as_a_resend(setting: Setting) -> None:
    await setting.push("a")
    await setting.push("a")
    assert (setting.traffic.pushes, setting.traffic.resends) == (2, 1)


@pytest.mark.parametrize(
    ("kind", "arrives"),
    [
        (Kind.REFUSE, 0), (Kind.HANG, 0), (Kind.RESET, 0), (Kind.TRUNCATE, 0), (Kind.LOSE_REPLY, 1),
        (Kind.CUT_REPLY, 1), (Kind.IMPOSTOR, 0),
    ],
)  # fmt: skip
async def test_a_push_that_is_broken_is_not_acknowledged(setting: Setting, kind: Kind, arrives: int) -> None:
    await setting.line.break_(kind, 0.5)
    answer = await setting.push("a", timeout_s=0.2)
    assert not acknowledged(answer)
    assert setting.traffic.acknowledged == set()
    assert len([push for push in setting.received if push.event is not None]) == arrives
    assert setting.traffic.met[kind] >= 1


@pytest.mark.parametrize(("kind", "arrives"), [(Kind.DELAY, 1), (Kind.DUPLICATE, 2), (Kind.THROTTLE, 1)])
async def test_a_push_that_is_only_delayed_or_doubled_is_acknowledged(
    setting: Setting, kind: Kind, arrives: int
) -> None:
    await setting.line.break_(kind, 0.1)
    assert acknowledged(await setting.push("a"))
    assert [push.data["uuid"] for push in setting.received] == ["a"] * arrives
    assert setting.traffic.met[kind] == 1


@pytest.mark.parametrize("kind", LINE)
async def test_a_healed_line_carries_again_on_the_same_port(setting: Setting, kind: Kind) -> None:
    await setting.line.break_(kind, 0.1)
    broken = asyncio.create_task(setting.push("a", timeout_s=5.0))
    async with asyncio.timeout(30):
        while not setting.traffic.met[kind]:  # noqa: ASYNC110 (a counter has no event)
            await asyncio.sleep(0.005)
    await setting.line.heal()
    await broken
    assert acknowledged(await setting.push("b"))


@pytest.mark.parametrize("reply", IMPOSTORS)
async def test_no_impostor_is_an_acknowledgement_by_the_page(reply: bytes) -> None:
    async with TinyReceiver(lambda push: reply) as receiver:
        target = Target.parse(receiver.url)
        async with Connection.open(target, timeout_s=2) as connection:
            await connection.send(*request(target, b"{}"))
            answer = await connection.read()
    assert isinstance(answer, Response)
    assert not acknowledged(answer)


async def test_a_receiver_that_is_down_looks_like_a_reset(setting: Setting) -> None:
    gone = Proxy(lambda: Target.parse("http://127.0.0.1:1/Record"), setting.traffic)
    await gone.open(1)
    answer = await Setting(gone, setting.traffic, []).push("a")
    assert isinstance(answer, NoResponse)
    await gone.close()
    assert setting.traffic.defects == []


async def test_steps_of_an_alarm_that_come_too_late_are_noted_and_repetitions_are_not(
    setting: Setting,
) -> None:
    for status in (1, 2, 1, 2, 3, 2):
        await setting.send(json.dumps({"type": 1, "data": {"trace_id": "t", "status": status}}).encode())
    assert setting.traffic.disordered == []
    for status in (2, 1):
        await setting.send(json.dumps({"type": 1, "data": {"trace_id": "u", "status": status}}).encode())
    assert setting.traffic.disordered == ["u/1"]


async def test_what_goes_wrong_in_the_line_itself_is_noted(setting: Setting) -> None:
    await setting.send(b'{"type":0,"data":5}')
    assert setting.traffic.defects
