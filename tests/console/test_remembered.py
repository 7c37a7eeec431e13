"""Counts that are asked for once in a while."""

import threading

from gatepost.console.remembered import Remembered


def test_a_value_is_asked_for_again_when_it_is_old_or_forgotten() -> None:
    now = [0.0]
    asked: list[float] = []

    def ask() -> int:
        asked.append(now[0])
        return len(asked)

    value = Remembered(ask, keep_s=2.0, monotonic=lambda: now[0])
    assert (value(), value()) == (1, 1)
    now[0] = 2.5
    assert (value(), value()) == (2, 2)
    value.forget()
    assert value() == 3


def test_while_one_asks_the_others_are_given_what_was_known() -> None:
    now = [0.0]
    asking, go_on = threading.Event(), threading.Event()
    answers = iter(["old", "new"])

    def ask() -> str:
        answer = next(answers)
        if answer == "new":
            asking.set()
            assert go_on.wait(10)
        return answer

    value = Remembered(ask, keep_s=1.0, monotonic=lambda: now[0])
    assert value() == "old"
    now[0] = 5.0
    other = threading.Thread(target=value)
    other.start()
    assert asking.wait(10)
    assert value() == "old"
    go_on.set()
    other.join()
    assert value() == "new"
