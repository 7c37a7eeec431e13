"""Views: own and shared ones, under whose rights they are listed, and with what they leave."""

from collections.abc import Callable

import pytest
from tests.store.events import arrival, record

from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.rows import Role
from gatepost.store.accounts.saved_views import MAX_VIEWS, Reader, SavedView, SavedViews
from gatepost.store.base import BaseStore
from gatepost.store.interface import EVERYTHING, Visible
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.terminal_removal import remove_terminal
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict
from gatepost.wire import User

OF_SITE_1 = Visible(sites=frozenset({1}))


class Desk:
    """A store with a second site, and the views that accounts see."""

    def __init__(self, store: BaseStore) -> None:
        self.store = store
        store.create_site("Harbour", "UTC", now_ms=0)
        accounts = Accounts(store)
        self.accounts = {
            name: accounts.create(name, "operator", "hash", now_ms=0).id for name in ("anna", "bert")
        }

    def of(self, name: str, role: Role = "operator", visible: Visible = EVERYTHING) -> SavedViews:
        reader = Reader(account_id=self.accounts.get(name), role=role, every_site=visible.sites is None)
        return SavedViews(self.store.seen_by(visible), reader)

    def save(
        self, owner: str, called: str, *, page: str = "records", shared: bool = False, **filters: str
    ) -> SavedView:
        return self.of(owner).save(page, called, filters, shared=shared, by=owner, now_ms=1)

    def names(self, name: str, role: Role = "operator", visible: Visible = EVERYTHING) -> list[str]:
        return [one.name for one in self.of(name, role, visible).all()]


@pytest.fixture
def desk(open_store: Callable[[], BaseStore]) -> Desk:
    return Desk(open_store())


def test_one_sees_ones_own_and_those_that_are_shared(desk: Desk) -> None:
    mine = desk.save("anna", "Refused", passed="false")
    desk.save("anna", "Strangers", shared=True, strangers="true")
    assert desk.names("anna") == ["Refused", "Strangers"]
    assert desk.names("bert") == ["Strangers"]
    assert desk.names("a token") == ["Strangers"]
    assert desk.of("bert").view(mine.id) is None
    assert desk.of("bert").delete(mine.id) is None
    assert desk.of("anna").view(mine.id) == mine
    assert (mine.filters, mine.may_change, mine.is_start) == ({"passed": "false"}, True, False)


def test_what_a_reader_may_not_see_is_not_listed(desk: Desk) -> None:
    desk.store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    other = desk.store.create_terminal(now_ms=0, serial="SN-2", site_id=2)
    for called, filters in (
        ("all", {"passed": "false"}),
        ("here", {"site": "1", "terminal": "SN-1"}),
        ("site", {"site": "2"}),
        ("terminal", {"terminal": "SN-2"}),
    ):
        desk.save("anna", called, shared=True, **filters)
    desk.save("anna", "wall", page="live", shared=True, terminals=f"1,{other.id}")
    assert desk.names("bert", "viewer", OF_SITE_1) == ["all", "here"]
    assert len(desk.names("bert")) == 5
    assert desk.names("bert", "guard") == ["wall"]
    assert desk.names("bert", "guard", OF_SITE_1) == []
    # What was deleted is at no site; the page says so.
    desk.store.update_terminal(other.id, state="retired")
    assert remove_terminal(desk.store, other.id) is not None
    assert desk.names("bert", "guard", OF_SITE_1) == ["wall"]
    desk.save("anna", "no id", page="live", shared=True, terminals="1," + "9" * 30)
    assert desk.names("bert", "guard", OF_SITE_1) == ["no id", "wall"]


def test_who_shared_a_view_and_administrators_change_it(desk: Desk) -> None:
    one = desk.save("anna", "Strangers", shared=True, strangers="true")
    assert desk.of("bert").change(one.id, name="Mine") is None
    assert desk.of("bert", "admin", OF_SITE_1).delete(one.id) is None
    changed = desk.of("bert", "admin").change(
        one.id, name="Unknown faces", filters={"strangers": "true", "q": ""}
    )
    assert changed is not None
    assert (changed.name, changed.filters) == ("Unknown faces", {"strangers": "true"})
    assert desk.of("anna").delete(one.id) is not None
    assert desk.names("anna") == []


def test_a_view_that_is_shared_no_more_begins_no_page_of_others(desk: Desk) -> None:
    one = desk.save("anna", "Strangers", shared=True, strangers="true")
    for name in ("anna", "bert"):
        begun = desk.of(name).begin_with(one.id, start=True)
        assert begun is not None
        assert begun.is_start
    desk.of("anna").change(one.id, shared=False)
    assert desk.names("bert") == []
    assert desk.of("anna").all()[0].is_start
    with desk.store.reading() as db:
        assert len(db.execute(t.view_starts.select()).all()) == 1


def test_a_page_begins_with_one_view(desk: Desk) -> None:
    first, second = desk.save("anna", "A", passed="true"), desk.save("anna", "B", passed="false")
    for one in (first, second):
        desk.of("anna").begin_with(one.id, start=True)
    assert [one.is_start for one in desk.of("anna").all()] == [False, True]
    desk.of("anna").begin_with(second.id, start=False)
    assert [one.is_start for one in desk.of("anna").all()] == [False, False]
    with pytest.raises(ValueError, match="belongs to no user"):
        desk.of("a token").begin_with(first.id, start=True)


@pytest.mark.parametrize(
    ("page", "name", "filters", "why"),
    [
        ("records", " ", {}, "name: use 1 to 64"),
        ("records", "x" * 65, {}, "name: use 1 to 64"),
        ("nowhere", "x", {}, "page: choose one of"),
        ("alarms", "x", {"passed": "true"}, "alarms has no `passed`"),
        ("records", "x", {"q": "x" * 1001}, "q has more than 1000"),
        ("records", "x", dict.fromkeys(("q", "name", "person"), "x" * 900), "more than 2000 characters"),
        ("records", "x", {"period": "year"}, "period is one of today, day, week"),
    ],
)
def test_what_is_no_view_is_refused_by_name(
    desk: Desk, page: str, name: str, filters: dict[str, str], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        desk.of("anna").save(page, name, filters, shared=False, by="anna", now_ms=1)


def test_names_are_taken_once_and_views_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.save("anna", "Refused", passed="false")
    with pytest.raises(Conflict, match="already"):
        desk.save("anna", " refused")
    desk.save("anna", "Refused", page="alarms")
    desk.save("bert", "Refused")
    assert MAX_VIEWS == 100
    monkeypatch.setattr("gatepost.store.accounts.saved_views.MAX_VIEWS", 2)
    with pytest.raises(Conflict, match="delete one first"):
        desk.save("anna", "Another")


def test_ones_own_views_leave_with_a_disabled_user_and_shared_ones_stay(desk: Desk) -> None:
    own = desk.save("anna", "Refused", passed="false")
    desk.save("anna", "Strangers", shared=True, strangers="true")
    desk.of("anna").begin_with(own.id, start=True)
    Accounts(desk.store).create("root", "admin", "hash", now_ms=0)
    Accounts(desk.store).change(desk.accounts["anna"], now_ms=2, disabled=True)
    assert desk.names("anna") == ["Strangers"]
    with desk.store.reading() as db:
        assert db.execute(t.view_starts.select()).all() == []


def test_who_is_erased_is_in_no_view(desk: Desk) -> None:
    desk.store.create_terminal(now_ms=0, serial="SN-1", site_id=1)
    user = User(user_id="4711", name="Anna Bauer", type=1, job_number="J-9")
    desk.store.write([arrival(record(1, serial="SN-1", user=user), 1)])
    for called, filters in (
        ("name", {"q": "anna  BAUER"}),
        ("number", {"person": "4711"}),
        ("job", {"job_number": "J-9"}),
        ("part", {"name": "Ann"}),
        ("other", {"q": "Bert"}),
    ):
        desk.save("anna", called, **filters)
    erase(desk.store, Whom(user_id="4711"), now_ms=2)
    assert desk.names("anna") == ["other", "part"]
