"""What is JSON and yet cannot be decoded."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.mend import ENDLESS, HALF, mended

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
HALVES = st.text(st.characters(categories=["Cs"]) | st.sampled_from('\\\\"ud8a0\U0001f600'))


@pytest.mark.parametrize(
    ("text", "new"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00\uD83D"', rb'"\ufffd\ufffd"'),
        (rb'"a\ud83d\ud83d\ude00"', rb'"a\ufffd\ud83d\ude00"'),
        (rb'"\\\ud800"', rb'"\\\ufffd"'),
    ],
)
def test_half_a_character_is_replaced_and_said(text: bytes, new: bytes) -> None:
    assert mended(text) == (new, (HALF,))


@pytest.mark.parametrize(
    "number", [b"1e999", b"-1E+999", b"9" * 400, b"-" + b"9" * 5000, b"1" * 5000 + b".5e3"]
)
def test_a_number_without_end_is_a_text_and_said(number: bytes) -> None:
    assert mended(b'{"a":[%b,1]}' % number) == (b'{"a":["%b",1]}' % number, (ENDLESS,))


@pytest.mark.parametrize(
    "text",
    [rb'"\\ud800"', rb'"\ud83d\ude00"', b'"1e999"', rb'"\"1e999"', b"1e-999", b"0.0", b"{", b"oops", b"\xff"],
)
def test_what_is_whole_or_no_json_stays_as_it_is(text: bytes) -> None:
    assert mended(text) == (text, ())


@given(VALUES)
def test_whatever_can_be_decoded_stays_as_it_is(value: object) -> None:
    for text in (json.dumps(value).encode(), msgspec.json.encode(value)):
        if len(str(value)) < 400:
            assert mended(text) == (text, ())


@given(st.dictionaries(HALVES, HALVES))
def test_whatever_halves_are_in_it_can_be_decoded(value: dict[str, str]) -> None:
    text, _ = mended(json.dumps(value).encode())
    assert isinstance(msgspec.json.decode(text), dict)
