"""Every long text leaves an original, and comes back where it stood."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatepost.store.conversion.long_texts import LONG, put_back, take_out

FACE = b64encode(bytes(range(256)) * 8).decode()


def lengthened(part: str, length: int) -> str:
    return (part * length)[:length]


# Long ones are made of short ones: Hypothesis would not come to a kilobyte by itself.
LENGTHS = st.sampled_from([0, 1, LONG - 2, LONG - 1, LONG, LONG + 1, 3 * LONG])
ANY_TEXT = st.builds(lengthened, st.text(min_size=1, max_size=4), LENGTHS) | st.text(max_size=5)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)
PIECES = st.sampled_from(
    [
        b'"',
        b"\\",
        b'\\"',
        b"\\u00e9",
        b"{",
        b"}",
        b":",
        b",",
        b"\n",
        b"\xff",
        b"x" * (LONG - 1),
        b"y" * LONG,
        b"z",
    ]
)
BROKEN = st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=3 * LONG)


def emptied(value: Any, ascii_only: bool) -> Any:
    """Return parsed JSON (objects as lists of pairs) whose long texts are empty, counted as they were written."""
    if isinstance(value, str):
        written = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        return "" if len(written) - 2 >= LONG else value
    if isinstance(value, list | tuple):
        return [emptied(one, ascii_only) for one in value]
    return value


def parsed(original: bytes) -> Any:
    """Objects are lists of pairs: a long name is emptied as well, and another one may then be the same."""
    return json.loads(original, object_pairs_hook=lambda pairs: [list(pair) for pair in pairs])


@given(ANY_JSON, st.booleans())
def test_what_was_taken_out_of_json_comes_back_and_what_is_left_is_json(value: Any, ascii_only: bool) -> None:
    original = json.dumps(value, ensure_ascii=ascii_only).encode()
    shortened, texts = take_out(original)
    assert put_back(shortened, texts) == original
    assert parsed(shortened) == emptied(parsed(original), ascii_only)
    assert bool(texts) == (shortened != original)


@given(BROKEN)
@example(b'"' + b"x" * LONG)
@example(b'"' + b"x" * LONG + b'\\"')
@example(b'"' + b"x" * LONG + b"\\")
def test_what_was_taken_out_of_broken_json_comes_back(original: bytes) -> None:
    shortened, texts = take_out(original)
    assert put_back(shortened, texts) == original
    assert take_out(shortened)[0] == shortened


def test_every_long_text_goes_wherever_it_stands_and_the_rest_stays() -> None:
    push = {"type": 7, "data": {"photo": FACE, "more": [{"x": '\\"' + FACE}], "name": "王五", "score": 0.5}}
    shortened, texts = take_out(json.dumps(push).encode())
    assert json.loads(shortened) == {
        "type": 7,
        "data": {"photo": "", "more": [{"x": ""}], "name": "王五", "score": 0.5},
    }
    assert FACE.encode() in texts


@pytest.mark.parametrize(
    ("text", "is_long"),
    [
        (b"x" * 1023, False),
        (b"x" * 1024, True),
        ("é".encode() * 511 + b"x", False),
        ("é".encode() * 512, True),
        (b'\\"' * 511 + b"x", False),
        (b'\\"' * 512, True),
        (b"\\\\" * 512, True),
        (b"\\/" * 511 + b"x", False),
        (b"\\u00e9" * 170, False),
        (b"\\u00e9" * 171, True),
    ],
)
def test_a_text_is_long_by_its_bytes_as_they_were_written(text: bytes, is_long: bool) -> None:
    original = b'{"before": "short", "text": "' + text + b'", "after": "\\"", "list": [1]}'
    shortened, texts = take_out(original)
    expected = b'{"before": "short", "text": "", "after": "\\"", "list": [1]}'
    assert shortened == (expected if is_long else original)
    assert bool(texts) == is_long
    assert put_back(shortened, texts) == original


def test_a_text_that_was_cut_off_goes_too() -> None:
    shortened, texts = take_out(b'{"photo": "' + FACE.encode())
    assert shortened == b'{"photo": "'
    assert FACE.encode() in texts


def test_a_small_push_is_not_looked_at() -> None:
    push = b'{"broken": "'
    assert take_out(push) == (push, b"")
    assert take_out(push)[0] is push


@pytest.mark.parametrize("texts", [b"\xc1", b"{}", b"\x91\x01", b"\x91\x92\x01"])
def test_what_take_out_did_not_return_is_no_list_of_texts(texts: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is of the library
        put_back(b"{}", texts)
