"""Draw one passage, or one alarm, at a door.

Rules:

- A passage depends only on the seed, the day, the door and its number. Two days of one seed have the same people and
  doors, and different events.
- What a door cannot do (measure a temperature, look for masks, read a card) is not in its events.
- Fields have the values of current firmware (API 1.3.0). Older firmware sends fewer, see
  `gatepost.simulator.world.dialects`.

Flow: `passage(moment, site, door)` → who (`_who`) → how it went (`_attempt`) → `Record`; `alarm(…)` → `Alarm`.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from msgspec import Struct

from gatepost.simulator.world.people import Person, Site
from gatepost.simulator.world.portraits import MARK_BYTES, stamp
from gatepost.simulator.world.rng import rng
from gatepost.wire import Alarm, Dialect, Record
from gatepost.wire.codes import (
    AbnormalType,
    AlarmCode,
    AlarmStatus,
    EntryMode,
    Mask,
    RecognitionType,
    VerificationMode,
)

SHOTS = 2
"""Different captures of one person. The stamp makes equal ones unique."""

_ENTRIES: dict[VerificationMode, tuple[tuple[EntryMode, ...], tuple[int, ...]]] = {
    VerificationMode.FACE: ((EntryMode.FACE,), (1,)),
    VerificationMode.FACE_OR_CARD: ((EntryMode.FACE, EntryMode.CARD), (85, 15)),
    VerificationMode.FACE_AND_CARD: ((EntryMode.FACE_AND_CARD,), (1,)),
    VerificationMode.FACE_OR_CARD_OR_QR_OR_PIN: (
        (EntryMode.FACE, EntryMode.CARD, EntryMode.QR, EntryMode.JOB_NUMBER_AND_PIN),
        (76, 12, 7, 5),
    ),
    VerificationMode.ID_CARD: ((EntryMode.ID_CARD,), (1,)),
    VerificationMode.FACE_OR_ID_CARD: ((EntryMode.FACE, EntryMode.ID_CARD), (80, 20)),
    VerificationMode.FACE_AND_ID_CARD: ((EntryMode.FACE_AND_ID_CARD,), (1,)),
    VerificationMode.FACE_AND_PIN: ((EntryMode.FACE_AND_PIN,), (1,)),
    VerificationMode.FACE_AND_CARD_AND_PIN: ((EntryMode.FACE_AND_CARD_AND_PIN,), (1,)),
    VerificationMode.CARD_AND_PIN: ((EntryMode.CARD_AND_PIN,), (1,)),
}
"""By verification mode: the ways in which a door is opened, and how often each."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CARD = {EntryMode.CARD, EntryMode.FACE_AND_CARD, EntryMode.CARD_AND_PIN, EntryMode.FACE_AND_CARD_AND_PIN}
_PIN = {
    EntryMode.FACE_AND_PIN,
    EntryMode.CARD_AND_PIN,
    EntryMode.FACE_AND_CARD_AND_PIN,
    EntryMode.JOB_NUMBER_AND_PIN,
}
_ID_CARD = {EntryMode.ID_CARD, EntryMode.FACE_AND_ID_CARD}
_FACELESS = {
    EntryMode.CARD,
    EntryMode.QR,
    EntryMode.CARD_AND_PIN,
    EntryMode.JOB_NUMBER_AND_PIN,
    EntryMode.ID_CARD,
}

_DESCRIPTIONS = {
    AlarmCode.TAMPER: ("enclosure opened", "设备被拆"),
    AlarmCode.FORCED_DOOR: ("door opened without permission", "门被强行打开"),
    AlarmCode.DOOR_HELD: ("door held open", "门长时间未关"),
    AlarmCode.PASSWORD_ATTACK: ("PIN wrong five times", "密码连续错误"),
    AlarmCode.FIRE: ("fire input active", "消防信号"),
}


class Door(Struct, frozen=True, kw_only=True):
    """A virtual terminal: its firmware, what it can do, and what is wrong with it.

    `clock_error` is how far its clock is ahead of the true time. `duplicates` is the share of its events that it sends
    a second time although they were acknowledged. `outages` are the spans in which it has no network.
    """

    index: int
    serial: str
    model: str
    place: str
    firmware: Dialect
    mode: VerificationMode
    checks_masks: bool
    measures_temperature: bool
    defect: str = ""
    """`no uuid`, `broken image`, or empty."""
    clock_error: timedelta = timedelta(0)
    duplicates: float = 0.0
    outages: tuple[tuple[datetime, datetime], ...] = ()

    def cut_off(self, at: datetime) -> bool:
        """Tell whether `at` (the site's true time) is in an outage."""
        return any(begin <= at < end for begin, end in self.outages)


class Moment(Struct, frozen=True):
    """Identifies a passage: the seed, midnight of the day, the true time, the number at this door."""

    seed: int
    day: datetime
    at: datetime
    number: int


def passage(
    moment: Moment, site: Site, door: Door, *, image: bool = True, worker: Person | None = None
) -> Record:
    """Return one attempt to pass `door`, as current firmware reports it. A `worker` is known and passes."""
    rand = rng("passage", moment.seed, moment.day.date(), door.serial, moment.number)
    event_id = str(uuid.UUID(int=rand.getrandbits(128), version=4))
    if worker is None and rand.random() < 0.012:
        return _button(moment, door, event_id)
    hour = (moment.at - moment.day) / timedelta(hours=1)
    kind, person = _who(rand, site, hour) if worker is None else (RecognitionType.EMPLOYEE, worker)
    entry = EntryMode.FACE
    if kind in (RecognitionType.EMPLOYEE, RecognitionType.VISITOR):
        entry = rand.choices(*_ENTRIES[door.mode])[0]
    masked = rand.random() < 0.14
    temperature = _temperature(rand) if door.measures_temperature else 0.0
    abnormal = AbnormalType.NONE
    if worker is None:
        abnormal = _abnormal(rand, kind, person, entry, hour=hour, temperature=temperature)
    allowed = kind in (RecognitionType.EMPLOYEE, RecognitionType.VISITOR) and abnormal is AbnormalType.NONE
    capture = None
    if image and not (entry in _FACELESS and rand.random() < 0.5):
        capture = _capture(moment, door, person, masked=masked, shot=rand.randrange(SHOTS))
    return Record(
        serial=door.serial,
        uuid=None if door.defect == "no uuid" else event_id,
        recorded_at=_clock(moment.at, door),
        recognition_type=int(kind),
        passed=allowed,
        entry_mode=int(entry),
        abnormal_type=int(abnormal),
        score=_score(rand, kind, entry, masked=masked),
        temperature=temperature,
        mask=int((Mask.WITH if masked else Mask.WITHOUT) if door.checks_masks else Mask.NOT_CHECKED),
        mode=int(door.mode),
        image=capture,
        user=None if kind is RecognitionType.NOT_LIVE else person.user(moment.day),
    )


def alarm(
    moment: Moment,
    site: Site,
    door: Door,
    *,
    life: tuple[AlarmCode, AlarmStatus, datetime],
    image: bool = True,
) -> Alarm:
    """Return one step of an alarm: its code, the status, and when the alarm began, which identifies it."""
    code, status, began = life
    shown = began + door.clock_error
    milliseconds = (shown - EPOCH) // timedelta(milliseconds=1)
    rand = rng("alarm", moment.seed, moment.day.date(), door.serial, milliseconds, int(code))
    tail = "".join(rand.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789", k=6))
    somebody = rand.choice(site.employees) if site.employees and rand.random() < 0.3 else None
    onlooker = rand.choice(site.people)
    description = _DESCRIPTIONS[code][rand.random() < 0.5]
    photo = None
    if image and status is AlarmStatus.OCCURRED and rand.random() < 0.5:
        photo = _stamped(onlooker.portrait(shot=0), _mark(moment, door, milliseconds))
    return Alarm(
        trace_id=f"SPX-{milliseconds}-{door.index % 1000:03d}-{tail}",
        code=int(code),
        status=int(status),
        event_time=_milliseconds(moment.at + door.clock_error),
        description=description,
        user_id=somebody.number if somebody else None,
        image=photo,
    )


def _clock(at: datetime, door: Door) -> datetime:
    return (at + door.clock_error).replace(microsecond=0)


def _milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _button(moment: Moment, door: Door, event_id: str) -> Record:
    """Return a passage by the button inside the door: no person was recognised and no image taken."""
    return Record(
        serial=door.serial,
        uuid=None if door.defect == "no uuid" else event_id,
        recorded_at=_clock(moment.at, door),
        recognition_type=0,
        passed=True,
        entry_mode=int(EntryMode.BUTTON),
        mode=int(door.mode),
    )


def _who(rand: random.Random, site: Site, hour: float) -> tuple[RecognitionType, Person]:
    kind = rand.choices(
        (
            RecognitionType.EMPLOYEE,
            RecognitionType.VISITOR,
            RecognitionType.STRANGER,
            RecognitionType.NOT_LIVE,
            RecognitionType.BLACKLIST,
        ),
        (900, 55, 36, 5, 4),
    )[0]
    visitors = site.visitors
    if kind is RecognitionType.VISITOR and rand.random() < 0.93:
        # Most visitors come within their visiting time.
        visitors = tuple(who for who in visitors if who.visit and who.visit[0] <= hour < who.visit[1])
    pool = {
        RecognitionType.VISITOR: visitors,
        RecognitionType.STRANGER: site.strangers,
        RecognitionType.BLACKLIST: site.blacklist,
    }.get(kind, site.employees)
    if not pool:
        return RecognitionType.EMPLOYEE, rand.choice(site.employees)
    return kind, rand.choice(pool)


def _abnormal(
    rand: random.Random,
    kind: RecognitionType,
    person: Person,
    entry: EntryMode,
    *,
    hour: float,
    temperature: float,
) -> AbnormalType:
    if kind is RecognitionType.VISITOR and person.visit and not person.visit[0] <= hour < person.visit[1]:
        return AbnormalType.VISITOR_EXPIRED
    if kind not in (RecognitionType.EMPLOYEE, RecognitionType.VISITOR):
        return AbnormalType.NONE
    if temperature >= 37.3:
        return AbnormalType.TEMPERATURE
    if not 6 <= hour < 23 and rand.random() < 0.3:
        return AbnormalType.NOT_ALLOWED_NOW
    lot = rand.random()
    if lot > 0.03:
        return AbnormalType.NONE
    if entry in _PIN:
        return AbnormalType.TOO_MANY_PINS if lot < 0.01 else AbnormalType.WRONG_PIN
    if entry in _CARD:
        return AbnormalType.INVALID_CARD if lot < 0.015 else AbnormalType.CARD_MISMATCH
    if entry in _ID_CARD:
        return AbnormalType.INVALID_ID_CARD if lot < 0.015 else AbnormalType.ID_MISMATCH
    if entry is EntryMode.QR:
        return AbnormalType.INVALID_QR if lot < 0.015 else AbnormalType.QR_MISMATCH
    return AbnormalType.NOT_ALLOWED_NOW if lot < 0.004 else AbnormalType.NONE


def _temperature(rand: random.Random) -> float:
    """Return a temperature in °C, to a tenth. One in some hundreds is a fever."""
    if rand.random() < 0.004:
        return round(rand.uniform(37.4, 39.2), 1)
    return round(min(37.2, max(35.2, rand.gauss(36.4, 0.25))), 1)


def _score(rand: random.Random, kind: RecognitionType, entry: EntryMode, *, masked: bool) -> float:
    """Return 0 to 1, with the digits of a single-precision number as terminals send it; 0 if no face was compared."""
    if entry in _FACELESS:
        return 0.0
    if kind is RecognitionType.STRANGER:
        return round(rand.betavariate(5, 8) * 0.8, 16)
    if kind is RecognitionType.NOT_LIVE:
        return round(rand.uniform(0.05, 0.4), 16)
    return round(1 - rand.betavariate(1.6, 16) - (0.06 if masked else 0), 16)


def _capture(moment: Moment, door: Door, person: Person, *, masked: bool, shot: int) -> bytes:
    jpeg = _stamped(person.portrait(mask=masked, shot=shot), _mark(moment, door, moment.number))
    if door.defect == "broken image" and moment.number % 3 == 0:
        # The begin of a JPEG, then other bytes: a receiver has to store it, and cannot show it.
        return jpeg[: len(jpeg) // 3] + b"\x00" * 16
    if door.defect == "broken image" and moment.number % 3 == 1:
        return jpeg[-64:]  # no JPEG at all
    return jpeg


def _mark(moment: Moment, door: Door, number: int) -> str:
    return f"{moment.seed}/{moment.day.date()}/{door.serial}/{number}"


def _stamped(jpeg: bytes, name: str) -> bytes:
    return stamp(jpeg, blake2b(name.encode(), digest_size=MARK_BYTES).digest())
