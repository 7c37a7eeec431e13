"""People are told of what the rules say, once, at the time of the terminal, with no more of a person than is said."""

from typing import Any

import pytest
from tests.forward.kit import Line
from tests.store.conftest import Opener, empty_folder, open_sqlite  # noqa: F401
from tests.store.events import NOON, RECEIVED_MS
from tests.terminals import ensured

from gatepost.errors import SettingsError
from gatepost.forward.options.destination import decode
from gatepost.forward.options.notify import NotifyOptions, Rule
from gatepost.forward.sinks.notify.rules import Decision, Rules, check_sites
from gatepost.store.interface import NOTICE_KINDS, Notice, NoticeKind, RecordQuery, StepQuery
from gatepost.store.query.notices import NewNotice, Notices

MAIL = {"to": ["guard@example.com"], "sender": "gatepost@example.com"}


@pytest.fixture
def line(open_sqlite: Opener) -> Line:  # noqa: F811
    store = open_sqlite()
    for serial in ("SN-1", "SN-2"):
        ensured(store, serial, now_ms=RECEIVED_MS)
    store.update_terminal(1, timezone="Asia/Shanghai", name="北门")
    return Line(store)


def rules(**options: Any) -> Rules:
    told = decode({"kind": "notify", "url": "smtp://mail.example.com", "notify": {**MAIL, **options}}).notify
    assert told is not None
    return Rules(told)


def rows(line: Line) -> list[Any]:
    records = line.store.to_forward(0, RecordQuery(), 256).chosen
    alarms = line.store.to_forward(0, StepQuery(), 256).chosen
    return [row for _, row in sorted({**records, **alarms}.items())]


def test_by_default_people_are_told_of_alarms_alone(line: Line) -> None:
    line.passages(1)
    line.alarm("trace-1")

    decision = rules().decide(rows(line), 0)

    assert decision.left_out == ["no rule chooses it", ""]
    assert (decision.title, decision.lines) == (
        "gatepost: 1 event",
        ["2024-05-06 20:00:01 北门 (default): alarm: device tampered with, occurred"],
    )


@pytest.mark.parametrize(
    ("person", "shown"),
    [("none", "employee, passed"), ("name", "employee, 王1, passed"), ("all", "employee, 王1 J1 1, passed")],
)
def test_a_text_has_no_more_of_a_person_than_the_rule_says(line: Line, person: str, shown: str) -> None:
    line.passages(1)

    decision = rules(rules=[{"event": "passage", "person": person}]).decide(rows(line), 0)

    assert decision.lines == [f"2024-05-06 20:00:01 北门 (default): {shown}"]


def test_texts_are_in_chinese_too(line: Line) -> None:
    line.passages(1, passed=False, abnormal_type=20002)
    line.alarm("trace-1", status=3)

    chosen = rules(language="zh", rules=[{"event": "passage"}, {"event": "alarm"}])

    decision = chosen.decide(rows(line), 0)
    assert [decision.title, *decision.lines] == [
        "gatepost：2 个事件",
        "2024-05-06 20:00:01 北门（default）：员工，未通过，不在通行时间内",
        "2024-05-06 20:00:03 北门（default）：拆机告警，已解除",
    ]


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        ({"event": "passage", "users": ["2"]}, [2]),
        ({"event": "passage", "terminals": ["SN-2"]}, [4]),
        ({"event": "passage", "terminals": ["北门"], "passed": False}, [3]),
        ({"event": "passage", "recognition_types": [3]}, [4]),
        ({"event": "passage", "codes": [10001]}, [3]),
        ({"event": "passage", "sites": ["elsewhere"]}, []),
        ({"event": "alarm"}, [5, 6]),
        ({"event": "alarm", "states": ["cleared"]}, [6]),
        ({"event": "alarm", "codes": [1]}, []),
    ],
)
def test_a_rule_chooses_by_all_that_it_names(line: Line, rule: dict[str, Any], chosen: list[int]) -> None:
    line.passages(1, 2)
    line.passages(3, passed=False, abnormal_type=10001)
    line.passages(4, terminal_id=2, recognition_type=3, user=None)
    line.alarm("trace-1")
    line.alarm("trace-1", status=3)

    decision = rules(rules=[rule]).decide(rows(line), 0)

    assert [at for at, why in enumerate(decision.left_out, 1) if not why] == chosen


def test_a_site_that_there_is_not_is_named() -> None:
    told = decode(
        {
            "kind": "notify",
            "url": "slack:",
            "notify": {"rules": [{"event": "alarm", "sites": ["Main", "Gone"]}]},
        }
    )
    with pytest.raises(SettingsError, match=r"notify\.rules\[0\]\.sites.*Gone"):
        check_sites(told.notify or NotifyOptions(), {"Main"})
    check_sites(told.notify or NotifyOptions(), {"Main", "Gone"})


@pytest.mark.parametrize(
    "named", ["main  entrance", "\N{FULLWIDTH LATIN CAPITAL LETTER M}ain Entrance", "sn-1"]
)
def test_a_name_is_the_same_in_another_case_or_width(line: Line, named: str) -> None:
    line.store.update_terminal(1, name="Main Entrance")
    line.passages(1)
    rule = {"event": "passage", "terminals": [named]}
    assert rules(rules=[rule]).decide(rows(line), 0).left_out == [""]
    site = line.store.sites()[0].name
    check_sites(NotifyOptions(rules=(Rule(event="alarm", sites=(site.upper(),)),)), {site})


def test_in_quiet_hours_people_are_told_of_alarms_alone(line: Line) -> None:
    line.passages(1)  # at 20:00:01 there
    line.alarm("trace-1")
    every = [{"event": "passage"}, {"event": "alarm"}]

    def left_out(**quiet: Any) -> list[str]:
        return rules(rules=every, quiet=quiet).decide(rows(line), 0).left_out

    assert left_out(begin="19:30", end="07:00") == ["rule 1: quiet hours", ""]
    assert left_out(begin="19:30", end="07:00", alarms=True) == [f"rule {at}: quiet hours" for at in (1, 2)]
    assert left_out(begin="20:00", end="20:01") == ["rule 1: quiet hours", ""]
    assert left_out(begin="20:01", end="20:00") == ["", ""]


def test_the_same_is_told_again_after_a_while_and_says_how_often_it_was(line: Line) -> None:
    for number in range(4):
        line.alarm(f"trace-{number}")
    every = rows(line)
    chosen = rules(repeat_s=60)

    def tell(row: Any, now_ms: int, *, is_sent: bool = True) -> Decision:
        decision = chosen.decide([row], now_ms)
        chosen.note(decision, [is_sent] * len(decision.lines))
        return decision

    assert not tell(every[0], 0, is_sent=False).left_out[0]
    assert not tell(every[0], 1_000).left_out[0]
    assert tell(every[1], 2_000).left_out == ["rule 1: told shortly before"]
    assert tell(every[2], 3_000).left_out == ["rule 1: told shortly before"]
    assert tell(every[3], 61_000).lines[0].endswith("(and 2 more before)")


def test_an_alarm_that_was_cleared_is_told_again_when_it_occurs(line: Line) -> None:
    for trace, status in (("a", 1), ("a", 3), ("b", 1), ("c", 1), ("b", 3)):
        line.alarm(trace, status)
    every = rows(line)
    again = ["", "", "", "rule 1: told shortly before", ""]
    assert rules().decide(every, 0).left_out == again

    chosen = rules()
    for row, why in zip(every, again, strict=True):
        decision = chosen.decide([row], 0)
        chosen.note(decision, [True] * len(decision.lines))
        assert decision.left_out == [why]


def test_an_alarm_is_over_also_where_no_rule_tells_of_its_end(line: Line) -> None:
    for trace, status in (("a", 1), ("a", 3), ("b", 1)):
        line.alarm(trace, status)

    decision = rules(rules=[{"event": "alarm", "states": ["open"]}]).decide(rows(line), 0)

    assert decision.left_out == ["", "no rule chooses it", ""]


def test_a_name_cannot_add_a_line(line: Line) -> None:
    line.store.update_terminal(1, name="a\nb\u202ec")
    line.alarm("trace-1")

    (shown,) = rules().decide(rows(line), 0).lines
    assert "a b c (default)" in shown


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"url": "smtp://mail.example.com"}, "notify.to"),
        ({"url": "smtp://mail.example.com", "notify": {"to": ["a@b.c"]}}, "notify.sender"),
        ({"url": "telegram:"}, "notify.chat"),
        ({"url": "dingtalk://oapi.dingtalk.com/robot/send?access_token=1"}, "url"),
        ({"url": "slack:", "notify": {"rules": [{"event": "door"}]}}, "notify.rules"),
        ({"url": "slack:", "notify": {"quiet": {"begin": "25:00", "end": "07:00"}}}, "notify.quiet.begin"),
        ({"url": "smtp://m.example.com", "notify": {"to": ["a@b.c\r\nBcc: x@y.z"]}}, "notify.to"),
    ],
)
def test_what_is_missing_is_named(told: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError) as raised:
        decode({"kind": "notify", **told})
    assert named in str(raised.value)


OFFLINE = {"kind": "terminal.offline", "subject": "1", "terminal_id": 1, "detail": {"silent_s": 7200}}
DISK = {"kind": "disk.low", "subject": "gate-1", "detail": {"host": "gate-1"}}


def notices(line: Line, *told: dict[str, Any]) -> list[Any]:
    Notices(line.store).tell([NewNotice(**one) for one in told], now_ms=RECEIVED_MS)
    found = line.store.forwarded_again(
        "notice", [item.id for item in line.store.read_feed(0, 100, ["notice"]).items]
    )
    return [row for _, row in sorted(found.items())]


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        (
            "en",
            [
                "2024-05-06 20:00:00 北门 (default): nothing heard for 2 h",
                "2024-05-06 12:00:00 gate-1: the disk is nearly full, pushes are refused",
            ],
        ),
        (
            "zh",
            [
                "2024-05-06 20:00:00 北门（default）：已 2 小时没有消息",
                "2024-05-06 12:00:00 gate-1：磁盘空间不足，推送被拒绝",
            ],
        ),
    ],
)
def test_people_are_told_of_the_installation_itself(line: Line, language: str, lines: list[str]) -> None:
    chosen = rules(rules=[{"event": "notice"}], language=language)

    assert chosen.decide(notices(line, OFFLINE, DISK), 0).lines == lines


def test_a_rule_chooses_notices_by_kind_and_terminal(line: Line) -> None:
    found = notices(line, OFFLINE, DISK)

    by_kind = rules(rules=[{"event": "notice", "kinds": ["disk.low"]}]).decide(found, 0)
    by_terminal = rules(rules=[{"event": "notice", "terminals": ["北门"]}]).decide(found, 0)

    assert by_kind.left_out == ["no rule chooses it", ""]
    assert by_terminal.left_out == ["", "no rule chooses it"]


def test_what_rules_tell_of_is_sent_without_being_asked_for_in_the_filter() -> None:
    told = {"kind": "notify", "url": "smtp://mail.example.com"}
    some = {**MAIL, "rules": [{"event": "notice", "kinds": ["disk.low"]}, {"event": "alarm"}]}

    assert decode({**told, "notify": some}).filter.notices == ("disk.low",)
    assert decode({**told, "notify": MAIL}).filter.notices is None
    every = decode({**told, "notify": {**MAIL, "rules": [{"event": "notice"}]}}).filter.notices
    assert every == NOTICE_KINDS


@pytest.mark.parametrize("kind", NOTICE_KINDS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_notice_has_a_text(line: Line, kind: NoticeKind, language: str) -> None:
    row = Notice(
        id=1,
        at=NOON,
        kind=kind,
        subject="7",
        terminal_id=None,
        serial=None,
        terminal_name=None,
        site_id=None,
        site=None,
        timezone=None,
        detail={
            **{"silent_s": 1, "error_s": -100_000, "events": 5, "oldest_s": 90.0},
            **{"to": "http://192.0.2.1/in", "why": "its password is wrong"},
        },
    )
    (said,) = rules(rules=[{"event": "notice"}], language=language).decide([row], 0).lines

    assert "?" not in said
    assert len(said) > 20


def test_a_rule_about_marked_people_tells_the_reason_of_the_mark(line: Line) -> None:
    line.passages(1, 2)
    watching = rules(rules=[{"event": "passage", "marked": True, "person": "name"}])

    assert watching.decide(rows(line), 0).left_out == ["no rule chooses it"] * 2
    decision = watching.decide(rows(line), 0, ["", "ask at the desk"])

    assert decision.left_out == ["no rule chooses it", ""]
    assert len(decision.lines) == 1
    assert "王2" in decision.lines[0]
    assert "ask at the desk" in decision.lines[0]
