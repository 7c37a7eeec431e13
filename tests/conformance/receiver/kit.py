"""What the tests of the rules for receivers share: one rule held against one receiver, and receivers of a few words."""

import random
from collections.abc import Callable

from tests.conformance.tiny_receiver import TinyReceiver, refusing, reply

from gatepost.conformance.raw_http import Target
from gatepost.conformance.receiver.probe import Limits, Probe
from gatepost.conformance.receiver.rules import RULES
from gatepost.conformance.rule import Finding

BY_ID = {rule.id: rule for rule in RULES}
LIMITS = Limits(timeout_s=1.5, slow_s=0.24, continue_s=0.1)
"""For receivers that have to fail: those that hang are not waited for long, and a slow machine fails them too."""
PATIENT = Limits(timeout_s=15.0, slow_s=0.24, continue_s=1.0)
"""For those that must not, however slow the machine is."""

Make = Callable[[], TinyReceiver]


def probe(receiver: TinyReceiver, *, limits: Limits = LIMITS, ca_file: str | None = None) -> Probe:
    return Probe(Target.parse(receiver.url), limits=limits, ca_file=ca_file, rand=random.Random(1))


async def held(id: str, receiver: TinyReceiver, *, limits: Limits = LIMITS) -> Finding:
    async with receiver:
        return await BY_ID[id].check(probe(receiver, limits=limits))


def wants(*names: str) -> TinyReceiver:
    return TinyReceiver(refusing(lambda push: any(name not in push.data for name in names)))


def saying(
    value: object, status: int = 200, *headers: str, kind: str | None = "application/json"
) -> TinyReceiver:
    return TinyReceiver(lambda push: reply(status, value, *headers, kind=kind))
