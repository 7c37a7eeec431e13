"""How long does the first page of any question take with 2 million records: each filter, any two, names, attendance?

SQLite and PostgreSQL, each a receiver of its own, asked over HTTP by one client. Every filter of the API is asked for
values that most records have, that a few old ones have and that none has, alone and with every other filter, from the
newest on and from the oldest on; what counts is the slowest question, by the median of `rounds` answers, after the ten
slowest were asked anew. In order of arrival is for those who follow the stream and has no target. *Reading all* is what
a page costs where no index helps: plain SQL on the same database, in the same minute. Below a tenth of the scale only
some of the pairs are asked.
"""

import http.client
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

from benchmarks import varied
from benchmarks.bench import Bench
from benchmarks.programs import BenchmarkError, free_port, gatepost, postgres, start
from benchmarks.report import Row
from benchmarks.varied import RARE_JOB, RARE_NAME, RARE_PERSON, RECORDS, Varied
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.store import SqliteStore

ONE_MS, TWO_MS, TEXT_MS, MONTH_MS, DAY_MS = 50, 150, 150, 1_000, 200
PASSWORD = "a password of the benchmark"  # noqa: S105 - of a receiver that lives for a minute
SETTINGS = {
    "GATEPOST_ADMIN_PASSWORD": PASSWORD,
    # The stock is a year that arrives at once. To delete its old images takes minutes, and slows every question down.
    "GATEPOST_RETENTION_IMAGES_DAYS": "0",
    "GATEPOST_RETENTION_STRANGER_IMAGES_DAYS": "0",
}
AGAIN = 10
LEAST = 5_000
"""Records, at the smallest scale: of fewer there are not all kinds."""
READ_ALL = "SELECT id, at_ms FROM records WHERE score > 2 ORDER BY at_ms DESC LIMIT 100"
"""No index has the score, and no record has such a one."""


@dataclass(frozen=True)
class Question:
    """An address, and whether its list must be empty (``None``: it is none, or may be either)."""

    path: str
    empty: bool | None = None


def run(bench: Bench) -> list[Row]:
    """Fill a receiver in each database, and ask both everything."""
    return [*on_sqlite(bench), *on_postgres(bench)]


def on_sqlite(bench: Bench) -> list[Row]:
    """Ask a receiver that keeps its events in SQLite."""
    folder = bench.folder("queries-sqlite")
    with closing(SqliteStore.open(folder / "data")) as store:
        known = _stock(bench, store)

    def read_all() -> None:
        with closing(sqlite3.connect(folder / "data" / "gatepost.db")) as db:
            db.execute(READ_ALL).fetchall()

    rows = _ask_receiver(bench, folder, known, "SQLite", read_all)
    shutil.rmtree(folder)
    return rows


def on_postgres(bench: Bench, *, afterwards: Callable[[str], list[Row]] | None = None) -> list[Row]:
    """Ask a receiver that keeps its events in PostgreSQL. `afterwards` is told the database's address."""
    import psycopg

    folder = bench.folder("queries-postgres")
    with postgres(folder / "pg") as url:
        with closing(PostgresStore.open(url)) as store:
            known = _stock(bench, store)

        def read_all() -> None:
            with psycopg.connect(url) as db:
                db.execute(READ_ALL).fetchall()

        with psycopg.connect(url, autocommit=True) as db:
            db.execute("VACUUM ANALYZE")  # as the server does by itself within the hour
        rows = _ask_receiver(bench, folder, known, "PostgreSQL", read_all, "--database", url)
        if afterwards is not None:
            rows += afterwards(url)
    shutil.rmtree(folder)
    return rows


def _stock(bench: Bench, store: SqliteStore | PostgresStore) -> Varied:
    began, count = time.perf_counter(), _count(bench)
    bench.say(f"storing {count:,} records")
    known = varied.stock(store, count)
    varied.crowd(store)
    bench.say(f"  {time.perf_counter() - began:.0f} s")
    return known


def _count(bench: Bench) -> int:
    return max(LEAST, bench.sized(RECORDS))


def _ask_receiver(
    bench: Bench, folder: Path, known: Varied, database: str, read_all: Callable[[], None], *own: str
) -> list[Row]:
    port = free_port()
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}", *own)
    with start("receiver", command, folder=folder, port=port, env=SETTINGS):
        return ask(bench, port, known, what=f"{database}, {_count(bench):,} records", read_all=read_all)


def ask(bench: Bench, port: int, known: Varied, *, what: str, read_all: Callable[[], None]) -> list[Row]:
    """Ask the receiver on ``port`` everything; a row for each kind of question.

    Raises BenchmarkError where an answer is no 200, or a list is empty that must not be.
    """
    rows = []
    with closing(_Client(port)) as client:
        for name, target, questions in _kinds(client, known, every=1 if bench.scale >= 0.1 else 20):
            worst, path, count = _slowest(bench, client, questions)
            bench.say(f"  {what}: {name}: {worst:.0f} ms, the slowest of {count}: {path}")
            label = f"{what}: {name}, the slowest of {count}: `{path.removeprefix('/api/v1/')}`"
            rows.append(Row(what=label, value=worst, unit="ms", target=target, at_most=True))
    all_ms = median(_timed(read_all) for _ in range(bench.rounds))
    against = Row(
        what=f"{what}: one filter, the slowest", value=rows[0].value, unit="ms", peer="reading all",
        peer_value=all_ms, at_most=True,
    )  # fmt: skip
    return [*rows, against]


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return (time.perf_counter() - began) * 1000


def _slowest(bench: Bench, client: "_Client", questions: list[Question]) -> tuple[float, str, int]:
    """The time of the slowest question, the question, and out of how many."""

    def time_of(question: Question) -> float:
        return median(client.ask(question) for _ in range(bench.rounds))

    client.ask(questions[0])
    times = sorted(((time_of(question), question) for question in questions), key=lambda one: -one[0])
    again = [(time_of(question), question.path) for _, question in times[:AGAIN]]
    worst, path = max(again)
    return worst, path, len(questions)


class _Client:
    """One connection of somebody who has logged in."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
        body = json.dumps({"name": "admin", "password": PASSWORD})
        self._connection.request("POST", "/api/v1/session", body, self._headers)
        reply = self._connection.getresponse()
        reply.read()
        cookies = reply.headers.get_all("set-cookie")
        if not cookies:
            raise BenchmarkError(f"the login was answered {reply.status}")
        own = "; ".join(one.partition(";")[0] for one in cookies)
        self._headers = {"Cookie": own, "Sec-Fetch-Site": "same-origin"}

    def ask(self, question: Question) -> float:
        """The milliseconds from the question to the last byte of the answer."""
        began = time.perf_counter()
        self._connection.request("GET", question.path, headers=self._headers)
        reply = self._connection.getresponse()
        body = reply.read()
        spent = time.perf_counter() - began
        if reply.status != 200:
            raise BenchmarkError(f"{question.path} was answered {reply.status} {body[:200]!r}")
        if question.empty is not None and (not json.loads(body)["items"]) is not question.empty:
            raise BenchmarkError(f"{question.path} {'has' if question.empty else 'has no'} items")
        return spent * 1000

    def make(self, path: str, content: dict[str, object]) -> None:
        """Make something; it takes no part in what is measured."""
        headers = {**self._headers, "Content-Type": "application/json"}
        self._connection.request("POST", f"/api/v1/{path}", json.dumps(content), headers)
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.status != 201:
            raise BenchmarkError(f"a new entry of {path} was refused: {reply.status} {body[:200]!r}")

    def close(self) -> None:
        self._connection.close()


def _kinds(
    client: "_Client", known: Varied, *, every: int
) -> Iterator[tuple[str, int | None, list[Question]]]:
    filters = _record_filters(known)
    yield "one filter", ONE_MS, [*_records_by_one(filters), *_other_lists(known)]
    yield "two filters", TWO_MS, list(_records_by_two(filters))[::every]
    yield "by arrival, one filter", None, list(_records_by_one(filters, orders=("received",)))
    yield "names and numbers", TEXT_MS, list(_texts())
    month = {"month": known.month, "limit": varied.PEOPLE}
    attendance = [Question(_address("attendance", more | month), False) for more in ({"group": "3"}, {})]
    yield f"a month's attendance of {varied.PEOPLE:,} people", MONTH_MS, attendance
    yield "a month's attendance on the console", None, [Question(f"/attendance?month={known.month}")]
    _plan(client, known)
    yield f"a month's attendance of {varied.PEOPLE:,} people with schedules", MONTH_MS, attendance
    inside = [
        Question(_address("inside", {"limit": 1000}), False),
        Question("/inside"),
    ]
    yield f"who is inside, of {varied.CROWD:,} people", DAY_MS, inside
    pages = [Question(_address("statistics", {"day": known.day})), Question(_console_day(known))]
    yield "a day's statistics", DAY_MS, pages


def _plan(client: "_Client", known: Varied) -> None:
    """Give everyone a schedule, with a holiday in the month."""
    schedule = {"name": "Office", "start": "08:00", "end": "17:00", "grace_min": 5, "break_min": 60}
    client.make("schedules", schedule)
    client.make("holidays", {"day": f"{known.month}-10", "name": "Founding"})
    since = {"schedule_id": 1, "since": f"{known.begins:%Y-%m-%d}"}
    client.make("assignments", since | {"group": varied.STAFF.name})


def _console_day(known: Varied) -> str:
    return f"/statistics?day={known.day}"


Values = dict[str, tuple[object, bool | None]]
"""What to ask a filter for, and whether nothing fits."""


def _record_filters(known: Varied) -> dict[str, Values]:
    def at(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    day, few = timedelta(days=1), 40 * known.step
    return {
        "since": {
            "common": (at(known.ends - 30 * day), False),
            "rare": (at(known.ends - few), False),
            "none": (at(known.ends + day), True),
        },
        "until": {
            "common": (at(known.ends - 30 * day), False),
            "rare": (at(known.begins + few), False),
            "none": (at(known.begins - day), True),
        },
        "terminal": {
            "common": (known.common_terminal, False),
            "rare": (known.rare_terminal, False),
            "none": (known.silent_terminal, True),
            "unknown": ("NOBODY", True),
        },
        "without_serial": {"none": ("true", True)},
        "site_id": {
            "common": (known.common_site, False),
            "rare": (known.rare_site, False),
            "none": (known.silent_site, True),
        },
        "person": {"common": ("000002", False), "rare": (RARE_PERSON, False), "none": ("nobody", True)},
        "name": {
            "common": ("伟", False),
            "every": ("0", False),
            "rare": (RARE_NAME, False),
            "none": ("nobody", True),
        },
        "job_number": {"common": ("J00002", False), "rare": (RARE_JOB, False), "none": ("nobody", True)},
        "recognition_type": {"common": (1, False), "rare": (5, False), "none": (4, True), "unknown": (99, True)},
        "passed": {"common": ("true", False), "rare": ("false", False)},
        "abnormal_type": {
            "common": (0, False),
            "rare": (70001, False),
            "none": (70002, True),
            "unknown": (77777, False),
        },
        "entry_mode": {"common": (1, False), "rare": (12, False), "none": (7, True), "unknown": (99, True)},
        "has_image": {"common": ("false", False), "rare": ("true", False)},
        "strangers": {"rare": ("true", False)},
        "outside_time": {"rare": ("true", False)},
        "q": {"common": ("陈", False), "every": ("0", False), "rare": (RARE_NAME, False), "none": ("no hit", True)},
    }  # fmt: skip


def _address(what: str, values: dict[str, object]) -> str:
    return f"/api/v1/{what}?{urlencode(values)}"


def _records_by_one(
    filters: dict[str, Values], *, orders: tuple[str, ...] = ("newest", "oldest")
) -> Iterator[Question]:
    for order in orders:
        for name, values in filters.items():
            for value, empty in values.values():
                yield Question(_address("records", {name: value, "order": order}), empty)


def _records_by_two(filters: dict[str, Values]) -> Iterator[Question]:
    for order in ("newest", "oldest"):
        for (one, ones), (other, others) in combinations(filters.items(), 2):
            for value, empty in ones.values():
                for second, also in others.values():
                    nothing = True if empty or also else None
                    values = {one: value, other: second, "order": order}
                    yield Question(_address("records", values), nothing)


def _other_lists(known: Varied) -> Iterator[Question]:
    for name, values in {
        "state": ("open", "clear_failed", "cleared"),
        "terminal": (known.common_terminal, known.rare_terminal, known.silent_terminal),
        "acknowledged": ("true", "false"),
        "since": (f"{known.ends:%Y-%m-%d}", f"{known.begins:%Y-%m-%d}"),
        "until": (f"{known.ends:%Y-%m-%d}", f"{known.begins:%Y-%m-%d}"),
    }.items():
        yield from (Question(_address("alarms", {name: value})) for value in values)
    for name, found in {
        "q": ("陈", "0", RARE_NAME, "no hit"),
        "site_id": (known.common_site, known.rare_site, known.silent_site),
        "group": ("3", "4", "none"),
        "type": (1, 2, 5),
    }.items():
        yield from (Question(_address("people", {name: value})) for value in found)
    for path in (
        "records",
        "alarms",
        "people",
        "people/strangers",
        "people/outside-time",
        "audit",
        "terminals",
    ):
        yield Question(f"/api/v1/{path}", False if path != "audit" else None)


def _texts() -> Iterator[Question]:
    """Chinese and Latin names, parts of them, numbers, their beginnings, and what nobody is called."""
    hits = (
        "陈",
        "王伟",
        RARE_NAME,
        "Anna",
        "nna 00",
        "Zoë",
        "V00012",
        "V",
        "0",
        "300000",
        "1101011990",
        "J00123",
    )
    for text in hits:
        yield Question(_address("records", {"q": text}), None)
        yield Question(_address("people", {"q": text}), None)
    for text in ("no hit", "没有这个人", "99999999", "%", "_"):
        yield Question(_address("records", {"q": text}), True)
        yield Question(_address("people", {"q": text}), True)
