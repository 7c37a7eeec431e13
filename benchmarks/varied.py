"""Two million records of every kind, as after a year of three sites: for whoever measures what is asked about them.

What each value is like decides what a filter costs, so there is everything: values that nearly every record has, that a
few old ones have, that none has. A terminal that is held, one that has hardly sent anything; names in Chinese and in
Latin letters; visitors with another time at each visit; strangers; alarms in every state. Written by the store itself.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from gatepost.journal.places import Place
from gatepost.store.base import BaseStore
from gatepost.store.interface import AlarmQuery, Arrival, NewTerminal
from gatepost.wire import Alarm, Record, User, encode, key, key_digest
from gatepost.wire.codes import AbnormalType, AlarmCode, AlarmStatus, EntryMode, RecognitionType, UserType
from gatepost.wire.events import Dialect, Group

RECORDS = 2_000_000
PEOPLE = 1_000
CROWD = 5_000
"""People who came in within the last hours, besides."""
TERMINALS = 64
DAYS = 365
BATCH = 2_000

STAFF, GUESTS = Group("3", "员工"), Group("4", "访客")
RARE_NAME, RARE_PERSON, RARE_JOB = "慕容雪", "P0000", "J00000"
FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平"
LATIN = ("Anna", "Jonas", "Mehmet", "Sofia", "Wei", "Olga", "Zoë", "Björn")
WAYS_IN = (
    *(EntryMode.CARD, EntryMode.QR, EntryMode.FACE_AND_CARD),
    *(EntryMode.ID_CARD, EntryMode.FACE_AND_PIN, EntryMode.CARD_AND_PIN),
)
WHY_NOT = (
    *(AbnormalType.NOT_ALLOWED_NOW, AbnormalType.CARD_MISMATCH, AbnormalType.ID_MISMATCH),
    *(AbnormalType.INVALID_CARD, AbnormalType.INVALID_QR, AbnormalType.TEMPERATURE),
)
UUID_MARK = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Varied:
    """What is stored, as far as a question has to know it."""

    begins: datetime
    ends: datetime
    step: timedelta
    """From one record to the next."""
    common_terminal: str
    rare_terminal: str
    silent_terminal: str
    common_site: int
    rare_site: int
    silent_site: int
    month: str
    """A whole one, of which everything is there."""
    day: str


def stock(
    store: BaseStore, count: int, *, now: float | None = None, rand: random.Random | None = None
) -> Varied:
    """Store ``count`` records and a hundredth as many alarms, and answer what to ask for."""
    rand = rand or random.Random(5)
    ends = int(now or time.time())
    begins = ends - DAYS * 86_400
    terminals = _terminals(store, ends * 1000)
    arrivals = _arrivals(count, begins, terminals, rand)
    while batch := list(islice(arrivals, BATCH)):
        store.write(batch)
    for row in store.alarms(AlarmQuery(limit=100)).items[::5]:
        store.acknowledge_alarm(row.id, by="benchmark", note="", now_ms=ends * 1000)
    sites = {site.name: site.id for site in store.sites()}
    last = datetime.fromtimestamp(ends, UTC)
    month = (last.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    return Varied(
        begins=datetime.fromtimestamp(begins, UTC),
        ends=last,
        step=timedelta(days=DAYS) / count,
        common_terminal="GATE0001",
        rare_terminal=f"GATE{TERMINALS - 1:04d}",
        silent_terminal=f"GATE{TERMINALS:04d}",
        common_site=min(sites.values()),
        rare_site=sites["仓库"],
        silent_site=sites["Nowhere"],
        month=month,
        day=f"{last - timedelta(days=3):%Y-%m-%d}",
    )


def crowd(store: BaseStore, *, now: float | None = None, rand: random.Random | None = None) -> None:
    """Let :data:`CROWD` more people come in during the last eight hours."""
    rand = rand or random.Random(7)
    ends = int(now or time.time())
    terminals = [row.id for row in store.terminals() if row.serial and row.state != "held"][: TERMINALS - 2]
    arrivals = (_came_in(n, ends - 8 * 3600 * (CROWD - n) // CROWD, terminals, rand) for n in range(CROWD))
    while batch := list(islice(arrivals, BATCH)):
        store.write(batch)


def _came_in(n: int, at: int, terminals: list[int], rand: random.Random) -> Arrival:
    user = User(
        user_id=f"C{n:05d}",
        name=f"{FAMILY[n % 20]}{GIVEN[n // 20 % 20]}{n:04d}",
        type=int(UserType.EMPLOYEE),
        job_number=f"K{n:05d}",
        groups=(Group(str(100 + n % 40), f"部门 {n % 40}"),),
    )
    record = Record(
        serial=None,
        uuid=f"{n:08x}-0000-4000-9000-{rand.getrandbits(48):012x}",
        recorded_at=datetime.fromtimestamp(at, UTC),
        recognition_type=int(RecognitionType.EMPLOYEE),
        passed=True,
        abnormal_type=int(AbnormalType.NONE),
        entry_mode=int(EntryMode.FACE),
        mode=3,
        user=user,
    )
    return Arrival(
        terminal_id=rand.choice(terminals),
        key=key_digest(key(record)),
        event=record,
        received_at_ms=(at + 1) * 1000,
        original=_original(record),
        dialect=Dialect.V1_2_1,
        peer="127.0.0.1",
    )


def _terminals(store: BaseStore, now_ms: int) -> list[int]:
    """Ids: the last but one is of another site and rarely heard, the one before is held; the last has sent nothing."""
    store.create_site("Nowhere", "UTC", now_ms=now_ms)
    depot = store.create_site("仓库", "Asia/Shanghai", now_ms=now_ms).id
    new = [NewTerminal(f"GATE{n:04d}", now_ms) for n in range(TERMINALS + 1)]
    found = [row.id for row in store.ensure_terminals(new)]
    store.update_terminal(found[-2], site_id=depot)
    store.update_terminal(found[-3], state="held")
    return found


_PACK = "people-20240506-1714996800000-0123abcd-records-000001.pack"
"""Questions read no image, so there are only places."""


def _arrivals(count: int, begins: int, terminals: list[int], rand: random.Random) -> Iterator[Arrival]:
    step = DAYS * 86_400 / count
    staff = [_employee(n, rand) for n in range(PEOPLE)]
    for n in range(count):
        at = begins + n * step
        record = _record(n, count, at, staff, rand)
        place = _place(n, count, rand)
        yield Arrival(
            terminal_id=terminals[place],
            key=key_digest(key(record)),
            event=record,
            received_at_ms=int((at + 1) * 1000),
            original=_original(record),
            image=None if record.image is None else Place(_PACK, 1024 + 4096 * n, 4096, rand.randbytes(32)),
            dialect=Dialect.V1_2_1,
            peer="127.0.0.1",
        )
        if n % 100 == 50:
            yield from _alarm(n, at, terminals[place], rand)


def _place(n: int, count: int, rand: random.Random) -> int:
    """Which terminal: the rare one a few times at the beginning, the held one now and then."""
    if n < 40:
        return TERMINALS - 1
    return TERMINALS - 2 if n % 10_000 == 9_000 else rand.randrange(TERMINALS - 2)


def _employee(n: int, rand: random.Random) -> User:
    chinese = f"{rand.choice(FAMILY)}{rand.choice(GIVEN)}{rand.choice(GIVEN)}"
    name = f"{rand.choice(LATIN)} {n:04d}" if n % 5 == 0 else chinese
    return User(
        user_id=f"{n + 1:06d}",
        name=name,
        type=int(UserType.EMPLOYEE),
        job_number=f"J{n + 1:05d}",
        ic_number=f"{n + 3_000_000_000}",
        groups=(STAFF,),
    )


def _visitor(n: int, at: float, rand: random.Random) -> User:
    """One of some thousand, with the time of this visit; one in fifty comes outside of it."""
    begins = datetime.fromtimestamp(int(at) // 3600 * 3600, UTC)
    if n % 50 == 0:
        begins += timedelta(days=1)
    who = n % 5_000
    return User(
        user_id=f"V{who:05d}",
        name=f"{FAMILY[who % 20]}{GIVEN[who // 20 % 20]}{who:04d}",
        type=int(UserType.VISITOR),
        id_number=f"11010119900101{who:04d}",
        guest_from=begins,
        guest_until=begins + timedelta(hours=8),
        groups=(GUESTS,),
    )


def _record(n: int, count: int, at: float, staff: list[User], rand: random.Random) -> Record:
    kind, user = RecognitionType.EMPLOYEE, staff[rand.randrange(PEOPLE)]
    passed: bool | None = True
    abnormal, entry = int(AbnormalType.NONE), int(EntryMode.FACE)
    share = rand.random()
    if n % 100 == 7:
        kind, user = RecognitionType.VISITOR, _visitor(n // 100, at, rand)
    elif share < 0.02:
        kind, user, passed = RecognitionType.STRANGER, User(), False
    elif share < 0.03:
        passed, abnormal = False, int(rand.choice(WHY_NOT))
    if rand.random() < 0.1:
        entry = int(rand.choice(WAYS_IN))
    if n < 400:  # what is rare happened long ago, so that nobody finds it by looking from the newest on
        kind, user, passed, abnormal, entry = _seldom(n, kind, user, passed, abnormal, entry)
    return Record(
        serial=None,
        uuid=f"{n:08x}-0000-4000-8000-{rand.getrandbits(48):012x}",
        recorded_at=datetime.fromtimestamp(int(at), UTC),
        recognition_type=int(kind),
        passed=passed,
        abnormal_type=abnormal,
        entry_mode=entry,
        score=0.7 + 0.3 * rand.random(),
        temperature=36.0 + rand.random(),
        mode=3,
        image=b"\xff\xd8" + n.to_bytes(8, "big") * 12 if n % 20 == 0 else None,
        user=user,
    )


def _seldom(
    n: int, kind: RecognitionType, user: User, passed: bool | None, abnormal: int, entry: int
) -> tuple[RecognitionType, User, bool | None, int, int]:
    match n % 40:
        case 1:
            kind, passed = RecognitionType.BLACKLIST, False
        case 2:
            abnormal, passed = int(AbnormalType.WRONG_PIN), False
        case 3:
            abnormal = 77_777
        case 4:
            entry = int(EntryMode.JOB_NUMBER_AND_PIN)
        case 5:
            passed = None
        case 6:
            user = User(user_id=RARE_PERSON, name=RARE_NAME, type=1, job_number=RARE_JOB, groups=(STAFF,))
        case 7:
            abnormal, kind, passed = int(AbnormalType.VISITOR_EXPIRED), RecognitionType.VISITOR, False
    return kind, user, passed, abnormal, entry


_templates: dict[tuple[str, int | None], bytes] = {}


def _original(record: Record) -> bytes:
    """As it was pushed, but for a few values: to write each anew would take longer than to store it."""
    who = (record.user.user_id if record.user else "", record.recognition_type)
    found = _templates.get(who)
    if found is None:
        found = _templates[who] = encode(
            Record(uuid=UUID_MARK, user=record.user, recorded_at=record.recorded_at)
        )
    return found.replace(UUID_MARK.encode(), (record.uuid or "").encode())


def _alarm(n: int, at: float, terminal_id: int, rand: random.Random) -> Iterator[Arrival]:
    """Most are cleared, one in fifty is open."""
    steps = [AlarmStatus.OCCURRED] if n % 5_000 == 50 else [AlarmStatus.OCCURRED, AlarmStatus.CLEARED]
    for place, status in enumerate(steps):
        moment = datetime.fromtimestamp(int(at) + 60 * place, UTC)
        step = Alarm(
            trace_id=f"T{n}", status=int(status), code=int(rand.choice(list(AlarmCode))), event_time=moment
        )
        yield Arrival(
            terminal_id=terminal_id,
            key=key_digest(key(step)),
            event=step,
            received_at_ms=int((at + 60 * place + 1) * 1000),
            original=encode(step),
            dialect=Dialect.V1_2_1,
            peer="127.0.0.1",
        )
