from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gatepost.errors import SettingsError
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.base import BaseStore
from gatepost.store.terminals.registry import Conflict

NOW = 1_700_000_000_000
DAY = 86_400_000


@pytest.fixture
def accounts(open_store: Callable[[], BaseStore]) -> Accounts:
    return Accounts(open_store())


def test_an_account_is_found_by_name_and_by_id(accounts: Accounts) -> None:
    made = accounts.create("anna", "viewer", "hash", now_ms=NOW)
    assert accounts.account("anna") == accounts.account(made.id) == made
    assert (made.role, made.password, made.disabled) == ("viewer", "hash", False)
    assert made.created_at == datetime.fromtimestamp(NOW / 1000, UTC)
    assert accounts.account("nobody") is None


def test_a_name_is_taken_once(accounts: Accounts) -> None:
    accounts.create("anna", "viewer", "hash", now_ms=NOW)
    with pytest.raises(Conflict, match="already an account called anna"):
        accounts.create("anna", "admin", "hash", now_ms=NOW)


@pytest.mark.parametrize("other", ["ANNA", "\uff21nna", "anna  "])
def test_a_name_is_taken_however_it_is_written(accounts: Accounts, other: str) -> None:
    made = accounts.create("Anna", "viewer", "hash", now_ms=NOW)
    with pytest.raises(Conflict):
        accounts.create(other, "admin", "hash", now_ms=NOW)
    assert accounts.account(other) == made
    assert made.name == "Anna"


@pytest.mark.parametrize(
    "name",
    [
        "gatepost", "Gatepost", "\uff27atepost", "COMMAND LINE", "command\u00a0 line", "Unknown", "token:payroll",
        "Token:x", "gate\u200bpost", "an\u202ena", "", " ",
        # What is not shown, of categories in which other characters are.
        "admin\u034f", "gatepost\u3164", "command line\ufe0f", "an\u180bna", "anna\U000e0100",
        "an\u17b4na", "anna\u2800",
        # What looks alike.
        "g\u0430t\u0435post", "G\u0410\u0422\u0415\u0420\u041eST", "\u0261atepost", "gatep\u03bfst",
        "command 1ine", "COMMAND LlNE", "comm\u0430nd line", "c0mmand line", "unkn\u03bfwn",
        "u\u03b7known", "t\u043eken:x", "token\u2236x",
    ],
)  # fmt: skip
def test_nothing_is_named_as_the_program_names_itself(accounts: Accounts, name: str) -> None:
    with pytest.raises(SettingsError, match="name"):
        accounts.create(name, "viewer", "hash", now_ms=NOW)
    with pytest.raises(SettingsError, match="name"):
        accounts.create_token(name, "viewer", b"d", by="root", now_ms=NOW)
    assert (accounts.accounts(), accounts.tokens()) == ([], [])


@pytest.mark.parametrize(
    "name",
    ["Анна Петрова", "Ελένη", "अन्ना", "김철수", "王五", "José", "gateposts", "line", "token", "o\u0308ner"],
)
def test_people_have_their_names(accounts: Accounts, name: str) -> None:
    assert accounts.create(name, "viewer", "hash", now_ms=NOW).name == name


def test_every_change_of_an_account_ends_its_sessions(accounts: Accounts) -> None:
    accounts.create("root", "admin", "hash", now_ms=NOW)
    anna = accounts.create("anna", "viewer", "hash", now_ms=NOW)
    for change in ({"role": "operator"}, {"password": "other"}, {"disabled": True}, {"disabled": False}):
        accounts.open_session(anna.id, b"digest", now_ms=NOW, expires_at_ms=NOW + DAY, address="::1")
        accounts.change(anna.id, now_ms=NOW, **change)  # type: ignore[arg-type]
        assert accounts.session(b"digest", now_ms=NOW, idle_ms=DAY) is None


def test_the_last_administrator_cannot_be_lost(accounts: Accounts) -> None:
    root = accounts.create("root", "admin", "hash", now_ms=NOW)
    for change in ({"role": "viewer"}, {"disabled": True}):
        with pytest.raises(Conflict, match="last administrator"):
            accounts.change(root.id, now_ms=NOW, **change)  # type: ignore[arg-type]
    found = accounts.account("root")
    assert found is not None
    assert (found.role, found.disabled) == ("admin", False)


def test_the_last_administrator_of_every_site_cannot_be_lost(accounts: Accounts) -> None:
    root = accounts.create("root", "admin", "hash", now_ms=NOW)
    accounts.create("anna", "admin", "hash", now_ms=NOW, sites=[1])
    with pytest.raises(Conflict, match="last administrator of every site"):
        accounts.change(root.id, now_ms=NOW, sites=[1])
    with pytest.raises(Conflict, match="last administrator of every site"):
        accounts.change(root.id, now_ms=NOW, disabled=True)
    found = accounts.account("root")
    assert found is not None
    assert (found.sites, found.disabled) == (None, False)


def test_accounts_and_tokens_know_their_sites(open_store: Callable[[], BaseStore]) -> None:
    store = open_store()
    second = store.create_site("Hamburg", "Europe/Berlin", now_ms=0).id
    accounts = Accounts(store)
    accounts.create("root", "admin", "hash", now_ms=NOW)
    anna = accounts.create("anna", "viewer", "hash", now_ms=NOW, sites=[second, 1, second])
    assert anna.sites == (1, second)
    accounts.open_session(anna.id, b"digest", now_ms=NOW, expires_at_ms=NOW + DAY, address="::1")
    assert accounts.session(b"digest", now_ms=NOW, idle_ms=DAY) == anna
    changed = accounts.change(anna.id, now_ms=NOW, sites=[second])
    assert changed is not None
    assert changed.sites == (second,)
    assert accounts.session(b"digest", now_ms=NOW, idle_ms=DAY) is None
    kept = accounts.change(anna.id, now_ms=NOW, role="operator")
    assert kept is not None
    assert kept.sites == (second,)
    everywhere = accounts.change(anna.id, now_ms=NOW, sites=None)
    assert everywhere is not None
    assert everywhere.sites is None
    accounts.create_token("tv", "viewer", b"d1", by="root", now_ms=NOW, sites=[second])
    token = accounts.token(b"d1", now_ms=NOW)
    assert token is not None
    assert token.sites == accounts.tokens()[0].sites == (second,)
    assert (accounts.site_named("Hamburg"), accounts.site_named("Bremen")) == (second, None)


@pytest.mark.parametrize(("sites", "says"), [([7], "there is no site 7"), ([], "one site at least")])
def test_sites_that_there_are_not_are_refused(accounts: Accounts, sites: list[int], says: str) -> None:
    anna = accounts.create("anna", "admin", "hash", now_ms=NOW)
    with pytest.raises(ValueError, match=says):
        accounts.create("berta", "viewer", "hash", now_ms=NOW, sites=sites)
    with pytest.raises(ValueError, match=says):
        accounts.change(anna.id, now_ms=NOW, sites=sites)
    with pytest.raises(ValueError, match=says):
        accounts.create_token("tv", "viewer", b"d1", by="root", now_ms=NOW, sites=sites)
    assert accounts.account("berta") is None
    assert accounts.tokens() == []


def test_a_session_ends_by_its_age_by_idleness_and_by_being_closed(accounts: Accounts) -> None:
    anna = accounts.create("anna", "admin", "hash", now_ms=NOW)

    def alive(at: int) -> bool:
        return accounts.session(b"digest", now_ms=at, idle_ms=DAY) == anna

    accounts.open_session(anna.id, b"digest", now_ms=NOW, expires_at_ms=NOW + 3 * DAY, address="::1")
    assert alive(NOW + DAY - 1)
    assert alive(NOW + 2 * DAY - 2)  # it was used a day ago
    assert not alive(NOW + 3 * DAY)
    assert not alive(NOW + 2 * DAY - 2 + DAY)
    accounts.close_session(b"digest")
    assert not alive(NOW)


def test_sessions_that_are_over_are_forgotten(accounts: Accounts) -> None:
    anna = accounts.create("anna", "admin", "hash", now_ms=NOW)
    accounts.open_session(anna.id, b"old", now_ms=NOW, expires_at_ms=NOW + 1, address="::1")
    accounts.open_session(anna.id, b"new", now_ms=NOW + 1, expires_at_ms=NOW + DAY, address="::1")
    assert accounts.session(b"old", now_ms=NOW, idle_ms=DAY) is None
    assert accounts.session(b"new", now_ms=NOW + 1, idle_ms=DAY) == anna


def test_a_token_is_good_until_it_expires_or_is_withdrawn(accounts: Accounts) -> None:
    made = accounts.create_token("payroll", "viewer", b"d1", by="root", now_ms=NOW, expires_at_ms=NOW + DAY)
    forever = accounts.create_token("tv", "viewer", b"d2", by="root", now_ms=NOW)
    found = accounts.token(b"d1", now_ms=NOW + DAY - 1)
    assert found is not None
    assert (found.name, found.role, found.created_by) == ("payroll", "viewer", "root")
    assert accounts.token(b"d1", now_ms=NOW + DAY) is None
    assert accounts.token(b"nobody's", now_ms=NOW) is None
    assert accounts.revoke_token(forever.id, now_ms=NOW)
    assert not accounts.revoke_token(forever.id, now_ms=NOW)
    assert accounts.token(b"d2", now_ms=NOW) is None
    assert [row.id for row in accounts.tokens()] == [forever.id, made.id]


def test_a_token_may_no_more_than_its_account_may_now(accounts: Accounts) -> None:
    accounts.create("root", "admin", "hash", now_ms=NOW)
    anna = accounts.create("anna", "admin", "hash", now_ms=NOW)
    for name in ("admin", "viewer"):
        accounts.create_token(name, name, name.encode(), by="anna", account_id=anna.id, now_ms=NOW)  # type: ignore[arg-type]

    def roles() -> list[str]:
        found = [accounts.token(name, now_ms=NOW) for name in (b"admin", b"viewer")]
        assert [row.role for row in accounts.tokens()] == [one.role for one in reversed(found) if one]
        return [one.role for one in found if one is not None]

    assert roles() == ["admin", "viewer"]
    for role, expected in (
        ("operator", ["operator", "viewer"]),
        ("viewer", ["viewer", "viewer"]),
        ("guard", ["guard", "guard"]),
        ("admin", ["admin", "viewer"]),
    ):
        accounts.change(anna.id, now_ms=NOW, role=role)  # type: ignore[arg-type]
        assert roles() == expected


def test_a_token_has_no_site_that_its_account_has_lost(open_store: Callable[[], BaseStore]) -> None:
    store = open_store()
    second = store.create_site("Hamburg", "Europe/Berlin", now_ms=0).id
    accounts = Accounts(store)
    accounts.create("root", "admin", "hash", now_ms=NOW)
    anna = accounts.create("anna", "admin", "hash", now_ms=NOW)
    for name, sites in ((b"every", None), (b"both", [1, second]), (b"first", [1])):
        accounts.create_token(
            name.decode(), "admin", name, by="anna", account_id=anna.id, now_ms=NOW, sites=sites
        )

    def seen() -> list[tuple[int, ...] | str | None]:
        found = [accounts.token(name, now_ms=NOW) for name in (b"every", b"both", b"first")]
        return ["refused" if one is None else one.sites for one in found]

    assert seen() == [None, (1, second), (1,)]
    accounts.change(anna.id, now_ms=NOW, sites=[second])
    assert seen() == [(second,), (second,), "refused"]
    assert [row.sites for row in accounts.tokens()] == [(), (second,), (second,)]
    accounts.change(anna.id, now_ms=NOW, sites=None)
    assert seen() == [None, (1, second), (1,)]


def test_a_token_is_lowered_by_a_login_at_an_identity_provider(accounts: Accounts) -> None:
    carla = accounts.of_subject("https://id 1", "carla", "admin", now_ms=NOW, sites=None)
    accounts.create_token("hr", "admin", b"hr", by="carla", account_id=carla.id, now_ms=NOW)
    accounts.of_subject("https://id 1", "carla", "guard", now_ms=NOW, sites=None)
    token = accounts.token(b"hr", now_ms=NOW)
    assert token is not None
    assert token.role == "guard"


def test_when_a_token_was_last_used_is_known_to_the_minute(accounts: Accounts) -> None:
    accounts.create_token("payroll", "viewer", b"d1", by="root", now_ms=NOW)
    for later in (0, 59_999, 60_000, 60_001):
        accounts.token(b"d1", now_ms=NOW + later)
    assert accounts.tokens()[0].last_used_at == datetime.fromtimestamp(NOW / 1000 + 60, UTC)


def test_the_audit_log_is_paged_latest_first(accounts: Accounts) -> None:
    for number in range(5):
        accounts.note(
            now_ms=NOW + number,
            actor="root",
            address="::1",
            action="a",
            subject=str(number),
            detail={"n": number},
        )
    accounts.note(now_ms=NOW + 9, actor="anna", address="::1", action="b")
    first = accounts.audit(limit=4, action="a")
    rest = accounts.audit(limit=4, action="a", cursor=first.next_cursor)
    assert [row.subject for row in (*first.items, *rest.items)] == ["4", "3", "2", "1", "0"]
    assert rest.next_cursor is None
    assert first.items[0].detail == {"n": 4}
    assert [row.action for row in accounts.audit(actor="anna").items] == ["b"]
    with pytest.raises(ValueError, match="cursor"):
        accounts.audit(cursor="x")
