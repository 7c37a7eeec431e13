import pytest

from gatepost.conformance.durations import BadDuration, seconds


@pytest.mark.parametrize(
    ("text", "value"), [("60s", 60), ("500ms", 0.5), ("2m", 120), ("1.5h", 5400), ("7", 7)]
)
def test_a_duration_is_read_as_people_write_it(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1d", "1s2"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadDuration, match="60s"):
        seconds(text)
