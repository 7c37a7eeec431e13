"""Requests and bodies with the faults of the field in them, one event in twenty.

Rules:

- Which events have a fault, and which one, depends only on the seed, the day and the event. An event that is sent again
  has the same bytes.
- The fast engine sends every class of faults. The faithful engine sends those that need neither a Content-Type of
  their own nor several events in a body, because its pusher is the real one.

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
from gatepost.simulator.world.rng import rng
from gatepost.simulator.world.scenario import Plan

SHARE = 0.05
"""Share of each terminal's events that have a fault."""

SEVERAL = "several-events"

_JSON = b"content-type: application/json\r\n"
_LENGTH = b"content-length: "


class Faults(Struct, frozen=True):
    """The faults of one door in one plan."""

    plan: Plan
    serial: str

    def rng_of(self, number: int | str) -> random.Random | None:
        """Return the random source of a fault, if event `number` has one."""
        rand = rng("dialect fault", self.plan.seed, self.plan.day.date(), self.serial, number)
        return rand if rand.random() < SHARE else None

    def of_body(self, body: bytes) -> tuple[str, bytes] | None:
        """Return the class and the body with the fault, if this body has one that needs no header."""
        rand = self.rng_of(blake2b(body, digest_size=8).hexdigest())
        found = None if rand is None else spoiled(body, rand, headers=False)
        return None if found is None else (found[0], found[1].content)


def is_several(rand: random.Random) -> bool:
    """Draw whether the fault is several events in one body, as likely as any other class."""
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
