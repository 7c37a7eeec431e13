"""Requests and bodies with the faults of the field in them, one event in twenty.

Rules:
- Which events, and which fault, depend on the seed, the day and the event, on nothing else: what is sent again is the
  same bytes.
- The fast engine sends every class. The faithful one sends those that need no Content-Type of their own and one event
  a body, for its terminals' pusher is the real one.

Flow: `Faults.of_request` (fast), `Faults.of_body` (faithful) → `gatepost.dialect_faults`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import blake2b

from msgspec import Struct

from gatepost.dialect_faults.classes import CLASSES, MOST, spoiled
from gatepost.dialect_faults.faults import Body
from gatepost.dialect_faults.writing import joined
from gatepost.simulator.world.rng import lots
from gatepost.simulator.world.scenario import Plan

SHARE = 0.05
"""Of the events of each terminal that are sent with a fault."""

SEVERAL = "several-events"

_JSON = b"content-type: application/json\r\n"
_LENGTH = b"content-length: "


class Faults(Struct, frozen=True):
    """The faults of one door in one plan."""

    plan: Plan
    serial: str

    def lots_of(self, number: int | str) -> random.Random | None:
        """Return the lots of a fault, if event `number` has one."""
        rand = lots("dialect fault", self.plan.seed, self.plan.day.date(), self.serial, number)
        return rand if rand.random() < SHARE else None

    def of_body(self, body: bytes) -> tuple[str, bytes] | None:
        """Return the class and the spoiled body, if this body has a fault that needs no header."""
        rand = self.lots_of(blake2b(body, digest_size=8).hexdigest())
        found = None if rand is None else spoiled(body, rand, headers=False)
        return None if found is None else (found[0], found[1].content)


def is_several(rand: random.Random) -> bool:
    """Draw whether this fault is several events in one body, as likely as any other class."""
    return rand.random() < 1 / len(CLASSES)


def of_requests(requests: Sequence[bytes], rand: random.Random) -> tuple[str, bytes]:
    """Return the class and one request with a fault; of several requests, one with all their events."""
    head, _, body = requests[0].partition(b"\r\n\r\n")
    if len(requests) > 1:
        bodies = [request.partition(b"\r\n\r\n")[2] for request in requests[:MOST]]
        return SEVERAL, _request(head, joined(bodies, lines=rand.random() < 0.5))
    found = spoiled(body, rand)
    return ("", requests[0]) if found is None else (found[0], _request(head, found[1]))


def _request(head: bytes, body: Body) -> bytes:
    before, _, _ = head.rpartition(_LENGTH)
    if body.content_type is not None:
        kind = f"content-type: {body.content_type}\r\n".encode() if body.content_type else b""
        before = before.replace(_JSON, kind)
    return b"%b%b%d\r\n\r\n%b" % (before, _LENGTH, len(body.content), body.content)
