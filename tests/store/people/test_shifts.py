"""Which passages belong together. The right values are written by hand."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.store.people.shifts import (
    BLOCK_MS,
    LONG_MS,
    PAUSE_MS,
    REST_MS,
    Seen,
    Shift,
    in_order,
    is_anchored,
    look_back,
    shifts,
)

BERLIN = ZoneInfo("Europe/Berlin")
FIRST = datetime(2024, 3, 4, tzinfo=BERLIN)
"""A Monday."""

HOUR = 3_600_000


def at(text: str, zone: ZoneInfo = BERLIN) -> int:
    """Return the moment of ``Tue 22:00`` in the week of 2024-03-04, or of ``2024-02-29 22:00``."""
    day, _, time = text.rpartition(" ")
    hour, minute, *second = map(int, time.split(":"))
    if day[:3].isalpha():
        weeks = int(day[3:] or 0)
        number = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].index(day[:3]) + 7 * weeks
        date = FIRST + timedelta(days=number)
    else:
        date = datetime.fromisoformat(day).replace(tzinfo=zone)
    wall = date.replace(hour=hour, minute=minute, second=second[0] if second else 0, tzinfo=zone)
    return round(wall.timestamp() * 1000)


Passage = tuple[int, int, int]
"""When, at which terminal, as which form of the person's data."""


def seen(*texts: str, terminal: int = 1) -> list[Passage]:
    return [(at(text), terminal, 1) for text in texts]


def columns(passages: Iterable[Passage]) -> Seen:
    return in_order(Seen([at_ms], [terminal], [form]) for at_ms, terminal, form in passages)


def found(*texts: str, repeat_s: int = 10) -> list[tuple[int, int | None]]:
    return [(shift.first_ms, shift.last_ms) for shift in shifts(columns(seen(*texts)), repeat_s * 1000)]


def expected(*pairs: tuple[str, str | None]) -> list[tuple[int, int | None]]:
    return [(at(first), None if last is None else at(last)) for first, last in pairs]


CASES: dict[str, tuple[list[str], list[tuple[str, str | None]]]] = {
    "by day": (
        ["Mon 08:57", "Mon 12:02", "Mon 12:48", "Mon 18:04", "Tue 09:01", "Tue 18:00"],
        [("Mon 08:57", "Mon 18:04"), ("Tue 09:01", "Tue 18:00")],
    ),
    "by night": (
        ["Mon 21:58", "Tue 02:00", "Tue 06:03", "Tue 21:55", "Wed 06:10", "Wed 22:00", "Thu 06:00"],
        [("Mon 21:58", "Tue 06:03"), ("Tue 21:55", "Wed 06:10"), ("Wed 22:00", "Thu 06:00")],
    ),
    "twelve hours by day, nothing in between": (
        ["Mon 06:50", "Mon 19:10", "Tue 06:52", "Tue 19:05", "Wed 06:49", "Wed 19:12"],
        [("Mon 06:50", "Mon 19:10"), ("Tue 06:52", "Tue 19:05"), ("Wed 06:49", "Wed 19:12")],
    ),
    "twelve hours by night, nothing in between": (
        ["Mon 18:50", "Tue 07:10", "Tue 18:52", "Wed 07:05", "Wed 18:49", "Thu 07:12"],
        [("Mon 18:50", "Tue 07:10"), ("Tue 18:52", "Wed 07:05"), ("Wed 18:49", "Thu 07:12")],
    ),
    "rotating, with eight hours of rest in between": (
        ["Mon 13:55", "Mon 22:05", "Tue 05:56", "Tue 14:03", "Tue 21:55", "Wed 06:02"],
        [("Mon 13:55", "Mon 22:05"), ("Tue 05:56", "Tue 14:03"), ("Tue 21:55", "Wed 06:02")],
    ),
    "a split shift": (
        ["Mon 09:00", "Mon 13:00", "Mon 17:00", "Mon 21:00", "Tue 09:05", "Tue 21:10"],
        [("Mon 09:00", "Mon 21:00"), ("Tue 09:05", "Tue 21:10")],
    ),
    "by night soon after a day, which the rule cannot know": (
        ["Mon 08:00", "Mon 16:00", "Mon 22:30", "Tue 06:30"],
        [("Mon 08:00", "Mon 22:30"), ("Tue 06:30", None)],
    ),
    "a guard of twenty-four hours who makes rounds": (
        [
            "Mon 07:55", "Mon 12:00", "Mon 16:30", "Mon 21:00", "Tue 01:30", "Tue 05:00", "Tue 08:10",
            "Thu 07:50", "Thu 13:00", "Thu 18:00", "Thu 23:30", "Fri 04:00", "Fri 08:05",
        ],
        [("Mon 07:55", "Tue 08:10"), ("Thu 07:50", "Fri 08:05")],
    ),
    "overtime": (
        ["Mon 08:30", "Mon 20:45", "Tue 09:10", "Tue 18:00"],
        [("Mon 08:30", "Mon 20:45"), ("Tue 09:10", "Tue 18:00")],
    ),
    "a forgotten out": (["Mon 09:00", "Tue 09:02", "Tue 18:00"], [("Mon 09:00", None), ("Tue 09:02", "Tue 18:00")]),
    "a forgotten out at night": (
        ["Mon 22:00", "Tue 22:00", "Wed 06:00"],
        [("Mon 22:00", None), ("Tue 22:00", "Wed 06:00")],
    ),
    "a forgotten in": (["Mon 18:30", "Tue 08:00", "Tue 18:30"], [("Mon 18:30", None), ("Tue 08:00", "Tue 18:30")]),
    "a forgotten in at night": (
        ["Mon 06:30", "Mon 20:30", "Tue 06:30", "Tue 20:30"],
        [("Mon 06:30", None), ("Mon 20:30", "Tue 06:30"), ("Tue 20:30", None)],
    ),
    "only ever in": (
        ["Mon 09:00", "Tue 08:55", "Wed 09:03"],
        [("Mon 09:00", None), ("Tue 08:55", None), ("Wed 09:03", None)],
    ),
    "two passages in a minute": (["Mon 09:00:00", "Mon 09:00:40"], [("Mon 09:00:00", "Mon 09:00:40")]),
    "recognised twice": (["Mon 09:00:00", "Mon 09:00:06"], [("Mon 09:00:00", None)]),
    "in view all day": (
        [f"Mon {9 + n // 360:02}:{n // 6 % 60:02}:{n % 6 * 10:02}" for n in range(8 * 360 + 1)],
        [("Mon 09:00", "Mon 17:00")],
    ),
    "clocks put forward in the night": (
        ["2024-03-30 22:00", "2024-03-31 06:00", "2024-03-31 22:00", "2024-04-01 06:00"],
        [("2024-03-30 22:00", "2024-03-31 06:00"), ("2024-03-31 22:00", "2024-04-01 06:00")],
    ),
    "by day over both changes of the clock": (
        [
            "2024-03-30 09:00", "2024-03-30 17:00", "2024-03-31 09:00", "2024-03-31 17:00",
            "2024-10-26 09:00", "2024-10-26 17:00", "2024-10-27 09:00", "2024-10-27 17:00",
        ],
        [
            ("2024-03-30 09:00", "2024-03-30 17:00"), ("2024-03-31 09:00", "2024-03-31 17:00"),
            ("2024-10-26 09:00", "2024-10-26 17:00"), ("2024-10-27 09:00", "2024-10-27 17:00"),
        ],
    ),
    "clocks put back in the night": (
        ["2024-10-26 22:00", "2024-10-27 06:00", "2024-10-27 22:00", "2024-10-28 06:00"],
        [("2024-10-26 22:00", "2024-10-27 06:00"), ("2024-10-27 22:00", "2024-10-28 06:00")],
    ),
    "a leap day": (
        ["2024-02-28 22:00", "2024-02-29 06:00", "2024-02-29 22:00", "2024-03-01 06:00"],
        [("2024-02-28 22:00", "2024-02-29 06:00"), ("2024-02-29 22:00", "2024-03-01 06:00")],
    ),
    "by day on a leap day": (
        ["2024-02-28 09:00", "2024-02-28 17:00", "2024-02-29 09:00", "2024-02-29 17:00", "2024-03-01 09:00"],
        [
            ("2024-02-28 09:00", "2024-02-28 17:00"), ("2024-02-29 09:00", "2024-02-29 17:00"),
            ("2024-03-01 09:00", None),
        ],
    ),
    "nobody": ([], []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_shift_has_the_first_and_the_last_passage(name: str) -> None:
    texts, pairs = CASES[name]
    assert found(*texts) == expected(*pairs)


def test_repeats_at_one_terminal_are_one_passage_and_at_two_are_two() -> None:
    once = [
        (at("Mon 09:00:00"), 1, 1),
        (at("Mon 09:00:05"), 2, 1),
        (at("Mon 09:00:08"), 1, 1),
        (at("Mon 18:00"), 2, 7),
    ]
    (shift,) = shifts(columns(once), 10_000)
    assert (shift.passages, shift.identity, shift.last_ms) == (3, 7, at("Mon 18:00"))


def test_passages_at_one_moment_are_never_both_in_and_out() -> None:
    at_two_terminals = [(at("Mon 09:00"), 1, 1), (at("Mon 09:00"), 2, 1)]
    (shift,) = shifts(columns(at_two_terminals), 10_000)
    assert (shift.first_ms, shift.last_ms, shift.passages) == (at("Mon 09:00"), None, 2)
    (shift,) = shifts(columns(seen("Mon 09:00", "Mon 09:00")), 0)
    assert (shift.last_ms, shift.passages) == (None, 2)


MOMENTS = st.lists(st.integers(1, 30 * HOUR), min_size=1, max_size=60)  # gaps
TERMINALS = st.integers(1, 2)


def walk(gaps: list[int], start: int) -> list[Passage]:
    walked, moment = [], start
    for number, gap in enumerate(gaps):
        moment += gap
        walked.append((moment, 1 + number % 2, number))
    return walked


@given(MOMENTS, st.integers(0, 10**9), st.sampled_from([0, 10_000, 600_000]))
def test_no_passage_is_in_two_shifts_or_in_none(gaps: list[int], start: int, repeat_ms: int) -> None:
    walked = walk(gaps, start)
    grouped = shifts(columns(walked), repeat_ms)
    counted = 0
    for shift in grouped:
        inside = [one for one in walked if shift.first_ms <= one[0] <= shift.end_ms]
        counted += len(inside)
        assert inside[0][0] == shift.first_ms
        assert inside[-1] == (shift.end_ms, inside[-1][1], shift.identity)
        assert shift.last_ms in (None, shift.end_ms)
    assert counted == len(walked)
    for one, other in pairwise(grouped):
        assert other.first_ms - one.end_ms >= PAUSE_MS or other.first_ms // BLOCK_MS > one.end_ms // BLOCK_MS


@given(MOMENTS, st.integers(0, 10**9), st.data())
def test_it_does_not_matter_from_when_on_one_looks(gaps: list[int], start: int, data: st.DataObject) -> None:
    """Two questions about overlapping stretches of days find the same shifts."""
    walked = walk([gap // 3 for gap in gaps] * 12, start)
    asked = data.draw(st.integers(walked[0][0], walked[-1][0]))
    since = asked - data.draw(st.integers(REST_MS, 5 * 24 * HOUR))
    part = [one for one in walked if one[0] >= since]
    if not is_anchored([one[0] for one in part], since, asked):
        since = look_back(asked)
        part = [one for one in walked if one[0] >= since]
    whole = [shift for shift in shifts(columns(walked), 10_000) if shift.first_ms >= asked]
    assert [shift for shift in shifts(columns(part), 10_000) if shift.first_ms >= asked] == whole


GAPS = st.lists(st.one_of(st.integers(0, 20_000), st.integers(0, 30 * HOUR)), max_size=40)


@given(GAPS, st.integers(1, 10**12), st.sampled_from([0, 10_000, 600_000, 8 * HOUR]), st.data())
def test_shifts_are_those_that_a_walk_from_passage_to_passage_finds(
    gaps: list[int], start: int, repeat_ms: int, data: st.DataObject
) -> None:
    passages: list[Passage] = []
    at_ms = start
    for gap in gaps:
        at_ms += gap
        passages.append((at_ms, data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))))
    parts = columns(data.draw(st.permutations(passages)))
    assert list(zip(*parts, strict=True)) == sorted(passages)
    assert shifts(parts, repeat_ms) == walked_shifts(sorted(passages), repeat_ms)


def walked_shifts(passages: list[Passage], repeat_ms: int) -> list[Shift]:
    """Return the shifts by the rules of the module, one passage after the other."""
    found: list[list[Passage]] = []
    counts: list[int] = []
    rested = 0
    for place, (at_ms, terminal, _) in enumerate(passages):
        before = passages[place - 1][0]
        gap, block = at_ms - before, at_ms - at_ms % BLOCK_MS
        if (
            place == 0
            or gap >= REST_MS
            or (gap >= PAUSE_MS and at_ms - found[-1][0][0] >= LONG_MS)
            or (before < block and block - rested >= BLOCK_MS)
        ):
            found.append([])
            counts.append(0)
            if place == 0 or gap >= REST_MS:
                rested = at_ms
        near = [one for one in found[-1] if one[1] == terminal and at_ms - one[0] <= repeat_ms]
        counts[-1] += not (near and repeat_ms > 0)
        found[-1].append((at_ms, terminal, passages[place][2]))
    shown = []
    for inside, count in zip(found, counts, strict=True):
        first, end = inside[0][0], inside[-1][0]
        known = end > first and (count > 1 or end - first > repeat_ms)
        shown.append(Shift(first, end if known else None, end, count, inside[-1][2], inside[0][2]))
    return shown
