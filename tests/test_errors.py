import re

from gatepost import errors
from gatepost.errors import DecodeError, GatepostError, SettingsError


def test_every_error_stands_in_the_tree_that_the_docstring_draws() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert drawn | {"GatepostError"} == set(errors.__all__)
    assert all(issubclass(getattr(errors, name), GatepostError) for name in errors.__all__)


def test_an_error_is_one_sentence_that_names_the_place() -> None:
    assert str(DecodeError("data.mask", "must be an integer")) == "data.mask must be an integer"
    assert str(DecodeError("", "is no JSON")) == "the message is no JSON"
    assert str(SettingsError("listen", "must be HOST:PORT")) == "setting 'listen' must be HOST:PORT"
