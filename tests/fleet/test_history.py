"""Which spans are fetched, and which records are here already."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.fleet.history import Likeness, Window, missing, windows


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(1, 5000))
def test_windows_cover_every_second_once(begin: int, length: int, seconds: int) -> None:
    found = list(windows(begin, begin + length, seconds=seconds))

    assert found[0].begin_s == begin
    assert found[-1].end_s == begin + length
    assert all(one.end_s + 1 == other.begin_s for one, other in pairwise(found))
    assert all(one.end_s - one.begin_s < seconds for one in found)


@given(st.integers(0, 10**6), st.integers(1, 10**5))
def test_halves_cover_a_window(begin: int, length: int) -> None:
    first, second = Window(begin, begin + length).halves()

    assert (first.begin_s, second.end_s) == (begin, begin + length)
    assert first.end_s + 1 == second.begin_s


def test_a_single_second_has_no_halves() -> None:
    with pytest.raises(ValueError, match="no halves"):
        Window(5, 5).halves()


def test_an_empty_span_has_no_window() -> None:
    assert list(windows(10, 9)) == []


def like(second: int, number: str = "5", entry_mode: int | None = 1) -> Likeness:
    return Likeness(second, number, entry_mode)


def test_what_is_here_is_not_missing() -> None:
    there = [like(1), like(2), like(2, "6"), like(3)]

    assert missing(there, [like(2), like(1)]) == [2, 3]


def test_two_that_are_alike_are_two() -> None:
    """Two people of one number in one second, or one who held a card twice: each of ours stands for one of theirs."""
    assert missing([like(1)] * 3, [like(1)]) == [1, 2]
    assert missing([like(1)] * 2, [like(1)] * 5) == []


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_what_is_missing_and_what_is_here_are_together_what_is_there(
    there: list[int], here: list[int]
) -> None:
    gone = missing([like(one) for one in there], [like(one) for one in here])

    for second in range(6):
        lacks = sum(there[place] == second for place in gone)
        assert lacks == max(0, there.count(second) - here.count(second))
