"""Words that may stand in an address."""

from hypothesis import given
from hypothesis import strategies as st

from gatepost.console.input.seal import MARK, Seal, new_key

SEAL = Seal(b"k" * 32)


@given(st.text(max_size=200).filter(lambda text: text.isprintable()))
def test_what_is_sealed_can_be_opened_again(text: str) -> None:
    assert SEAL.open(SEAL.close(text)) == text


def test_a_seal_says_nothing_and_is_always_the_same() -> None:
    sealed = SEAL.close("王五")
    assert sealed.startswith(MARK)
    assert sealed.removeprefix(MARK).replace("-", "").replace("_", "").isalnum()
    assert sealed == SEAL.close("王五")


def test_what_is_no_seal_of_ours_opens_to_nothing() -> None:
    other = Seal(new_key())
    assert SEAL.open(other.close("王五")) is None
    assert SEAL.open("王五") is None
    assert SEAL.open("~") is None
    assert SEAL.open("~ü") is None
    assert SEAL.open(SEAL.close("王五")[:-2] + "AA") is None


def test_what_is_too_long_for_a_name_is_cut() -> None:
    assert SEAL.open(SEAL.close("x" * 5000)) == "x" * 200
