"""The frame of a page: addresses, what was done, and where one may be led."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import RequestFactory
from tests.receiver.kit import opened

from gatepost.console.desk import LISTED_WITHIN_S, NAV, Desk, View, local_path
from gatepost.console.words import words
from gatepost.errors import JournalUnavailable
from gatepost.receiver.auth.principal import Principal
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.rows import Role


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = opened(tmp_path / "data")
    yield Desk(store, ReceiverSettings(), Lag, {}, now=lambda: 1_700_000_000.0)
    store.close()


def asked(desk: Desk, path: str, *, root: str = "", role: Role = "admin", **query: Any) -> View:
    request = RequestFactory().get(path, query_params=query)
    request.scope["root_path"] = root
    request.scope["user"] = Principal("anna", role, 1)
    return desk.view(request)


def test_behind_a_proxy_every_address_begins_with_its_prefix(desk: Desk) -> None:
    view = asked(desk, "/gate/records", root="/gate", passed="true")
    assert view.path == "/records"
    assert view.at("/people/5") == "/gate/people/5"
    assert view.here(cursor="c") == "/gate/records?passed=true&cursor=c"
    assert view.back == "/records?passed=true"
    assert view.go("/alarms", done="saved").headers["location"] == "/gate/alarms?done=saved"


@pytest.mark.parametrize("text", ["王", "é", "\ud800", "\r\nx"])
def test_where_a_form_leads_is_an_address_whatever_was_sent(desk: Desk, text: str) -> None:
    address = asked(desk, "/records").go(f"/people?q={text}").headers["location"]
    assert address.startswith("/people?q=")
    assert address.isascii()
    assert address.isprintable()


def test_an_address_with_something_changed_keeps_the_rest(desk: Desk) -> None:
    view = asked(desk, "/records", passed="true", q="~abc", done="saved")
    assert view.here(passed=None, order="oldest") == "/records?q=~abc&order=oldest"
    assert view.at("/records", since="", until=None, q="~a-_b") == "/records?q=~a-_b"


def test_a_page_is_not_offered_to_whoever_may_not_see_it(desk: Desk) -> None:
    seen = {role: asked(desk, "/", role=role) for role in ("viewer", "admin")}
    offered = {role: [name for name, _, needed in NAV if view.may(needed)] for role, view in seen.items()}  # type: ignore[attr-defined]
    assert "settings" not in offered["viewer"]
    assert offered["admin"] == [name for name, _, _ in NAV]


def test_what_was_done_is_told_by_a_key_and_never_by_words_of_a_link(desk: Desk) -> None:
    told = asked(desk, "/account", done="saved").page(
        "account.html", active="account", problem=None, sites=None
    )
    assert b"Saved." in told.content
    made_up = asked(desk, "/account", done="Call 555-1234").page(
        "account.html", active="account", problem=None, sites=None
    )
    assert b"555" not in made_up.content


def test_the_seal_is_the_same_after_a_restart(tmp_path: Path) -> None:
    sealed = []
    for _ in range(2):
        store = opened(tmp_path / "data")
        sealed.append(Desk(store, ReceiverSettings(), Lag, {}, now=lambda: 0.0).seal.close("王五"))
        store.close()
    assert sealed[0] == sealed[1]


@pytest.mark.parametrize("path", ["/", "/records?q=~abc", "/people/5?day=2024-05-06"])
def test_one_is_led_to_a_page_of_ours(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        None,
        "records",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/a\nb",
        "/\t/evil",
        " /",
    ],
)
def test_one_is_never_led_elsewhere(path: str | None) -> None:
    assert local_path(path, "/safe") == "/safe"


def test_templates_are_ready_before_somebody_asks(desk: Desk) -> None:
    desk.make_ready()
    assert desk.templates.cache is not None
    assert len(desk.templates.cache) == len(desk.templates.list_templates())


def test_whoever_is_logged_in_is_told_what_may_be_fetched_ahead(desk: Desk) -> None:
    page = asked(desk, "/gate/account", root="/gate").page(
        "account.html", active="account", problem=None, sites=None
    )
    rules = page.headers["speculation-rules"].strip('"').removeprefix("/gate/static/")
    assert desk.assets.answer(rules, "").media_type == "application/speculationrules+json"


@pytest.mark.parametrize(
    ("lag", "told"),
    [
        (Lag(), None),
        (Lag(events=5, bytes=900, oldest_s=LISTED_WITHIN_S), None),
        (
            Lag(events=5, bytes=900, oldest_s=LISTED_WITHIN_S + 1),
            "5 events are received and safe, but not listed yet; they are listed as soon as the database keeps up.",
        ),
        (
            Lag(events=1, bytes=900, oldest_s=0.1, is_away=True),
            "1 event is received and safe, but not listed yet; the database takes nothing now.",
        ),
        (
            Lag(events=12_345, bytes=9_000_000, oldest_s=3600, is_away=True),
            "12,345 events are received and safe, but not listed yet; the database takes nothing now.",
        ),
    ],
)
def test_events_that_wait_to_be_listed_are_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, lag: Lag, told: str | None
) -> None:
    monkeypatch.setattr(desk, "_lag", lambda: lag)
    assert desk.unlisted(words("en")) == told


def test_a_journal_that_cannot_be_read_costs_no_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Lag:
        raise JournalUnavailable("no")

    monkeypatch.setattr(desk, "_lag", fail)
    assert (
        asked(desk, "/account").page("account.html", active="account", problem=None, sites=None).status_code
        == 200
    )
