"""Who is told what when the desk says how far it has listed: positions and time in, batches out."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from tests.receiver.kit import Clock

from gatepost.journal.streams import Position
from gatepost.receiver.ingest.commit.until_listed import PATIENCE_S, StreamPlace, UntilListed


def at(offset: int, segment: int = 1) -> Position:
    return Position(segment, offset, 0)


class Waiting:
    """What waits, and a clock that stands still."""

    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self.parts: UntilListed[str] = UntilListed(monotonic=self.clock)

    def add(self, batch: str, offset: int, *, segment: int = 1, stream: str = "records") -> None:
        self.parts.add(StreamPlace(stream, at(offset, segment)), batch)

    def hear(self, listed: Mapping[str, Position], *, in_doubt: bool = False) -> list[tuple[str, bool]]:
        self.parts.hear(listed, in_doubt=in_doubt)
        return self.take()

    def take(self) -> list[tuple[str, bool]]:
        return list(self.parts.take())


def test_a_batch_is_told_when_its_stream_is_listed_up_to_the_place_behind_it() -> None:
    waiting = Waiting()
    waiting.add("first", 100)
    waiting.add("second", 200)
    assert waiting.take() == []
    assert waiting.hear({"records": at(99)}) == []
    assert waiting.hear({"records": at(100)}) == [("first", True)]
    assert waiting.hear({"records": at(199)}) == []
    assert waiting.hear({"records": at(0, segment=2)}) == [("second", True)]
    assert waiting.take() == []


def test_what_is_listed_before_it_begins_to_wait_is_told_at_once() -> None:
    waiting = Waiting()
    assert waiting.hear({"records": at(300)}) == []
    waiting.add("late", 200)
    assert waiting.take() == [("late", True)]


def test_streams_do_not_wait_for_each_other() -> None:
    waiting = Waiting()
    waiting.add("record", 100)
    waiting.add("alarm", 500, stream="alarms")
    assert waiting.hear({"alarms": at(500)}) == [("alarm", True)]
    waiting.add("of a stream that took its place", 50, stream="records-2")
    assert waiting.hear({"records-2": at(50)}) == [("of a stream that took its place", True)]
    assert waiting.hear({"records": at(100)}) == [("record", True)]


def test_what_a_word_in_doubt_covers_is_refused_and_what_comes_after_it_is_not() -> None:
    waiting = Waiting()
    waiting.add("covered", 100)
    waiting.add("later", 200)
    assert waiting.hear({"records": at(100)}, in_doubt=True) == [("covered", False)]
    assert waiting.hear({"records": at(200)}) == [("later", True)]


def test_what_begins_to_wait_after_a_word_in_doubt_about_it_is_refused_too() -> None:
    waiting = Waiting()
    waiting.hear({"records": at(100)}, in_doubt=True)
    waiting.hear({"records": at(200)})
    waiting.add("in doubt", 100)
    waiting.add("listed", 200)
    assert waiting.take() == [("in doubt", False), ("listed", True)]


def test_none_waits_longer_than_is_said_also_of_a_stream_of_which_nothing_is_heard() -> None:
    waiting = Waiting()
    waiting.add("first", 100)
    waiting.clock.at = 5.0
    waiting.add("second", 200)
    waiting.add("of a stream that is gone", 10, stream="gone")
    waiting.clock.at = PATIENCE_S - 0.001
    assert waiting.take() == []
    waiting.clock.at = PATIENCE_S
    assert waiting.take() == [("first", False)]
    waiting.clock.at = PATIENCE_S + 5.0
    assert waiting.take() == [("second", False), ("of a stream that is gone", False)]


def test_what_is_listed_in_the_last_moment_is_not_refused() -> None:
    waiting = Waiting()
    waiting.add("first", 100)
    waiting.clock.at = 2 * PATIENCE_S
    assert waiting.hear({"records": at(100)}) == [("first", True)]


def test_all_that_waits_can_be_taken_at_once() -> None:
    waiting = Waiting()
    waiting.add("first", 100)
    waiting.add("second", 200)
    waiting.add("alarm", 100, stream="alarms")
    assert waiting.parts.take_all() == ["first", "second", "alarm"]
    assert waiting.parts.take_all() == []
    assert waiting.hear({"records": at(900), "alarms": at(900)}) == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from("ab"), st.integers(1, 9)),
            st.tuples(st.just("hear"), st.sampled_from("ab"), st.integers(1, 40)),
            st.tuples(st.just("doubt"), st.sampled_from("ab"), st.integers(1, 40)),
            st.tuples(st.just("pass"), st.just(""), st.integers(1, 15)),
        ),
        max_size=40,
    )
)
def test_each_is_told_once_in_order_and_listed_only_where_no_word_in_doubt_covered_it(
    steps: list[tuple[str, str, int]],
) -> None:
    waiting = Waiting()
    ends = {"a": 0, "b": 0}
    listed = {"a": 0, "b": 0}
    doubt = {"a": 0, "b": 0}
    open_: dict[str, list[int]] = {"a": [], "b": []}
    for kind, stream, number in steps:
        if kind == "add":
            ends[stream] += number
            open_[stream].append(ends[stream])
            waiting.add(f"{stream} {ends[stream]}", ends[stream], stream=stream)
        elif kind == "pass":
            waiting.clock.at += number
        else:
            listed[stream] = max(listed[stream], number)
            waiting.parts.hear({one: at(end) for one, end in listed.items()}, in_doubt=kind == "doubt")
            if kind == "doubt":
                doubt = dict(listed)
        for told, is_listed in waiting.take():
            name, end = told.split()
            assert open_[name].pop(0) == int(end)
            assert is_listed == (doubt[name] < int(end) <= listed[name])
        for name, left in open_.items():
            assert all(end > listed[name] for end in left)
    rest = waiting.parts.take_all()
    assert sorted(rest) == sorted(f"{name} {end}" for name, left in open_.items() for end in left)
