"""Filters: out of an address, out of a form, into a question to the store."""

from datetime import UTC, datetime
from typing import Any

import pytest
from litestar.exceptions import ClientException
from tests.console.test_desk import asked, desk

from gatepost.console.desk import Desk
from gatepost.console.input.filter_names import PEOPLE, RECORDS
from gatepost.console.input.filters import Filters
from gatepost.console.input.forms import Form
from gatepost.store.interface import RecordQuery
from gatepost.store.people.groups import Group

assert desk  # a fixture


def filters(desk: Desk, **query: Any) -> Filters:
    return Filters(asked(desk, "/records", **query))


def test_every_filter_of_the_api_is_one_of_the_page() -> None:
    of_the_api = set(RecordQuery.__struct_fields__) - {"limit", "cursor", "include_held"}
    # `site` is one, and `without_serial` is a choice among terminals.
    assert of_the_api - {"site_id", "without_serial"} == set(RECORDS) - {"site"}


def test_an_address_becomes_a_question(desk: Desk) -> None:
    asked_for = filters(
        desk, person="5", job_number="J1", recognition_type="3", passed="false", abnormal_type="40001", entry_mode="1",
        has_image="true", order="oldest", site="1", q=desk.seal.close("王"), name=desk.seal.close("五"),
        terminal="SN-9", strangers="true", outside_time="true",
    )  # fmt: skip
    assert asked_for.records() == RecordQuery(
        person="5", job_number="J1", recognition_type=3, passed=False, abnormal_type=40001, entry_mode=1,
        has_image=True, order="oldest", site_id=1, q="王", name="五", terminal="SN-9",
        strangers=True, outside_time=True,
    )  # fmt: skip
    assert asked_for.wrong == []


def test_a_local_time_is_of_the_terminals_clock_or_else_the_sites(desk: Desk) -> None:
    desk.whole.update_site(1, timezone="Asia/Shanghai")
    desk.whole.create_terminal(now_ms=0, serial="NY", timezone="America/New_York")
    at = "2024-05-06T08:00"
    assert filters(desk, since=at).records().since == datetime(2024, 5, 6, 0, 0, tzinfo=UTC)
    there = filters(desk, since=at, terminal="NY")
    assert there.records().since == datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
    assert there.records().terminal == "NY"
    assert filters(desk, since="2024-05-06T08:00:00Z").records().since == datetime(2024, 5, 6, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    ["1714550400000", "2024-05-01T08:00:00.000000 0000", "2024-05-01 16:00:00 +0800", "2024-05-01T16:00"],
)
def test_a_time_is_read_as_the_api_reads_it_and_shown_by_the_sites_clocks(desk: Desk, written: str) -> None:
    desk.whole.update_site(1, timezone="Asia/Shanghai")
    found = filters(desk, since=written)
    assert found.records().since == datetime(2024, 5, 1, 8, 0, tzinfo=UTC)
    assert found.clock("since") == "2024-05-01T16:00"
    assert found.chips()[0][1] == "2024-05-01 16:00"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("passed", "maybe"),
        ("recognition_type", "x"),
        ("since", "soon"),
        ("site", "1e9"),
        ("entry_mode", "9" * 40),
    ],
)
def test_a_value_that_makes_no_sense_does_not_filter_and_is_said(desk: Desk, name: str, value: str) -> None:
    found = filters(desk, **{name: value})
    assert found.records() == RecordQuery()
    assert len(found.wrong) == 1


def test_a_form_becomes_an_address_in_which_nobody_is_called_by_name(desk: Desk) -> None:
    form = Form("q=王五&passed=true&since=&terminal=++&name=赵&unknown=1".encode())
    address = filters(desk).address("/records", form)
    assert address.startswith("/records?q=~")
    assert "passed=true" in address
    assert "since" not in address
    assert "unknown" not in address
    assert "%" not in address


def test_plain_words_in_an_address_are_sealed(desk: Desk) -> None:
    found = filters(desk, q="王五", passed="true")
    sealed = found.sealed()
    assert sealed is not None
    assert sealed.startswith("/records?q=~")
    assert filters(desk, q=desk.seal.close("王五")).sealed() is None


def test_a_seal_of_another_receiver_is_said_and_filters_nothing(desk: Desk) -> None:
    found = filters(desk, q="~AAAAAAAAAAAAAAAAAAAAAAAA")
    assert found.unsealed
    assert found.records() == RecordQuery()


def test_chips_say_in_words_what_is_filtered_by(desk: Desk) -> None:
    found = filters(desk, recognition_type="3", passed="false", q=desk.seal.close("王"))
    assert [(title, value) for title, value, _ in found.chips()] == [
        ("Name or number", "王"),
        ("Recognised as", "stranger"),
        ("Result", "refused"),
    ]
    assert found.chips()[2][2].endswith("recognition_type=3&q=" + desk.seal.close("王"))


def test_people_are_filtered_by_group_and_kind(desk: Desk) -> None:
    view = asked(desk, "/people", group="3", type="2", site="1", passed="true")
    query = Filters(view, PEOPLE).people()
    assert (query.group, query.type, query.site_id) == ("3", 2, 1)


def test_terminals_are_chosen_by_name_at_their_site_and_by_serial_where_names_are_alike(desk: Desk) -> None:
    campus = desk.whole.create_site("Campus", "UTC", now_ms=0)
    made = [
        desk.whole.create_terminal(now_ms=0, **values).id
        for values in (
            {"serial": "SN-1", "name": "Gate", "site_id": campus.id},
            {"serial": "SN-2", "name": "Gate"},
            {"serial": "SN-3"},
            {"name": "Lift"},
            {"serial": "SN-5", "name": "Held", "state": "held"},
        )
    ]
    found = filters(desk)
    assert found.terminal_options() == [
        ("Campus", [("SN-1", "Gate (SN-1)")]),
        ("default", [("SN-2", "Gate (SN-2)"), (f"#{made[3]}", "Lift"), ("SN-3", "SN-3")]),
    ]
    for asked_for, chosen, other, chip in (
        ("SN-1", "SN-1", None, "Gate (SN-1)"),
        (str(made[0]), "SN-1", None, "Gate (SN-1)"),
        ("Lift", f"#{made[3]}", None, "Lift"),
        ("Gate", "Gate", ("Gate", "Gate"), "Gate"),
        ("SN-9", "SN-9", ("SN-9", "SN-9"), "SN-9"),
        ("SN-5", "SN-5", ("SN-5", "Held"), "Held"),
        ("without-serial", "without-serial", None, "without a serial"),
    ):
        found = filters(desk, terminal=asked_for)
        assert (found.terminal_value, found.other_terminal) == (chosen, other)
        assert [value for _, value, _ in found.chips()] == [chip]
    assert filters(desk, terminal="without-serial").records() == RecordQuery(without_serial=True)


def test_chips_say_names_and_no_numbers(desk: Desk) -> None:
    campus = desk.whole.create_site("Campus", "UTC", now_ms=0)
    groups = [Group("研发", ("53", "7")), Group("", ("9",)), Group("Sales", ("9",))]

    def chips(**query: Any) -> list[str]:
        found = Filters(asked(desk, "/people", **query), PEOPLE, groups=groups)
        return [value for _, value, _ in found.chips()]

    for site in (str(campus.id), "Campus"):
        assert chips(site=site) == ["Campus"]
    for group, shown in (
        ("53", "研发"),
        ("7", "研发"),
        ("研发", "研发"),
        ("9", "No name (9) · Sales"),
        ("#9", "No name (9)"),
        ("x", "x"),
    ):
        assert chips(group=group) == [shown]
    chosen = Filters(asked(desk, "/people", group="53"), PEOPLE, groups=groups)
    assert chosen.group_options() == [("研发", "研发"), ("#9", "No name (9)"), ("Sales", "Sales")]
    assert chosen.group_value == "研发"


def test_what_does_not_filter_is_no_chip_and_no_file_is_made_of_it(desk: Desk) -> None:
    for query in ({"site": "9"}, {"since": "soon"}, {"passed": "maybe"}, {"q": "~AAAAAAAAAAAAAAAAAAAAAAAA"}):
        found = filters(desk, person="5", **query)
        found.records()
        assert [title for title, _, _ in found.chips()] == ["User id"]
        with pytest.raises(ClientException, match="no file is made"):
            found.for_file("format")
    for misspelt in ("teminal", "day"):
        found = filters(desk, **{misspelt: "1"})
        with pytest.raises(ClientException, match=misspelt):
            found.for_file("format")
    found = filters(desk, format="csv", terminal="SN-9", q=desk.seal.close("王"))
    found.records()
    found.for_file("format")
