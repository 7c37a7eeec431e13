"""Prepare requests beforehand, so that one process can send more than ten thousand different events a second.

Rules:

- A request depends only on the seed, the day, the door and the number. The same plan sends the same bytes.
- No two requests are the same event. `uuid`, `timestamp`, `recognizeScore` and the mark in the portrait's base64 (of an
  alarm: `trace_id` and `event_time`) are cut out of the bytes and filled in for each number. Each has the same width
  for every number, so that the head with its `Content-Length` is made once.
- The base64 of a portrait is kept once for the whole fleet. A request is one `join` of pieces.

Flow: a passage (`gatepost.simulator.world.passages`) with placeholder values → `dialects.parts` → cut at these values →
`RequestTemplate`; `RequestSeries.request(number)` picks a template and fills it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pybase64
from msgspec import Struct

from gatepost.simulator.world import dialects, passages
from gatepost.simulator.world.passages import Door, Moment
from gatepost.simulator.world.people import Site
from gatepost.simulator.world.portraits import MARK_AT, MARK_BYTES
from gatepost.simulator.world.rng import rng
from gatepost.simulator.world.scenario import Plan
from gatepost.terminal.push.target import Target, header_lines, request_head
from gatepost.wire import Alarm, Record
from gatepost.wire.codes import AlarmCode, AlarmStatus

TEMPLATES = 4
"""Templates per door. All other differences are filled in."""

ALARM_EVERY = 100
"""Events of a door with alarms, of which the last two are one alarm: it occurs and is cleared."""

_UUID = "00000000-0000-4000-8000-0123456789ab"
_TRACE = "SPX-0000000000000-000-tracer"
_SCORE = 0.912345678012345  # 17 characters, like those that are filled in
_TIME = datetime(2001, 9, 9, 1, 46, 39, tzinfo=UTC)  # 999999999 + 1 h below: ten digits that nothing else has
_MOMENT = _TIME + timedelta(hours=1)
_HOLES = re.compile(
    rb"(?P<uuid>%s)|(?P<trace>%s)|(?P<score>%s)|(?P<millis>%d)|(?P<time>%d)|(?P<mark>~mark~)"
    % (
        _UUID.encode(),
        _TRACE.encode(),
        repr(_SCORE).encode(),
        int(_MOMENT.timestamp() * 1000),
        int(_MOMENT.timestamp()),
    )
)
_MARK_TEXT = MARK_AT * 4 // 3
_MARK_WIDTH = MARK_BYTES * 4 // 3
_SECONDS = 10_000_000  # one event a second; then the times start again, or they would need one more digit
_LONG = 4096
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # odd, so that multiples of it are different modulo 2^64


class RequestTemplate(Struct, frozen=True):
    """The pieces of a request, and the values between them: pieces[0], hole[0], pieces[1], …

    Nothing is filled into a hole without a name. It only separates a shared piece from the next one.
    """

    pieces: tuple[bytes, ...]
    holes: tuple[str, ...]

    def fill(self, values: dict[str, bytes]) -> bytes:
        parts = [self.pieces[0]]
        for hole, piece in zip(self.holes, self.pieces[1:], strict=True):
            if hole:
                parts.append(values[hole])
            parts.append(piece)
        return b"".join(parts)


class RequestSeries:
    """The endless series of one door's requests to one address. Numbers count from 0."""

    def __init__(self, plan: Plan, site: Site, door: Door, target: Target, *, gallery: ImageTexts) -> None:
        self._lots = rng("series", plan.seed, plan.day.date(), door.serial).getrandbits(64)
        self._begin = int((plan.begins + door.clock_error).timestamp())
        self._index = door.index
        self._head = header_lines(
            dialects.headers(
                door.firmware, serial=door.serial, model=door.model, at=plan.begins + door.clock_error
            )
        )
        self._target = target
        self._gallery = gallery
        self._door = door
        self._passages = [self._passage(plan, site, number) for number in range(TEMPLATES)]
        self._alarms = (
            [self._alarm(plan, site, status) for status in (AlarmStatus.OCCURRED, AlarmStatus.CLEARED)]
            if dialects.speaks_alarms(door.firmware) and plan.alarms > 0
            else []
        )

    def request(self, number: int) -> bytes:
        """Return the complete HTTP request of event `number`."""
        place = number % ALARM_EVERY - (ALARM_EVERY - 2)
        if self._alarms and place >= 0:
            return self._alarms[place].fill(self._alarm_values(number - place, number))
        return self._passages[number % TEMPLATES].fill(self._values(number))

    def _values(self, number: int) -> dict[str, bytes]:
        mixed = (self._lots + number * _GOLDEN) & _MASK
        return {
            "uuid": b"%08x-%04x-4%03x-8%03x-%04x%08x"
            % (
                mixed >> 32,
                mixed >> 16 & 0xFFFF,
                mixed >> 4 & 0xFFF,
                self._index & 0xFFF,
                mixed & 0xF,
                number,
            ),
            "score": b"0.9%09d12345" % (number * 387420489 % 1_000_000_000),
            "time": b"%d" % (self._begin + number % _SECONDS),
            "mark": b"%016x" % mixed,  # hexadecimal digits are base64 as well
        }

    def _alarm_values(self, first: int, number: int) -> dict[str, bytes]:
        began = self._begin + first % _SECONDS
        letters = b"%06x" % ((self._lots + first * _GOLDEN) & 0xFFFFFF)
        return {
            "trace": b"SPX-%d%03d-%03d-%b" % (began, first % 1000, self._index % 1000, letters),
            "millis": b"%d%03d" % (began + 60 * (number - first), first % 1000),
            "mark": b"%016x" % ((self._lots + number * _GOLDEN) & _MASK),
        }

    def _passage(self, plan: Plan, site: Site, number: int) -> RequestTemplate:
        moment = Moment(plan.seed, plan.day, plan.begins + timedelta(hours=2), number)
        record = passages.passage(moment, site, self._door, image=plan.images)
        marked = msgspec.structs.replace(
            record, uuid=record.uuid and _UUID, score=_SCORE, recorded_at=_MOMENT, serial=self._door.serial
        )
        return self._template(marked)

    def _alarm(self, plan: Plan, site: Site, status: AlarmStatus) -> RequestTemplate:
        moment = Moment(plan.seed, plan.day, plan.begins, 0)
        life = (AlarmCode.DOOR_HELD, status, plan.begins)
        alarm = passages.alarm(moment, site, self._door, life=life, image=plan.images)
        return self._template(msgspec.structs.replace(alarm, trace_id=_TRACE, event_time=_MOMENT))

    def _template(self, event: Record | Alarm) -> RequestTemplate:
        head, tail = dialects.parts(event, self._door.firmware, trailing_comma=self._door.index % 5 == 4)
        body = _cut([head, *self._gallery.text(event.image), tail])
        values = self._values(0) if isinstance(event, Record) else self._alarm_values(0, 0)
        before = request_head(self._target, None, self._head, len(body.fill(values)))
        return RequestTemplate((before + body.pieces[0], *body.pieces[1:]), body.holes)


class ImageTexts:
    """The base64 of every portrait in use, once, without its mark."""

    def __init__(self) -> None:
        self._rest: dict[bytes, bytes] = {}

    def text(self, image: bytes | None) -> tuple[bytes, ...]:
        """Return pieces of an image's base64; `~mark~` stands for its mark, if it has one."""
        text = pybase64.b64encode(image or b"")
        if not image or image[20:22] != b"\xff\xfe":
            return (text,)
        rest = text[_MARK_TEXT + _MARK_WIDTH :]
        return text[:_MARK_TEXT], b"~mark~", self._rest.setdefault(rest, rest)


def _cut(parts: Sequence[bytes]) -> RequestTemplate:
    """Cut `parts` at the placeholder values. Long parts have none and are shared as they are."""
    pieces, holes = [b""], list[str]()
    for part in parts:
        if len(part) >= _LONG:
            holes.append("")
            pieces.append(part)
            holes.append("")
            pieces.append(b"")
            continue
        at = 0
        for hole in _HOLES.finditer(part):
            assert hole.lastgroup is not None  # noqa: S101 - every alternative of the expression has a name
            pieces[-1] += part[at : hole.start()]
            holes.append(hole.lastgroup)
            pieces.append(b"")
            at = hole.end()
        pieces[-1] += part[at:]
    return RequestTemplate(tuple(pieces), tuple(holes))
