import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire import without_pins

NAMES = st.sampled_from(["pin", "PIN", "Pin", "pins", "p", "pin\\", '"pin"', 'x"pin', "名"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | NAMES
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4)
)


def emptied(value: Any) -> Any:
    """What is to be left of a JSON value."""
    if isinstance(value, dict):
        return {
            name: "" if name.casefold() == "pin" and inner is not None else emptied(inner)
            for name, inner in value.items()
        }
    return [emptied(inner) for inner in value] if isinstance(value, list) else value


def escaped(text: str, rand: random.Random) -> str:
    """The same JSON, with some of the name's letters written as escapes."""
    for letter, escapes in (
        *(("p", ("\\u0070",)), ("i", ("\\u0069",)), ("n", ("\\u006e", "\\u006E"))),
        *(("P", ("\\u0050",)), ("I", ("\\u0049",)), ("N", ("\\u004e", "\\u004E"))),
    ):
        text = "".join(rand.choice((one, *escapes)) if one == letter else one for one in text)
    return text


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_whatever_stands_around_it_the_pin_is_emptied_and_nothing_else_is(
    value: Any, indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    found = without_pins(text)
    assert json.loads(found.decode("utf-8", "surrogatepass")) == emptied(value)
    if emptied(value) == value:
        assert found == text


@given(st.integers(0, 1 << 32))
def test_however_the_name_is_escaped_the_pin_is_found(seed: int) -> None:
    spelled = escaped("pin", random.Random(seed))
    assert without_pins(f'{{"{spelled}" : "4711","a":1}}'.encode()) == f'{{"{spelled}" : "","a":1}}'.encode()


@pytest.mark.parametrize(
    "value",
    ['"4711"', "4711", "-47.11e3", "true", '["4711"]', '{"a":{"b":["]}",4711]}}', '"47\\"11"', '"47\n11"'],
)
def test_whatever_the_value_is_it_is_emptied(value: str) -> None:
    text = f'{{"user":{{"pin": {value},"name":"A"}}}}'.encode()
    assert without_pins(text) == b'{"user":{"pin": "","name":"A"}}'


def test_of_two_pins_none_is_left() -> None:
    assert without_pins(b'{"pin":1,"user":{"pin":"2"},"pin":[3]}') == b'{"pin":"","user":{"pin":""},"pin":""}'


@pytest.mark.parametrize("value", ['"4711', '["4711"', '{"a":"4711', '"4711\\"', "[[4711]"])
def test_a_value_that_does_not_end_is_left_out_to_the_end(value: str) -> None:
    assert without_pins(f'{{"pin":{value}'.encode()) == b'{"pin":""'


@pytest.mark.parametrize(
    "text", [b"", b'{"pin":}', b'{"pin":', b'{"name":"pin"}', b'{"pin":""}', b'{"pin":null}']
)
def test_where_there_is_no_pin_no_secret_is_lost(text: bytes) -> None:
    assert without_pins(text).replace(b'""', b"") == text.replace(b'""', b"")
