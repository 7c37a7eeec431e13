import re
from pathlib import Path

import pytest

from gatepost.wire import codes
from gatepost.wire.codes import AbnormalType, AlarmCode, EntryMode, RecognitionType, UserType, label

TABLES = [
    codes.RecognitionType, codes.Mask, codes.VerificationMode, codes.EntryMode, codes.AbnormalType, codes.UserType,
    codes.AlarmCode, codes.AlarmStatus,
]  # fmt: skip


def test_the_tables_hold_the_codes_of_the_page() -> None:
    assert [int(code) for code in RecognitionType] == [1, 2, 3, 4, 5]
    assert [int(code) for code in codes.Mask] == [0, 1, 2]
    assert [int(code) for code in codes.VerificationMode] == list(range(10))
    assert [int(code) for code in EntryMode] == list(range(1, 13))
    assert [int(code) for code in AbnormalType] == [
        0, 10001, 10002, 10003, 20001, 20002, 30001, 30002, 30003, 40001, 70001, 70002,
    ]  # fmt: skip
    assert [int(code) for code in UserType] == [1, 2, 5]
    assert [int(code) for code in AlarmCode] == [10001, 10002, 10003, 10004, 20003]
    assert [int(code) for code in codes.AlarmStatus] == [1, 2, 3]


@pytest.mark.parametrize("table", TABLES)
def test_every_code_has_a_label_of_its_own_in_both_languages(table: type[codes.Code]) -> None:
    for language in ("en", "zh"):
        labels = [code.label(language) for code in table]  # type: ignore[arg-type]
        assert all(labels)
        assert len(set(labels)) == len(labels)
    assert all(re.search(r"[一-鿿]", code.zh) for code in table)


def test_a_code_that_no_table_knows_is_shown_as_its_number() -> None:
    assert label(EntryMode, 3, "zh") == "刷卡"
    assert label(EntryMode, 99) == "unknown (99)"
    assert label(EntryMode, 99, "zh") == "未知 (99)"
    assert label(EntryMode, None) == ""


def test_every_table_is_public() -> None:
    source = Path(codes.__file__).read_text(encoding="utf-8")
    assert set(re.findall(r"^class (\w+)\(Code\)", source, re.MULTILINE)) == {
        table.__name__ for table in TABLES
    }
