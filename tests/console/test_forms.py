"""What a form sends."""

import pytest
from litestar.exceptions import ClientException

from gatepost.console.input.forms import Form


def test_a_field_is_without_the_blanks_around_it_unless_it_is_a_secret() -> None:
    form = Form(b"name=+%E7%8E%8B%E4%BA%94+&password=+a+b+")
    assert form("name") == "王五"
    assert form.secret("password") == " a b "


def test_a_field_that_is_missing_is_empty() -> None:
    form = Form(b"")
    assert form("name") == ""
    assert form.many("ids") == []
    assert not form.ticked("ids")


def test_ids_that_were_ticked_are_numbers_and_nothing_else() -> None:
    form = Form(b"ids=1&ids=x&ids=-4&ids=22&ids=99999999999999999999")
    assert form.numbers("ids") == [1, 22]
    assert form.ticked("ids")


@pytest.mark.parametrize("body", [b"name=\xff\xfe", b"&".join(b"a=1" for _ in range(3000))])
def test_what_is_no_form_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(ClientException, match="no form"):
        Form(body)
