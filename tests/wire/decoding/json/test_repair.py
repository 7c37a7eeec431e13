"""What is JSON and yet cannot be decoded."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.decoding.json.repair import ENDLESS, HALF, NO_NUMBER, NUMBER, mended

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


@pytest.mark.parametrize(
    "word",
    [
        *["1.#J", "1.#R", "1.#IO", "1.#QO", "-1.#J", "1.$", "-1.#IND", "1.#INF00", "1.#QNAN0", "1#INF"],
        *["-", "--", "---", "\u221e", "-\u221e", "+\u221e", "NaN", "-inf"],
    ],
)
def test_what_printf_writes_for_no_number_is_null_and_said(word: str) -> None:
    assert mended(f'{{"a":{word}}}'.encode()) == (b'{"a":null}', (NO_NUMBER,))


@pytest.mark.parametrize(
    ("word", "number"),
    [
        *[
            ("0.93f", "0.93"),
            ("0.93F", "0.93"),
            ("0.93d", "0.93"),
            ("-0.5D", "-0.5"),
            ("5.f", "5"),
            (".5f", "0.5"),
        ],
        *[("1.25m", "1.25"), ("1L", "1"), ("-7l", "-7"), ("12UL", "12"), ("3LL", "3"), ("0L", "0")],
    ],
)
def test_a_number_with_the_suffix_of_its_type_is_that_number_and_said(word: str, number: str) -> None:
    assert mended(f"[{word}]".encode()) == (f"[{number}]".encode(), (NUMBER,))


@pytest.mark.parametrize("word", ["1f", "12d", "1e5f", "007L", "0x1F"])
def test_what_may_be_hexadecimal_is_a_text(word: str) -> None:
    assert mended(f"[{word}]".encode()) == (f'["{word}"]'.encode(), (NUMBER,))
