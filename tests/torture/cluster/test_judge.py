from typing import Any

import pytest

from gatepost.torture.cluster.judge import Evidence, judge
from gatepost.torture.judge import Found
from gatepost.torture.oracle import Issued
from gatepost.torture.system.processes import Died

EVENTS = {name: Issued(name, 0, {"uuid": name, "mask": 1}, "digest") for name in "abcd"}
LISTED = [Found(name, {"uuid": name, "mask": 1, "deviceSN": "CELL-0"}, "digest") for name in "ab"]
LEDGER = {"accepted": 4, "delivered": 2, "pending": 1, "dead": 1, "dropped": 0}


def evidence(**changed: Any) -> Evidence:
    """Two events are listed, one waits, one is a dead letter: nothing is wrong."""
    values: dict[str, Any] = {
        "issued": EVENTS, "accepted": frozenset(EVENTS), "listed": LISTED, "others": [["b", "a"]],
        "waiting": frozenset("c"), "dead": frozenset("d"), "ledgers": [LEDGER], "died": [], "late": [],
        "undrained": [], "failovers_s": [24.0], "again_s": 25.0, "happened": {"kill-etcd": 1},
        "wanted": {"kill-etcd": 1},
    }  # fmt: skip
    return Evidence(**{**values, **changed})


def test_what_is_listed_waits_or_is_dead_is_all_that_was_issued() -> None:
    judgement = judge(evidence())
    assert judgement.ok
    figures = judgement.figures
    assert figures["issued"] == 4 == sum(figures[part] for part in ("listed", "waiting", "dead", "dropped"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"listed": LISTED[:1], "others": []}, "1 accepted, and nowhere to be found: b"),
        ({"issued": {"b": EVENTS["b"]}, "accepted": frozenset("b")}, "1 spurious: a"),
        ({"listed": [*LISTED, LISTED[0]], "others": []}, "1 listed twice: a"),
        ({"listed": [LISTED[0], Found("b", LISTED[1].data, "another")]}, "1 changed: b"),
        ({"listed": [LISTED[0], Found("b", {"uuid": "b", "mask": 2}, "digest")]}, "1 changed: b"),
        ({"others": [["a"]]}, "1 not listed alike by receiver 1 and the first: b"),
        ({"others": [["a", "b", "b"]]}, "1 not listed alike by receiver 1 and the first: b"),
        ({"ledgers": [{**LEDGER, "dead": 0}]}, "1 ledgers that do not add up"),
        ({"undrained": ["CELL-0: 3 pending"]}, "1 not drained: CELL-0: 3 pending"),
        ({"late": ["receiver 1"]}, "1 did not stop when asked to: receiver 1"),
        ({"died": [Died("receiver 1", 1, ("why",))]}, "died: receiver 1, code 1: why"),
        ({"failovers_s": [24.0, 26.0]}, "1 times that nothing was acknowledged for over 25 s: 26.0 s"),
        ({"happened": {}}, "too little happened: kill-etcd 0, wanted 1"),
    ],
)
def test_each_difference_is_said(changed: dict[str, Any], said: str) -> None:
    (found,) = judge(evidence(**changed)).differences
    assert found.startswith(said)


def test_what_a_terminal_dropped_need_not_be_anywhere() -> None:
    ledger = {"accepted": 4, "delivered": 1, "pending": 1, "dead": 1, "dropped": 1}
    assert judge(evidence(listed=LISTED[:1], others=[["a"]], ledgers=[ledger])).ok


def test_without_a_limit_a_failover_may_take_its_time() -> None:
    assert judge(evidence(failovers_s=[1000.0], again_s=None)).ok
