from datetime import UTC, datetime, timedelta

from gatepost.simulator.world.people import VISITORS_GROUP, make_site
from gatepost.wire.codes import UserType

DAY = datetime(2026, 1, 5, tzinfo=UTC)


def test_the_same_seed_gives_the_same_site_and_another_seed_another() -> None:
    assert make_site(3) == make_site(3)
    assert {who.name for who in make_site(3).employees} != {who.name for who in make_site(4).employees}


def test_a_larger_site_begins_with_the_people_of_the_smaller_one() -> None:
    assert make_site(3, employees=50).employees[:10] == make_site(3, employees=10).employees


def test_everybody_has_a_number_of_their_own() -> None:
    people = make_site(3, employees=500, visitors=50, blacklist=50, strangers=50).people
    assert len({who.number for who in people}) == len(people) == 650


def test_names_are_chinese_and_international() -> None:
    names = [who.name or "" for who in make_site(3, employees=400).employees]
    chinese = [name for name in names if all("\u4e00" <= letter <= "\u9fff" for letter in name)]
    assert 0.4 < len(chinese) / len(names) < 0.8
    assert any(name.isascii() for name in names)
    assert any("\u0600" <= letter <= "\u06ff" for name in names for letter in name)


def test_what_is_said_of_a_person_fits_the_limits_of_the_terminals() -> None:
    for who in make_site(3, employees=400).people:
        user = who.user(DAY)
        if user is None:
            continue
        for text in (user.name, user.ic_number, user.id_number, user.job_number):
            assert len(text.encode()) <= 128
        assert len(user.remark.encode()) <= 256


def test_a_visitor_has_hours_and_belongs_to_the_visitors() -> None:
    for who in make_site(3).visitors:
        user = who.user(DAY)
        assert user is not None
        assert who.visit is not None
        assert user.guest_from == DAY + timedelta(hours=who.visit[0])
        assert user.guest_until == DAY + timedelta(hours=who.visit[1])
        assert user.groups == (VISITORS_GROUP,)
        assert user.type == UserType.VISITOR


def test_a_stranger_has_a_face_and_nothing_else() -> None:
    stranger = make_site(3).strangers[0]
    assert stranger.user(DAY) is None
    assert stranger.portrait().startswith(b"\xff\xd8")
