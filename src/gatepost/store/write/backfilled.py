"""Match records that are fetched from a terminal's history with those that it pushed, so that none is listed twice.

History cuts milliseconds, shows people as they are now, and may lack ids. So two records of one terminal are *alike* if
they have the same second, the same person's number and the same way in. Records that are alike may still be several: a
card that was held up twice. So they are counted.

Rules:

* A fetched record is here already if its key is, or if as many are here as there are alike in the history. It gets the
  key of one of those then, and so is a duplicate.
* What is pushed wins. A push takes the place of a fetched record that is alike and has no push yet: that record keeps
  its id, and gets the key of the push, which so is a duplicate however often it comes.
* Everything is decided in the transaction that stores the batch. In PostgreSQL one that has fetched records has
  :data:`LOCK` alone, and every other one shares it.

Nothing is read for terminals that have no fetched records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from gatepost.store.conversion.rows import person_number
from gatepost.store.conversion.values import ms
from gatepost.store.types.arrivals import Arrival
from gatepost.wire import Record

__all__ = [
    "GAP_S",
    "LOCK",
    "Driver",
    "Found",
    "Here",
    "Likeness",
    "count_between",
    "here_between",
    "how",
    "likeness",
    "matched",
    "spans",
]

LOCK = 0x6763
"""The advisory lock of PostgreSQL that a batch shares, and one with fetched records has alone."""

GAP_S = 900
"""Records that lie further apart are looked up in two spans."""


class Found(Protocol):
    """Rows that a statement found."""

    def fetchall(self) -> Sequence[Sequence[Any]]:
        """Return all of them."""

    def fetchone(self) -> Sequence[Any] | None:
        """Return the next one; ``None`` if there is none."""


class Driver(Protocol):
    """A connection of either database's driver, within the transaction."""

    def execute(self, statement: str, values: Sequence[Any], /) -> Found:
        """Run a statement."""


FETCHED = 1
"""In the column ``backfilled``: no push of it has come yet."""
SETTLED = 2
"""It was fetched, and no push may take its place: one has, or the receiver that passed it on has seen to that."""


def how(arrival: Arrival) -> int:
    """Return what the column ``backfilled`` has of a new record; 0 for one that was pushed."""
    if arrival.alike:
        return FETCHED
    return SETTLED if arrival.is_backfilled else 0


class Likeness(NamedTuple):
    """Hold what is the same of a record of one terminal, however it came."""

    second: int
    number: str
    """The person's: the first of their numbers, or else their name. Empty for a stranger."""
    entry_mode: int | None


class Here(NamedTuple):
    """A record that is stored."""

    id: int
    key: bytes
    like: Likeness


def likeness(record: Record) -> Likeness | None:
    """Return what is the same of a record; ``None`` for one without a time."""
    recorded = ms(record.recorded_at)
    if recorded is None:
        return None
    return Likeness(recorded // 1000, person_number(record.user), record.entry_mode)


def spans(seconds: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of seconds that are close together, in order."""
    begin = end = None
    for second in sorted(seconds):
        if begin is None or end is None:
            begin = second
        elif second - end > GAP_S:
            yield begin, end
            begin = second
        end = second
    if begin is not None and end is not None:
        yield begin, end


_JOIN = "LEFT JOIN identities AS i ON i.id = r.identity_id AND i.erased_at_ms IS NULL"
_SELECT = (
    "SELECT r.id, r.key, r.recorded_at_ms, r.entry_mode, i.user_id, i.job_number, i.ic_number, i.id_number, i.name"
    f" FROM records AS r {_JOIN} WHERE r.terminal_id = ? AND "
)
_BY_TIME = f"{_SELECT} r.facet_id {{}} AND r.at_ms BETWEEN ? AND ? AND r.recorded_at_ms = r.at_ms"
_FACETS = {"?": "IN (SELECT id FROM facets)", "%s": "= ANY(ARRAY(SELECT id FROM facets))"}
"""One look into the index for each facet, in the words of either database; by the mark of its parameters."""
_AHEAD = f"{_SELECT} r.recorded_at_ms <> r.at_ms AND r.recorded_at_ms BETWEEN ? AND ?"
_UNPAIRED = f"{_SELECT} r.backfilled = {FETCHED} AND r.recorded_at_ms BETWEEN ? AND ?"
_BY_KEY = "SELECT id FROM records WHERE terminal_id = ? AND key = ?"


def here_between(db: Driver, mark: str, terminal_id: int, begin_s: int, end_s: int) -> list[Here]:
    """Return the records of a terminal that have a time in a span of seconds, both included."""
    values = (terminal_id, begin_s * 1000, end_s * 1000 + 999)
    queries = (_BY_TIME.format(_FACETS[mark]), _AHEAD)
    return [
        _here(row) for query in queries for row in db.execute(query.replace("?", mark), values).fetchall()
    ]


def count_between(db: Driver, mark: str, terminal_id: int, begin_s: int, end_s: int) -> int:
    """Count the records of a terminal that have a time in a span of seconds, both included."""
    values = (terminal_id, begin_s * 1000, end_s * 1000 + 999)
    queries = (_BY_TIME.format(_FACETS[mark]), _AHEAD)
    counted = [f"SELECT count(*) FROM records AS r {query.partition(_JOIN)[2]}" for query in queries]
    rows = [row for query in counted for row in db.execute(query.replace("?", mark), values).fetchall()]
    return sum(int(row[0]) for row in rows)


def matched(
    db: Driver,
    mark: str,
    batch: Sequence[Arrival],
    has_fetched: Collection[int],
) -> Sequence[Arrival]:
    """Return a batch in which what is here already has the key of what is here.

    ``db``: the connection of the transaction, whose parameters are written as ``mark``. ``has_fetched``: terminals that
    have fetched records.
    """
    if not has_fetched and not any(arrival.alike for arrival in batch):
        return batch
    found = list(batch)
    matching = _Matching(db, mark)
    for terminal_id, places in _by_terminal(batch).items():
        fetched = [place for place in places if batch[place].alike]
        pushed = [place for place in places if not batch[place].alike]
        if terminal_id in has_fetched:
            matching.give_keys(terminal_id, [batch[place] for place in pushed])
        if fetched:
            if terminal_id not in has_fetched:
                matching.note(terminal_id)
            keys = matching.keys_of(
                terminal_id, [batch[place] for place in pushed], [batch[place] for place in fetched]
            )
            for place, key in zip(fetched, keys, strict=True):
                found[place] = replace(found[place], key=key)
    return found


def _by_terminal(batch: Sequence[Arrival]) -> Mapping[int, Sequence[int]]:
    found: dict[int, list[int]] = {}
    for place, arrival in enumerate(batch):
        if isinstance(arrival.event, Record):
            found.setdefault(arrival.terminal_id, []).append(place)
    return found


class _Matching:
    """Matches within one transaction."""

    def __init__(self, db: Driver, mark: str) -> None:
        self._db = db
        self._mark = mark

    def note(self, terminal_id: int) -> None:
        """Note that a terminal has fetched records."""
        self._do("UPDATE terminals SET backfilled = 1 WHERE id = ?", terminal_id)

    def give_keys(self, terminal_id: int, pushed: Sequence[Arrival]) -> None:
        """Give fetched records the keys of those pushes that they are."""
        likes = [likeness(one.event) for one in pushed if isinstance(one.event, Record)]
        unpaired: dict[Likeness, list[Here]] = {}
        for begin, end in spans({like.second for like in likes if like is not None}):
            for row in self._read(_UNPAIRED, (terminal_id, begin * 1000, end * 1000 + 999)):
                one = _here(row)
                unpaired.setdefault(one.like, []).append(one)
        if not unpaired:
            return
        given: set[bytes] = set()
        for arrival, like in zip(pushed, likes, strict=True):
            candidates = unpaired.get(like) if like is not None else None
            if not candidates or arrival.key in given:
                continue
            given.add(arrival.key)
            same = next((one for one in candidates if one.key == arrival.key), None)
            if same is None and self._has(terminal_id, arrival.key):
                continue
            one = same or candidates[0]
            candidates.remove(one)
            self._do(f"UPDATE records SET key = ?, backfilled = {SETTLED} WHERE id = ?", arrival.key, one.id)

    def keys_of(
        self, terminal_id: int, pushed: Sequence[Arrival], fetched: Sequence[Arrival]
    ) -> Iterator[bytes]:
        """Yield the key of each fetched record: its own, or that of the one which is here."""
        likes = [likeness(one.event) if isinstance(one.event, Record) else None for one in fetched]
        keys: dict[bytes, Likeness] = {}
        for begin, end in spans({like.second for like in likes if like is not None}):
            keys.update(
                (one.key, one.like) for one in here_between(self._db, self._mark, terminal_id, begin, end)
            )
        for one in pushed:
            like = likeness(one.event) if isinstance(one.event, Record) else None
            if like is not None:
                keys.setdefault(one.key, like)
        here = Counter(keys.values())
        first = {like: key for key, like in reversed(keys.items())}
        for arrival, like in zip(fetched, likes, strict=True):
            if like is None or arrival.key in keys:
                yield arrival.key
            elif here[like] >= arrival.alike:
                yield first[like]
            else:
                here[like] += 1
                keys[arrival.key] = like
                first.setdefault(like, arrival.key)
                yield arrival.key

    def _has(self, terminal_id: int, key: bytes) -> bool:
        return self._db.execute(_BY_KEY.replace("?", self._mark), (terminal_id, key)).fetchone() is not None

    def _read(self, query: str, values: Sequence[int]) -> Sequence[Sequence[Any]]:
        return self._db.execute(query.replace("?", self._mark), values).fetchall()

    def _do(self, statement: str, *values: Any) -> None:
        self._db.execute(statement.replace("?", self._mark), values)


def _here(row: Sequence[Any]) -> Here:
    number, key, recorded_at_ms, entry_mode, *numbers = row
    return Here(
        int(number),
        bytes(key),
        Likeness(recorded_at_ms // 1000, next(filter(None, numbers), ""), entry_mode),
    )
