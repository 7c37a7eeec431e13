"""A judge that cannot find anything is worth nothing: each difference, made on purpose, is found."""

from typing import Any

import msgspec
import pytest

from gatepost.torture.judge import Evidence, Found, judge
from gatepost.torture.oracle import Fate, Issued
from gatepost.torture.system.processes import Died

DATA = {"uuid": "a", "score": 0.5, "user": {"name": "王五", "groups": [{"id": "3"}]}}


def found(name: str, **data: Any) -> Found:
    return Found(name, {**DATA, "uuid": name, "added": 1, **data}, "img")


LEDGER = {"accepted": 3, "delivered": 3, "pending": 0, "dead": 0, "dropped": 0}
GOOD = Evidence(
    issued={name: Issued(name, 0, {**DATA, "uuid": name}, "img") for name in "abcdr"},
    fates={"a": Fate.ACCEPTED, "b": Fate.ACCEPTED, "c": Fate.ACCEPTED, "d": Fate.UNKNOWN, "r": Fate.REFUSED},
    stored=[found("a"), found("b"), found("c")],
    listed=["a", "b", "c"],
    quarantined=[],
    pending=frozenset(),
    dead=frozenset(),
    ledgers=[LEDGER],
    unbalanced=[],
    acknowledged=frozenset("abc"),
    disordered=[],
    died=[],
    late=[],
    defects=[],
    passed_on={"a": 1, "b": 2},
    several_ids=frozenset(),
    given_up=frozenset("c"),
    seen=3,
    undrained=[],
    kept=[],
    happened={"kill": 2},
    wanted={"kill": 1},
)


def of(**changes: Any) -> tuple[str, ...]:
    return judge(msgspec.structs.replace(GOOD, **changes)).differences


def test_what_adds_up_is_no_difference() -> None:
    judgement = judge(GOOD)
    assert judgement.ok
    assert judgement.figures["accepted"] == judgement.figures["stored"] == 3


def test_an_event_without_an_answer_may_be_stored_or_not() -> None:
    more = {"listed": list("abcd"), "passed_on": {**GOOD.passed_on, "d": 1}, "seen": 4}
    assert of(stored=[*GOOD.stored, found("d")], **more) == ()
    assert of(ledgers=[{**LEDGER, "accepted": 4}]) == ()


@pytest.mark.parametrize(
    "where",
    [{"pending": frozenset("c")}, {"dead": frozenset("c")}, {"ledgers": [{**LEDGER, "dropped": 1}]}],
)
def test_an_event_that_still_waits_or_is_counted_as_dropped_is_not_missing(where: dict[str, Any]) -> None:
    less = {"listed": ["a", "b"], "acknowledged": frozenset("ab"), "given_up": frozenset(), "seen": 2}
    assert of(stored=GOOD.stored[:2], **less, **where) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stored": GOOD.stored[:2], "acknowledged": frozenset("ab")}, "1 accepted, and nowhere to be found: c"),
        ({"stored": GOOD.stored[:2], "pending": frozenset("c")}, "1 acknowledged by the receiver, and not stored: c"),
        ({"stored": [*GOOD.stored, found("x")]}, "1 spurious: x"),
        ({"stored": [*GOOD.stored, found("r")]}, "1 spurious: r"),
        ({"stored": [*GOOD.stored, found("a")]}, "1 stored twice: a"),
        ({"stored": [*GOOD.stored[:2], found("c", score=0.6)]}, "1 corrupted: c"),
        ({"stored": [*GOOD.stored[:2], found("c", user={"name": "王五", "groups": []})]}, "1 corrupted: c"),
        ({"stored": [*GOOD.stored[:2], found("c", score=True)]}, "1 corrupted: c"),
        ({"stored": [*GOOD.stored[:2], msgspec.structs.replace(GOOD.stored[2], image=None)]}, "1 corrupted: c"),
        ({"listed": ["a", "b"]}, "1 stored, and not listed: c"),
        ({"listed": ["a", "b", "c", "x"]}, "1 listed, and not stored: x"),
        ({"listed": ["a", "b", "c", "c"]}, "1 listed twice: c"),
        ({"passed_on": {"a": 1}}, "1 stored, and not passed on: b"),
        ({"kept": ["c"]}, "1 refused always, and never given up: c"),
        ({"given_up": frozenset()}, "1 stored, and not passed on: c"),
        ({"passed_on": {**GOOD.passed_on, "x": 1}}, "1 passed on, and not stored: x"),
        ({"several_ids": frozenset("a")}, "1 passed on under several ids: a"),
        ({"seen": 2}, "the destination's ledger has 2 of 3 stored"),
        ({"ledgers": [{**LEDGER, "accepted": 2}]}, "the ledgers have 2 accepted"),
        ({"ledgers": [{**LEDGER, "accepted": 5}]}, "the ledgers have 5 accepted"),
        ({"unbalanced": ["t0"]}, "1 ledgers that do not add up"),
        ({"disordered": ["t/1"]}, "1 steps of an alarm out of order"),
        ({"died": [Died("terminal 0", 1, ("boom",))]}, "died: terminal 0, code 1: boom"),
        ({"late": ["receiver"]}, "1 did not stop when asked to"),
        ({"defects": ["KeyError"]}, "1 defects of the kit"),
        ({"undrained": ["terminal 0"]}, "1 not drained"),
        ({"quarantined": ["why", "why"]}, "2 in the quarantine: why, why"),
        ({"wanted": {"kill": 3}}, "too little happened: kill 2, wanted 3"),
        ({"wanted": {"resends": 1}}, "too little happened: resends 0, wanted 1"),
    ],
)  # fmt: skip
def test_each_difference_is_found_and_said(changes: dict[str, Any], said: str) -> None:
    differences = of(**changes)
    assert any(difference.startswith(said) for difference in differences), differences
