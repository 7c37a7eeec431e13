from collections import Counter
from itertools import islice

import pytest

from gatepost.torture.cluster.fault_plan import ALL, JOURNAL, Kind, plan


@pytest.mark.parametrize("kinds", [ALL, JOURNAL])
def test_the_same_seed_makes_the_same_plan_and_another_one_another(kinds: tuple[Kind, ...]) -> None:
    first = list(islice(plan(7, kinds, nodes=3), 60))
    assert first == list(islice(plan(7, kinds, nodes=3), 60))
    assert first != list(islice(plan(8, kinds, nodes=3), 60))


def test_each_round_has_every_kind_once() -> None:
    faults = plan(1, ALL, nodes=3)
    for _ in range(3):
        assert Counter(fault.kind for fault in islice(faults, len(ALL))) == Counter(Kind)


def test_every_node_has_its_turn() -> None:
    assert {fault.target for fault in islice(plan(1, ALL, nodes=3), 100)} == {0, 1, 2}


def test_a_journal_that_holds_what_was_acknowledged_is_not_deleted() -> None:
    assert set(ALL) - set(JOURNAL) == {Kind.LOSE_LEADER_NODE, Kind.LOSE_STANDBY_NODE}
