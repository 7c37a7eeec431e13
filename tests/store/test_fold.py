import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.store.fold import ENDS, fold, fold_person, like

ANY = st.text(st.characters(exclude_categories=["Cs"]))
# Marks, letters that they stand on, and what becomes something else when it is folded or composed.
HARD = st.text(
    "aIİıßẞøØǾđĐŁæﬁＡか゛゙ﾞガ김각 　\u200d\u034f\ufe0f´`’·・-—ाि़्กำ\u0301\u0327\u0345\u0338Σς\x01\x05"
)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("emile", "Émile"),
        ("EMILE", "e\u0301mile"),
        ("nguyen", "NGUYỄN"),
        ("dang", "Đặng"),
        ("иванов", "ИВАНОВ"),
        ("алена", "Алёна"),
        ("σοφοσ", "Σοφός"),
        ("wang", "ＷＡＮＧ"),
        ("a-12", "Ａ－１２"),
        ("欧阳 修", "欧阳　修"),
        ("王伟", "王　伟"),
        ("lodz", "Łódź"),
        ("soren", "Søren"),
        ("strasse", "STRAẞE"),
        ("aeroe", "Ærœ"),
        ("isil inci", "Işıl İNCİ"),
        ("thorunn", "Þórunn"),
        ("bello dan yaro", "Ɓello Ɗan Ƴaro"),
        ("kasuwa", "Ƙasuwa"),
        ("gange", "Ɣaǥe".replace("ǥe", "ngɇ")),
        ("gzacl k", "ǤƵȺȻⱢ ĸ"),
        ("o'brien", "O’Brien"),
        ("阿卜杜拉·买买提", "阿卜杜拉•买买提"),
        ("jean-luc", "Jean‐Luc"),
        ("ガ", "ｶﾞ"),
        ("김철수", "김 철수"),
        ("احمد", "أَحْمَد"),
        ("שלום", "שָׁלוֹם"),
        ("葛城", "葛\U000e0100城"),
        ("anna lee", "  Anna \t Lee\u200b "),
        ("fi", "ﬁ"),
    ],
)
def test_what_is_typed_and_what_was_sent_fold_to_the_same(typed: str, sent: str) -> None:
    assert fold(typed) == fold(sent)
    assert fold(unicodedata.normalize("NFD", typed)) == fold(unicodedata.normalize("NFC", sent))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("か", "が"),
        ("ハ", "パ"),
        ("김", "기"),
        ("कि", "क"),
        ("क़", "क"),
        ("กา", "ก"),
        ("ไม้", "ไม"),
        ("张", "張"),
        ("か", "カ"),
        ("anna lee", "annalee"),
        ("王", "玉"),
    ],
)
def test_letters_that_are_different_ones_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize("kept", ["हिन्दी", "কৃষ্ণ", "தமிழ்", "김철수", "がぎ", "阿卜杜拉·买买提"])
def test_a_script_in_which_marks_make_letters_is_left_as_it_is(kept: str) -> None:
    assert fold(kept) == unicodedata.normalize("NFC", kept)


@given(ANY | HARD)
def test_to_fold_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(ANY | HARD)
def test_texts_that_are_canonically_equivalent_fold_to_the_same(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text)) == fold(text)


@given(st.tuples(*[ANY | HARD] * 5))
def test_no_text_can_reach_out_of_its_field(fields: tuple[str, ...]) -> None:
    folded = fold_person(fields)
    for end in ENDS:
        before, _, folded = folded.partition(end)
        assert not set(before) & set(ENDS)
    assert folded == ""


def test_signs_of_a_pattern_are_literal_and_a_field_is_named_by_what_ends_it() -> None:
    assert like("50%_/A", "any") == "%50/%/_//a%\x05"
    assert like("É", "name") == "%e%\x01%"
    assert like("J7", "job_number") == "%\x02j7\x03%"


def test_text_longer_than_any_name_finds_nobody_instead_of_failing_in_the_database() -> None:
    assert like("\ufdfa" * 1000, "any") == "\x05\x05"
