"""A probe keeps what it sent and received."""

from tests.conformance.tiny_receiver import TinyReceiver

from gatepost.conformance.raw_http import Target
from gatepost.conformance.receiver.probe import Probe


async def test_exchanges_are_handed_over_once_and_many_are_shortened() -> None:
    async with TinyReceiver() as receiver:
        probe = Probe(Target.parse(receiver.url))
        for _ in range(20):
            await probe.push(probe.samples.record())
    shown = probe.collect()
    assert len(shown) == 12
    assert "POST /Record" in shown[0].sent
    assert '"code": 200' in shown[0].received
    assert probe.collect() == ()
