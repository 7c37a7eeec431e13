"""Rows in as few statements as can be."""

import pytest

from gatepost.store.write.upserts import MAX_ROWS, in_steps


@pytest.mark.parametrize("rows", [0, 1, 2, MAX_ROWS, MAX_ROWS + 1, 3 * MAX_ROWS + 5])
def test_every_row_is_in_one_step_in_its_order(rows: int) -> None:
    values = list(range(rows * 3))
    steps = list(in_steps(values, 3))
    assert [value for _, part in steps for value in part] == values
    assert [len(part) for _, part in steps] == [count * 3 for count, _ in steps]
    assert len(steps) == -(-rows // MAX_ROWS)
