"""Texts are listed up to a length, and whatever tells two events or people apart stays different."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.events import alarm, record

from gatepost.store.conversion.limits import MAX_GROUPS, MAX_TEXT, cut_texts
from gatepost.wire import Alarm, Event, Group, Record, Unknown, User

LONG = "x" * (MAX_TEXT + 1)
FITS = "x" * MAX_TEXT


def longest(event: Event) -> int:
    """Return the characters of the longest text of an event."""
    texts: list[str] = []
    if isinstance(event, Record):
        user = event.user or User()
        texts += [
            event.uuid or "",
            event.serial or "",
            user.name,
            user.user_id,
            user.job_number,
            user.ic_number,
            user.id_number,
            user.remark,
        ]
        texts += [text for group in user.groups for text in (group.id, group.name)]
    elif isinstance(event, Alarm):
        texts += [event.trace_id, event.description or "", str(event.user_id or "")]
    return max(map(len, texts), default=0)


@pytest.mark.parametrize(
    "event",
    [
        record(user=None),
        record(uuid=FITS, user=User(name="王", user_id="5", groups=(Group("1", "a", {"more": 1}),))),
        alarm(FITS, description=FITS, user_id=7),
        Unknown({"text": LONG}),
    ],
    ids=["record", "record at the limit", "alarm", "no event"],
)
def test_what_fits_stays_the_same_object(event: Event) -> None:
    assert cut_texts(event) == (event, ())
    assert cut_texts(event)[0] is event


@pytest.mark.parametrize("name", ["user_id", "name", "job_number", "ic_number", "id_number", "remark"])
def test_each_text_of_a_person_is_cut_and_told_and_the_others_stay(name: str) -> None:
    user = User(**{"name": "王五", "user_id": "5", name: LONG})
    cut, problems = cut_texts(record(user=user))
    assert isinstance(cut, Record)
    assert cut.user is not None
    assert len(getattr(cut.user, name)) == MAX_TEXT
    assert [problem.where for problem in problems] == [f"data.user.{name}"]
    assert (cut.user.name if name != "name" else cut.user.user_id) == ("王五" if name != "name" else "5")


def test_a_serial_number_is_cut_and_told() -> None:
    cut, problems = cut_texts(record(serial=LONG))
    assert isinstance(cut, Record)
    assert len(cut.serial or "") == MAX_TEXT
    assert [problem.where for problem in problems] == ["data.deviceSN"]


@pytest.mark.parametrize("name", ["trace_id", "description", "user_id"])
def test_each_text_of_an_alarm_is_cut_and_told(name: str) -> None:
    cut, problems = cut_texts(alarm(**{name: LONG}))
    assert len(getattr(cut, name)) == MAX_TEXT
    assert [problem.where for problem in problems] == [f"data.{name}"]


def test_numbers_that_differ_behind_the_limit_stay_different() -> None:
    def cut(end: str) -> tuple[str, ...]:
        user = User(user_id=LONG + end, job_number=LONG + end, ic_number=LONG + end, id_number=LONG + end)
        event, _ = cut_texts(record(uuid=LONG + end, user=user))
        assert isinstance(event, Record)
        assert event.user is not None
        person = event.user
        return event.uuid or "", person.user_id, person.job_number, person.ic_number, person.id_number

    assert all(one != other for one, other in zip(cut("a"), cut("b"), strict=True))
    assert cut_texts(alarm(LONG + "a"))[0] != cut_texts(alarm(LONG + "b"))[0]


@pytest.mark.parametrize(
    "groups",
    [
        tuple(Group(str(n), "g") for n in range(MAX_GROUPS + 1)),
        (Group("1", LONG),),
        (Group(LONG, "g"),),
        (Group("1", "g", {"more": LONG}),),
    ],
    ids=["many", "name", "id", "unknown field"],
)
def test_groups_are_bounded_in_number_and_in_what_each_has(groups: tuple[Group, ...]) -> None:
    cut, problems = cut_texts(record(user=User(name="王", groups=groups)))
    assert isinstance(cut, Record)
    assert cut.user is not None
    assert len(cut.user.groups) <= MAX_GROUPS
    assert not any(group.extra for group in cut.user.groups)
    assert [problem.where for problem in problems] == ["data.user.groups"]


_TEXTS = st.text(string.ascii_letters + "王", max_size=30).map(lambda text: text * 40)


@given(_TEXTS, _TEXTS, _TEXTS, st.lists(_TEXTS, max_size=5))
def test_nothing_is_longer_afterwards_and_a_second_cut_changes_nothing(
    uuid: str, name: str, number: str, groups: list[str]
) -> None:
    user = User(name=name, user_id=number, groups=tuple(Group(text, text) for text in groups))
    cut, problems = cut_texts(record(uuid=uuid, user=user))
    assert longest(cut) <= MAX_TEXT
    assert cut_texts(cut) == (cut, ())
    assert bool(problems) is (longest(record(uuid=uuid, user=user)) > MAX_TEXT)
