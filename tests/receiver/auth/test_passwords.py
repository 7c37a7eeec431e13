"""Which passwords are taken, and which are guessed first."""

import itertools

import pytest

from gatepost.errors import SettingsError
from gatepost.receiver.auth.passwords import MAX_PASSWORD, check_password

COMMON = (
    "password",
    "admin",
    "welcome",
    "qwerty",
    "letmein",
    "iloveyou",
    "gatepost",
    "woaini",
    "Summer",
    "anna",
)
ENDS = ("", "1", "12", "123", "1234", "12345", "123456", "2024", "!", "!!", "2024!", "520", "888888")
RUNS = (
    "123456789012", "987654321098", "qwertyuiop123", "1qaz2wsx3edc", "1q2w3e4r5t6y", "abcdefghijkl", "aaaaaaaaaaaa",
    "123123123123", "abcabcabcabc", "asdfghjklasdf", "111111222222", "zxcvbnmasdfghjkl", "!@#$%^&*()!@", "5201314520",
    "passwordpassword", "admin@123456", "P@ssw0rd1234", "4dm1n1strat0r", "Qwerty123456!", "19900101anna",
    "anna-2024-anna",
)  # fmt: skip


def refused(password: str, name: str = "anna") -> bool:
    try:
        check_password(password, name=name)
    except SettingsError:
        return True
    return False


def test_what_is_guessed_first_is_refused_also_where_it_is_long() -> None:
    made = {first + end for first, end in itertools.product(COMMON, ENDS)}
    made |= {first + second + end for first, second, end in itertools.product(COMMON, COMMON, ENDS)}
    made |= {one.swapcase() for one in made}
    assert len(made) > 2000
    assert [one for one in sorted({*made, *RUNS}) if not refused(one)] == []


def test_a_few_words_and_what_chance_made_are_taken() -> None:
    for good in (
        "correct horse battery", "a-password-of-the-tests", "quiet copper lantern", "我们的门口每天早上都有两只猫",
        "w3X-ttQ9pLzv", "T4sGm_0aXbq1ZVde", "my own password", "Tr0ub4dor&3x",
    ):  # fmt: skip
        assert check_password(good, name="anna") == good


def test_twelve_characters_are_needed_and_no_kind_of_character_is() -> None:
    assert refused("eleven chrs")
    assert not refused("twelve chars")
    assert refused("x" * (MAX_PASSWORD + 1))
    with pytest.raises(SettingsError, match="GATEPOST_ADMIN_PASSWORD"):
        check_password("short", setting="GATEPOST_ADMIN_PASSWORD")


def test_the_name_of_the_account_counts_as_one_character() -> None:
    assert refused("wolfeschlegelstein", "Wolfeschlegelstein")
    assert not refused("wolfeschlegelstein", "anna")


def test_the_longest_password_is_looked_at_quickly() -> None:
    for one in ("a" * MAX_PASSWORD, "ab" * 128, "".join(chr(256 + number) for number in range(MAX_PASSWORD))):
        refused(one)
