import pytest

from gatepost.cli_text import language, t


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ({"LC_MESSAGES": "en_GB.UTF-8", "LC_ALL": "zh_TW.UTF-8"}, "zh"),
        ({"LC_ALL": "zh_TW.UTF-8", "GATEPOST_LANG": "en"}, "en"),
        ({"GATEPOST_LANG": "ZH"}, "zh"),
        ({"GATEPOST_LANG": "", "LC_ALL": "", "LANG": "de_DE"}, "en"),
    ],
)
def test_the_first_variable_that_is_set_decides(environ: dict[str, str], expected: str) -> None:
    assert language(environ) == expected


def test_t_answers_the_text_of_that_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    assert t("door", "门") == "门"
    monkeypatch.setenv("GATEPOST_LANG", "en")
    assert t("door", "门") == "door"
