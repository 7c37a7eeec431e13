"""Names and departments for numbers: the file, the check, and who is called what; on both databases."""

from collections.abc import Callable

import pytest
from tests.store.events import NOON, arrival, record

from gatepost.store.base import BaseStore
from gatepost.store.interface import RecordQuery, Visible
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.people.staff import MAX_ROWS, Entry, Fault, Staff, parse
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.wire import Group, User

FILE = b"number,name,department\n5,Anna Meier,Sales\n6,,Works\n9,Never Seen,Sales\n"


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    """Terminals know 5 without a name, at two sites, and 6 as Bert of the guards."""
    store = open_store()
    store.create_site("Hamburg", "UTC", now_ms=0)
    for site in (1, 2):
        store.create_terminal(now_ms=0, serial=f"SN-{site}", site_id=site)
    bert = User(user_id="6", name="Bert", groups=(Group(id="1", name="Guards"),))
    for number, (user, site) in enumerate(((User(user_id="5"), 1), (User(user_id="5"), 2), (bert, 1))):
        store.write([arrival(record(number, recorded_at=NOON, user=user), site)])
    return store


def people(store: BaseStore, **query: object) -> dict[tuple[str, int], tuple[str, list[str]]]:
    page = People(store, Rules()).page(PeopleQuery(**query))  # type: ignore[arg-type]
    return {
        (one.user_id, one.site_id): (one.name, [group["name"] for group in one.groups]) for one in page.items
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_file_is_read_in_either_language_and_from_any_spreadsheet(encoding: str, mark: str) -> None:
    text = "\r\n".join(
        mark.join(row) for row in (["编号", "部门", "姓名"], ["05", "销售", " 王 五 "], ["", "", ""])
    )
    assert parse(text.encode(encoding)) == ([Entry("05", "王 五", "销售")], [])


def test_what_is_wrong_with_a_line_is_said_with_its_number() -> None:
    lines = ["number,name", "5,Anna", ",Bert", "7,", "5,Carla", f"8,{'x' * 129}", "9,Dora"]
    entries, faults = parse("\n".join(lines).encode())
    assert [one.user_id for one in entries] == ["5", "9"]
    assert faults == [
        Fault(3, "has no number"),
        Fault(4, "has neither a name nor a department"),
        Fault(5, "has the number of line 2"),
        Fault(6, "has a cell of more than 128 characters"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the first line has to name the columns"),
        (b"5,Anna\n6,Bert\n", "the first line has to name the columns"),
        (b"number\n5\n", "the first line has to name the columns"),
        (b"number,name\n5,\xff\xff\xff\n", "neither UTF-8 nor GB18030"),
        (b"number,name\n5,a\0b\n", "NUL"),
        (b"number,name\n" + b"".join(b"%d,x\n" % n for n in range(MAX_ROWS + 1)), "more than 20000 rows"),
    ],
)
def test_what_is_no_such_file_is_said(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(content)


def test_a_check_says_what_an_import_would_do_and_stores_nothing(store: BaseStore) -> None:
    before, staff = people(store), Staff(store)
    found = staff.load(FILE, site_id=None, check=True, now_ms=1)
    assert (found.rows, found.new, found.changed, found.same, found.faults) == (3, 3, 0, 0, ())
    assert people(store) == before
    assert staff.load(FILE, site_id=None, check=False, now_ms=1) == found
    again = staff.load(FILE.replace(b"Meier", b"Mayer"), site_id=None, check=True, now_ms=1)
    assert (again.new, again.changed, again.same) == (0, 1, 2)
    wrong = staff.load(b"number,name\n10,Emil\n,Fritz\n", site_id=None, check=False, now_ms=1)
    assert (wrong.rows, wrong.faults) == (1, (Fault(3, "has no number"),))
    assert staff.load(b"number,name\n10,Emil\n", site_id=None, check=True, now_ms=1).new == 1


def test_people_have_the_imported_name_and_department(store: BaseStore) -> None:
    records = store.records(RecordQuery())
    Staff(store).load(FILE, site_id=None, check=False, now_ms=1)
    assert people(store) == {
        ("5", 1): ("Anna Meier", ["Sales"]),
        ("5", 2): ("Anna Meier", ["Sales"]),
        ("6", 1): ("Bert", ["Guards", "Works"]),
    }
    assert store.records(RecordQuery()) == records
    # Of one site it goes before that of every site.
    Staff(store).load(b"number,name\n5,Annette\n", site_id=2, check=False, now_ms=2)
    assert people(store)["5", 2] == ("Annette", [])
    assert people(store)["5", 1] == ("Anna Meier", ["Sales"])
    assert Staff(store).clear(2) == 1
    assert people(store)["5", 2] == ("Anna Meier", ["Sales"])


def test_people_are_found_by_imported_name_and_department(store: BaseStore) -> None:
    Staff(store).load(FILE, site_id=1, check=False, now_ms=1)
    assert set(people(store, q="meier")) == {("5", 1)}
    assert set(people(store, group="sales")) == {("5", 1)}
    assert set(people(store, group="Works")) == {("6", 1)}
    assert set(people(store, group="Guards")) == {("6", 1)}
    groups = People(store, Rules()).groups
    assert [group.name for group in groups()] == ["Guards", "Sales", "Works"]
    assert groups(2) == []
    elsewhere = People(store.seen_by(Visible(sites=frozenset({2}))), Rules())
    assert elsewhere.groups() == []
    assert elsewhere.page(PeopleQuery(q="meier")).items == ()
    assert elsewhere.page(PeopleQuery(group="Sales")).items == ()


def test_erasing_a_person_erases_the_imported_name(store: BaseStore) -> None:
    Staff(store).load(FILE, site_id=None, check=False, now_ms=1)
    erase(store, Whom(user_id="5", site_id=1), now_ms=2)
    left = Staff(store).load(FILE, site_id=None, check=True, now_ms=3)
    assert (left.new, left.same) == (1, 2)
