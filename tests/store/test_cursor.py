"""Cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.store.cursor import BadCursor, decode_cursor, encode_cursor

PLACES = st.integers(-(1 << 63), (1 << 63) - 1)


@given(PLACES, PLACES)
def test_a_cursor_says_where_its_list_goes_on(one: int, two: int) -> None:
    cursor = encode_cursor("newest", one, two)
    assert decode_cursor(cursor, "newest") == (one, two)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    with pytest.raises(BadCursor):
        decode_cursor(cursor, "oldest")


@given(st.text())
def test_anything_else_is_refused_in_one_way(cursor: str) -> None:
    with pytest.raises(BadCursor, match="start again without it"):
        decode_cursor(cursor, "newest")
