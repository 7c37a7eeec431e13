"""The expected events: what was issued, what was replied, and how to recognise it again.

Rules:

- The oracle knows an event before it is sent, so no end can store an event that it does not know.
- ``ACCEPTED``: the terminal replied that the event is on disk. ``UNKNOWN``: there was no reply, because the terminal
  was killed; the event may be there or not. ``REFUSED``: the terminal promised that it is not there.
- Of an image only a digest is kept, so that memory does not grow with the images.
"""

import base64
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from msgspec import Struct

from gatepost.conformance.sample_pushes import jpeg

__all__ = ["Fate", "Issued", "Oracle", "digest", "name_of"]

LARGEST_IMAGE = 60_000


class Fate(StrEnum):
    """The terminal's reply to an event."""

    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Issued(Struct, frozen=True):
    """An event as it was handed in."""

    name: str
    terminal: int
    data: dict[str, Any]
    """Without the image."""
    image: str | None
    """A digest of the JPEG."""


class Oracle:
    """Makes events for the terminals and keeps their fates. ``now``: Unix seconds."""

    def __init__(self, rand: random.Random, now: Callable[[], float]) -> None:
        self.issued: dict[str, Issued] = {}
        self.fates: dict[str, Fate] = {}
        self._rand = rand
        self._now = now
        self._alarms: dict[int, tuple[str, int]] = {}

    def next(self, terminal: int) -> tuple[str, bytes]:
        """Return the name of a new event for that terminal, and the line to hand in."""
        roll = self._rand.random()
        if terminal in self._alarms and roll < 0.2:
            return self._alarm(terminal)
        if roll < 0.03:
            trace = f"T{terminal}-{self._rand.getrandbits(64):016x}"
            self._alarms[terminal] = (trace, 0)
            return self._alarm(terminal)
        return self._record(terminal)

    def settle(self, name: str, fate: Fate) -> None:
        """Record the terminal's reply."""
        self.fates[name] = fate

    def names(self, fate: Fate) -> set[str]:
        """Return the events of that fate."""
        return {name for name, known in self.fates.items() if known is fate}

    def _record(self, terminal: int) -> tuple[str, bytes]:
        rand = self._rand
        name = str(uuid.UUID(int=rand.getrandbits(128), version=4))
        data = {
            "uuid": name,
            "recognitionType": rand.choice((1, 1, 1, 2, 3, 5)),
            "recognizeScore": round(rand.random(), 6),
            "mask": rand.randrange(3),
            "mode": rand.randrange(10),
            "pass": rand.random() < 0.9,
            "timestamp": int(self._now()),
            "bodyTemperature": round(rand.uniform(35, 38), 1),
            "entry_mode": rand.randint(1, 12),
            "abnormal_type": rand.choice((0, 0, 0, 10001, 40001)),
            "user": {
                "name": rand.choice(("王五", "欧阳𠮷子", 'O\'Brien "Zoë"', "Nguyễn Thị Hoa")),
                "user_id": str(rand.randrange(500)),
                "job_number": str(rand.randrange(10**5)),
                "type": 1,
                "groups": [{"id": "3", "name": "测试3"}],
            },
        }
        return self._issue(name, terminal, 0, data, "rgb_image")

    def _alarm(self, terminal: int) -> tuple[str, bytes]:
        trace, status = self._alarms[terminal]
        status += 1
        self._alarms[terminal] = (trace, status)
        if status == 3:
            del self._alarms[terminal]
        data = {"trace_id": trace, "status": status, "code": 10002, "event_time": int(self._now() * 1000)}
        return self._issue(f"{trace}/{status}", terminal, 1, data, "alarm_photo")

    def _issue(
        self, name: str, terminal: int, kind: int, data: dict[str, Any], field: str
    ) -> tuple[str, bytes]:
        # Most portraits are small, to have more events. Some are as large as real ones.
        size = int(LARGEST_IMAGE * self._rand.random() ** 4)
        image = jpeg(size)[:-2] + self._rand.randbytes(16) + b"\xff\xd9" if size > 2000 else None
        self.issued[name] = Issued(name, terminal, data, None if image is None else digest(image))
        self.fates[name] = Fate.UNKNOWN
        whole = {**data, field: base64.b64encode(image).decode() if image else " "}
        return name, json.dumps({"type": kind, "data": whole}, ensure_ascii=False).encode() + b"\n"


def digest(image: bytes) -> str:
    """Return a digest that stands for an image."""
    return hashlib.blake2b(image, digest_size=16).hexdigest()


def name_of(data: dict[str, Any]) -> str:
    """Return the name of an event from its data."""
    if "uuid" in data:
        return str(data["uuid"])
    return f"{data.get('trace_id')}/{data.get('status')}"
