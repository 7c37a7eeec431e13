import json
from types import SimpleNamespace

import pytest

from gatepost.store.privacy.person_matcher import PersonMatcher


def form(**fields: str) -> SimpleNamespace:
    nothing = dict.fromkeys(("user_id", "name", "job_number", "ic_number", "id_number"), "")
    return SimpleNamespace(**(nothing | fields))


WANG = PersonMatcher("5", [form(user_id="5", name="王五", job_number="23385", ic_number="77")])


@pytest.mark.parametrize(
    "data",
    [
        {"user_id": "5"},
        {"user": {"user_id": 5}},
        {"people": [{"userId": "9"}, {"personId": "5"}]},
        {"remark": "for 王五, at noon"},
        {"card": "23385"},
        {"ic_number": "77"},
        {"user_id": "", "name": "王五"},
    ],
)
def test_a_text_is_about_somebody_by_user_id_name_or_number(data: object) -> None:
    assert WANG.found_in(json.dumps(data, ensure_ascii=False).encode())
    assert WANG.found_in(json.dumps(data).encode())
    assert WANG.found_in(json.dumps(data).encode().replace(b"\\u738b", b"\\u738B"))


@pytest.mark.parametrize(
    "data",
    [
        {"user_id": "55"},
        {"name": "王六"},
        {"type": 5, "code": 77},
        {"job_number": "77"},
        {"user_id": "6", "name": "王五"},
        {"ic_number": "7"},
    ],
)
def test_a_text_about_somebody_else_is_left_alone_whatever_else_fits(data: object) -> None:
    assert not WANG.found_in(json.dumps(data, ensure_ascii=False).encode())
    assert not WANG.found_in(json.dumps(data).encode())


def test_what_is_nearly_json_is_searched_all_the_same() -> None:
    assert WANG.found_in('{"data": {"name": "王五",},}'.encode())
    assert WANG.found_in(b'{"data": {"user_id": "5",},}')
    assert not WANG.found_in(b'{"data": {"user_id": "6",},}')


def test_a_name_of_one_character_must_be_all_there_is() -> None:
    li = PersonMatcher("", [form(name="李")])
    assert li.found_in('{"name": "李"}'.encode())
    assert not li.found_in('{"name": "李四"}'.encode())


def test_somebody_without_a_user_id_is_found_by_name_next_to_any_user_id() -> None:
    guest = PersonMatcher("", [form(name="Anna Berg")])
    assert guest.found_in(b'{"user_id": "9", "visitor": "Anna Berg"}')


def test_who_has_neither_number_nor_name_is_found_nowhere() -> None:
    assert not PersonMatcher("", []).found_in(b'{"user_id": "", "name": ""}')
