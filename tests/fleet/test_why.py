"""Why nothing arrives: each fault has its finding, and of several the one that has to be mended first is told."""

import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from gatepost.fleet.why import (
    CODES,
    FIRST,
    Facts,
    Known,
    Looked,
    Managed,
    Refused,
    findings,
    next_of,
    of_reason,
)
from gatepost.fleet.why_words import LANGUAGES, Writer, plain, table

NOW = datetime(2024, 5, 6, 12, tzinfo=UTC)
FINE = Known(
    state="approved", presence="online", last_seen=NOW - timedelta(minutes=1), interval_s=30.0, clock_error_s=1.0,
    has_backlog=False, repeated_ids=0, unusable_ids=0,
)  # fmt: skip
OURS = Managed(
    address="https://10.0.0.7:8000", state="ours", found="ours", said="", shown="", has_account=True,
    looked_at=NOW - timedelta(minutes=2), set_at=NOW - timedelta(days=2),
)  # fmt: skip
GOOD = Facts(asked="SN-1", now=NOW, known=FINE, managed=OURS)
WRITER = Writer("en", lambda at: at.isoformat(), plain)


def refused(reason: str, **ago: float) -> Refused:
    return Refused(
        reason=reason,
        peer="10.0.0.7",
        path="/Reocrd",
        count=3,
        last_at=NOW - timedelta(**ago or {"seconds": 5}),
    )


def told(facts: Facts) -> str | None:
    found = next_of(findings(facts))
    return None if found is None else found.code


def test_where_all_is_well_there_is_nothing_to_do() -> None:
    found = findings(GOOD)
    assert told(GOOD) is None
    assert [(one.check, one.level) for one in found] == [
        (check, "good")
        for check in ("known", "reachable", "subscribed", "refused", "heard", "clock", "listed")
    ]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"known": None, "managed": None}, "unknown"),
        ({"known": replace(FINE, state="retired")}, "retired"),
        ({"known": replace(FINE, state="held")}, "held"),
        ({"known": replace(FINE, presence="offline", last_seen=NOW - timedelta(days=1))}, "offline"),
        ({"known": replace(FINE, presence="late")}, "late"),
        ({"known": replace(FINE, presence="never", last_seen=None), "managed": None}, "never_unmanaged"),
        ({"known": replace(FINE, presence="never", last_seen=None)}, "no_event_yet"),
        (
            {"known": replace(FINE, presence="never", last_seen=None), "managed": replace(OURS, set_at=None)},
            "never_sent",
        ),
        (
            {
                "known": replace(FINE, presence="never", last_seen=None),
                "managed": replace(OURS, found=None, looked_at=None, set_at=None),
            },
            "not_set_yet",
        ),
        ({"known": replace(FINE, has_backlog=True)}, "backlog"),
        ({"known": replace(FINE, clock_error_s=28_800.0)}, "clock_ahead"),
        ({"known": replace(FINE, clock_error_s=-61.0)}, "clock_behind"),
        ({"known": replace(FINE, repeated_ids=4)}, "ids_repeat"),
        ({"known": replace(FINE, unusable_ids=4)}, "ids_unusable"),
        ({"managed": replace(OURS, state="away", found="away", said="no route")}, "away"),
        ({"managed": replace(OURS, state="stopped", found="wrong account")}, "account_wrong"),
        ({"managed": replace(OURS, state="stopped", found="another terminal")}, "another_terminal"),
        ({"managed": replace(OURS, state="stopped", found="another certificate")}, "another_certificate"),
        ({"managed": replace(OURS, has_account=False, state="stopped", found=None)}, "account_missing"),
        ({"managed": replace(OURS, found="differs", shown="http://10.0.0.9/x")}, "other_address"),
        ({"managed": replace(OURS, state="contested", found="differs")}, "contested"),
        ({"managed": replace(OURS, set_at=NOW)}, "no_event_yet"),
        (
            {"managed": None, "looked": Looked(address="https://x:8000", serial=None, said="it is away")},
            "no_reply",
        ),
        (
            {"known": None, "managed": None, "looked": Looked(address="https://x:8000", serial="S", said="")},
            "unknown",
        ),
        ({"unlisted": 5, "unlisted_s": 60.0}, "not_listed"),
        ({"unlisted": 5, "is_store_away": True}, "store_away"),
    ],
)
def test_each_fault_is_told(changed: dict[str, Any], code: str) -> None:
    assert told(replace(GOOD, **changed)) == code


def test_what_cannot_be_looked_at_is_no_fault() -> None:
    assert told(replace(GOOD, managed=None)) is None
    assert told(replace(GOOD, managed=replace(OURS, found="silent"))) is None
    assert told(replace(GOOD, known=replace(FINE, clock_error_s=None))) is None
    assert told(replace(GOOD, managed=replace(OURS, found=None, looked_at=None))) is None


@pytest.mark.parametrize(
    "reason",
    ["path", "token wrong", "token missing", "address", "unknown terminal", "retired", "quota", "busy",
     "too many new terminals", "too many terminals", "store unavailable"],
)  # fmt: skip
def test_each_reason_of_a_refusal_has_its_own_advice(reason: str) -> None:
    silent = replace(
        GOOD, known=replace(FINE, last_seen=NOW - timedelta(hours=1)), refused=(refused(reason),)
    )
    assert told(silent) == "refused_" + reason.replace(" ", "_")


def test_a_reason_of_the_content_is_told_as_it_is() -> None:
    assert of_reason("no JSON") == of_reason("something new") == "refused_content"


def test_a_refusal_counts_while_nothing_was_taken_since_and_for_a_week() -> None:
    assert told(replace(GOOD, refused=(refused("path", minutes=2),))) is None
    long_ago = replace(OURS, set_at=NOW - timedelta(days=30))
    silent = replace(GOOD, known=replace(FINE, last_seen=NOW - timedelta(days=9)), managed=long_ago)
    assert told(replace(silent, refused=(refused("path", days=6),))) == "refused_path"
    assert told(replace(silent, refused=(refused("path", days=8),))) is None
    both = (refused("path", days=6), refused("token wrong", days=1))
    assert told(replace(silent, refused=both)) == "refused_token_wrong"


def test_what_has_to_be_mended_first_is_told_first() -> None:
    worst = Facts(
        asked="SN-1",
        now=NOW,
        known=replace(FINE, state="held", presence="offline", clock_error_s=90.0),
        managed=replace(OURS, state="stopped", found="wrong account"),
        refused=(refused("path"),),
    )
    assert told(worst) == "account_wrong"
    assert told(replace(worst, managed=OURS)) == "refused_path"
    assert told(replace(worst, managed=OURS, refused=())) == "held"


def test_every_finding_has_its_words_in_both_languages_and_what_is_amiss_says_what_to_do() -> None:
    assert set(table()) == {*CODES, *(f"{code}_do" for code in FIRST)}
    for key, texts in table().items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in texts]
        assert fields[0] == fields[1], key
        assert all(texts), key


def test_each_sentence_can_be_filled_in_from_its_own_finding() -> None:
    """Every fault of the tests above, in both languages."""
    cases = [
        {"known": replace(FINE, presence="late")},
        {"managed": replace(OURS, state="away", found="away", said="no route")},
        {"managed": replace(OURS, state="contested", found="differs", shown="http://10.0.0.9/x")},
        {"refused": (refused("path"),)},
        {"refused": (refused("no JSON"),), "known": None},
        {"refused": (refused("path", minutes=9),)},
        {"known": replace(FINE, clock_error_s=-90.0, unusable_ids=2)},
        {"unlisted": 5, "is_store_away": True},
    ]
    for changed in cases:
        for language in LANGUAGES:
            writer = replace(WRITER, language=language)
            for one in findings(replace(GOOD, **changed)):
                assert "{" not in writer.says(one) + writer.do(one)


def test_the_sentences_read_well() -> None:
    away = findings(replace(GOOD, managed=replace(OURS, state="away", found="away")))
    assert WRITER.says(away[1]) == "https://10.0.0.7:8000 cannot be reached."
    found = next_of(findings(replace(GOOD, known=replace(FINE, clock_error_s=28_800.0))))
    assert found is not None
    assert WRITER.says(found) == "Its clock is 8 h ahead, so its events stand too late in every list."
    assert WRITER.do(found) == "Set the terminal's clock, best by NTP."
    assert [plain(seconds) for seconds in (0.2, 61, 90_061)] == ["0 s", "1 min 1 s", "1 d 1 h"]
