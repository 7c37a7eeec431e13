"""The console as it is put together: who gets in, what an error looks like, what each answer forbids."""

import gzip
import re
from pathlib import Path

import pytest
from tests.console.kit import PASSWORD, Desk
from tests.receiver.kit import SUCCESS, body, receiving, record, until

from gatepost.console.pages.events import records
from gatepost.console.routes import PAGES, routes
from gatepost.errors import StoreUnavailable
from gatepost.store.questions import UserStore

OPEN = {"/login", "/login/oidc", "/login/oidc/callback", "/language"}


def every_route() -> list[tuple[str, str, dict[str, object]]]:
    found = []
    for controller in PAGES:
        for name in vars(controller):
            handler = getattr(controller, name)
            if hasattr(handler, "http_methods"):
                base = vars(controller).get("path", "")
                for path in handler.paths:
                    options = {**vars(controller).get("opt", {}), **handler.opt}
                    found += [
                        (method, base + path.rstrip("/") or "/", options) for method in handler.http_methods
                    ]
    return found


async def test_the_label_of_a_receiver_stands_on_its_pages_and_before_the_login(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", pages=routes, console_label="North <1>") as running:
        desk = await Desk.made(running)
        for path, who in (("/records", "admin"), ("/login", None)):
            page = await desk.get(path, who)
            assert " · North &lt;1&gt;</title>" in page.html
            assert "gatepost North <1>" in page.words
            assert "<1>" not in page.html


def test_every_route_says_who_may_call_it() -> None:
    routes_found = every_route()
    assert len(routes_found) > 40
    for method, path, options in routes_found:
        assert options.get("role") or (options.get("open") and path in OPEN), (method, path)


def test_every_change_is_a_post_and_needs_more_than_to_look() -> None:
    by_looking = {"/logout", "/account/password", "/records", "/people", "/attendance", *OPEN}
    for method, path, options in every_route():
        assert method in ("GET", "HEAD", "POST")
        # Own views: who may share one, and change one that is shared, is asked about each.
        if method == "POST" and path not in by_looking and not path.startswith("/views"):
            assert options["role"] in ("operator", "admin"), path


@pytest.mark.parametrize("path", ["/", "/records?passed=true", "/settings", "/since?after=1"])
async def test_whoever_is_not_logged_in_is_led_to_the_login_and_back(desk: Desk, path: str) -> None:
    answer = await desk.get(path, who=None)
    assert answer.status == 303
    assert answer.location.startswith("/login")
    if path != "/":
        assert answer.location.startswith("/login?next=/")


async def test_a_script_is_told_that_the_session_is_over(desk: Desk) -> None:
    assert (await desk.get("/since?after=1", who=None, x_part="live")).status == 401


async def test_an_error_is_a_page_in_the_language_of_whoever_looks(desk: Desk) -> None:
    assert "没有这个页面" in (await desk.get("/records/77", accept_language="zh-CN")).words
    forbidden = await desk.get("/settings", who="viewer")
    assert forbidden.status == 403
    assert "It needs: administrator" in forbidden.words
    assert (await desk.get("/records?cursor=nonsense")).status == 400
    assert (await desk.get("/since?after=x")).status == 400


async def test_a_store_that_does_not_answer_is_a_503_and_no_traceback(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is full; make room")

    monkeypatch.setattr(UserStore, "sites", fail)
    answer = await desk.get("/records")
    assert answer.status == 503
    assert answer.html == "gatepost: the disk is full; make room"


async def test_who_is_not_logged_in_is_told_that_the_store_is_away_and_not_where_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("db.example, port 5432 refused") from OSError("refused")

    for name in ("reading", "changing"):
        monkeypatch.setattr(desk.store, name, fail)
    for path in ("/", "/login", "/records"):
        answer = await desk.get(path, who=None)
        assert answer.status == 503
        assert (
            answer.html
            == "gatepost: the database cannot be used now; try again, and see the log of the receiver"
        )


async def test_every_page_tells_of_events_that_are_not_listed_yet(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("the disk is full; make room")

    projector = desk.running.desk.projector
    told = "2 events are received and safe, but not listed yet; the database takes nothing now."
    with monkeypatch.context() as patch:
        assert (await desk.running.push(record())).json == SUCCESS  # its terminal is known from here on
        desk.running.settle()
        patch.setattr(desk.store, "write", away)
        for number in range(2):
            assert (await desk.running.push(record(uuid=f"u-{number}"))).json == SUCCESS
        await until(lambda: projector.lag().is_away)
        for path in ("/", "/records", "/settings", "/since?after=0", "/records/77"):
            assert (await desk.get(path)).words.count(told) == 1, path
        assert "已接收 2 个事件" in (await desk.get("/records", accept_language="zh-CN")).words
        assert "2 events" not in (await desk.get("/login", who=None)).words
        patch.setattr(UserStore, "sites", away)
        assert (await desk.get("/records")).html == f"gatepost: the disk is full; make room\n{told}"
    await until(lambda: not projector.lag().is_away)
    assert "not listed yet" not in (await desk.get("/")).words


async def test_what_nobody_expected_is_a_page_that_tells_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("王五 12345")

    monkeypatch.setattr(records, "read", fail)
    answer = await desk.get("/records")
    assert answer.status == 500
    assert "王五" not in answer.html


async def test_every_answer_forbids_what_is_not_ours(desk: Desk) -> None:
    await desk.running.push(record())
    for path in ("/login", "/", "/records", "/records/1", "/settings", "/records/99"):
        answer = await desk.get(path)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|\sstyle=|<style|\son[a-z]+=|javascript:", answer.html
        ), path
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", answer.html), path


async def test_a_page_is_sent_compressed(desk: Desk) -> None:
    plain = await desk.get("/records")
    sender = await desk.running.connect()
    cookie = f"gatepost_session={desk.cookies['admin']}"
    packed = await sender.request("GET", "/records", headers={"cookie": cookie, "accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body).decode()[:60] == plain.html[:60]


async def test_what_the_build_made_is_served_to_anyone(desk: Desk) -> None:
    page = await desk.get("/login", who=None)
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.html):
        assert (await desk.get(path, who=None)).status == 200
    assert (await desk.get("/static/manifest.json", who=None)).status == 404


async def test_terminals_push_as_before(desk: Desk) -> None:
    assert (await desk.running.push(record())).json["code"] == 200
    assert (await desk.running.push(record(), path="/")).status != 200


WRONG = [
    *("/", "/records", "/records/", "/records/1", "/alarms", "/login", "/language", "/people", "/attendance"),
    *(
        "/settings",
        "/settings/sites",
        "/statistics",
        "/quarantine/process",
        "/terminals",
        "/metrics",
        "/healthz",
    ),
    *(
        "/static/x",
        "/api/Record",
        "/api",
        "/api/v1",
        "/api/v1/Record",
        "/api/v1/records/a/b",
        "/api/openapi.json",
    ),
]


@pytest.mark.parametrize("path", WRONG)
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", None])
async def test_a_push_to_a_path_of_the_console_is_answered_as_a_push_and_shown(
    desk: Desk, path: str, kind: str | None
) -> None:
    head = {"Content-Type": kind} if kind is not None else {}
    text = body(record())
    lines = {"Host": "r", "Content-Length": f"{len(text)}", **head}
    sender = await desk.running.connect()
    await sender.write(
        f"POST {path} HTTP/1.1\r\n".encode()
        + "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
        + b"\r\n"
        + text
    )
    answer = await sender.answer()
    assert (answer.status, answer.json["code"], answer.json["data"]) == (404, 404, {})
    assert answer.headers["content-type"] == "application/json"
    assert "/Record" in answer.json["message"]
    assert desk.running.records() == []
    await desk.running.flush()
    (shown,) = desk.store.refused()
    assert (shown.peer, shown.path, shown.serial, shown.count) == ("127.0.0.1", path, "SN-1", 1)


async def test_what_is_posted_to_a_route_of_the_api_is_the_apis_whatever_it_looks_like(desk: Desk) -> None:
    who = body({"name": "viewer", "password": PASSWORD})
    sender = await desk.running.connect()
    without = await sender.request("POST", "/api/v1/sites", body({"name": "x", "timezone": "UTC"}))
    assert (without.status, without.headers["content-type"]) == (401, "application/problem+json")
    session = await sender.request("POST", "/api/v1/session", who)
    assert "x-content-type-options" in session.headers  # no answer to a push has that
    assert (await sender.request("POST", "/api/v1/people/5/erase/", b"{}")).status == 401
    assert (await sender.request("POST", "/api/v1/records", body(record()))).status == 405
    with_a_token = await desk.running.request("POST", "/api/v1/sites", body({"name": "x", "timezone": "UTC"}))
    assert with_a_token.status == 201
    await desk.running.flush()
    assert desk.store.refused() == []


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
)
async def test_a_form_is_the_consoles_with_a_session_or_without(desk: Desk, kind: str) -> None:
    for path in ("/records", "/login", "/terminals"):
        answer = await desk.running.request("POST", path, b"name=x", {"Content-Type": kind})
        assert "text/html" in answer.headers["content-type"]
        assert answer.status in (303, 403)
    await desk.running.flush()
    assert desk.store.refused() == []


async def test_whoever_says_who_he_is_pushes_nothing_to_the_console(desk: Desk) -> None:
    for head in ({"Cookie": "gatepost_language=zh"}, {"Authorization": "Bearer x"}):
        answer = await desk.running.request("POST", "/records", body(record()), head)
        assert (answer.status, answer.headers.get("location", "")[:6]) == (303, "/login")


async def test_in_both_languages_every_page_is_whole(desk: Desk) -> None:
    await desk.running.push(record())
    await desk.running.push({"type": 7, "data": {}})
    paths = ["/", "/records", "/records/1", "/alarms", "/people", "/people/1", "/attendance", "/statistics"]
    paths += ["/terminals", "/terminals/1", "/terminals/new", "/quarantine", "/settings", "/settings/users"]
    paths += ["/destinations", "/destinations/new", "/destinations/new?kind=mail"]
    paths += ["/audit", "/account", "/welcome", "/statistics?day=2023-05-29", "/attendance?month=2023-05"]
    for path in paths:
        english, chinese = await desk.get(path), await desk.get(path, accept_language="zh")
        assert (english.status, chinese.status) == (200, 200), path
        assert '<html lang="en">' in english.html
        assert '<html lang="zh-Hans">' in chinese.html
        assert english.title != "" != chinese.title


async def test_behind_a_proxy_every_address_begins_with_its_prefix(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", pages=routes, path_prefix="/gate") as running:
        desk = await Desk.made(running)
        await running.push(record())
        for path in ("/", "/records", "/records/1", "/terminals", "/statistics", "/settings", "/people/1"):
            page = await desk.get(f"/gate{path}")
            assert page.status == 200
            addresses = re.findall(
                r"""\s(?:src|href|action|data-stream|data-since)=["']([^"']+)["']""", page.html
            )
            assert len(addresses) > 10
            assert [one for one in addresses if not one.startswith(("/gate/", "#"))] == []
        assert (await desk.get("/gate/settings", None)).location == "/gate/login?next=/settings"
        assert (await desk.post("/gate/records", passed="true")).location == "/gate/records?passed=true"


@pytest.mark.parametrize("path", ["/nowhere", "/records/a/b/c", "/terminals/x/y", "/corrections/7/withdraw"])
async def test_an_address_that_is_none_is_a_page_with_a_way_on(desk: Desk, path: str) -> None:
    answer = await desk.get(path, accept="text/html,*/*;q=0.8")
    assert answer.status == 404
    assert "There is no such page" in answer.words
    assert 'href="/records"' in answer.html  # the pages of the user
    assert '<a class="button quiet" href="/">' in answer.html
    chinese = await desk.get(path, accept="text/html", accept_language="zh-CN")
    assert "没有这个页面" in chinese.words
    stranger = await desk.get(path, who=None, accept="text/html")
    assert stranger.status == 404
    assert 'href="/records"' not in stranger.html


async def test_an_unknown_path_of_the_api_or_of_a_program_stays_a_problem(desk: Desk) -> None:
    for path, accept in (("/api/v1/nowhere", "text/html"), ("/nowhere", "*/*")):
        answer = await desk.get(path, accept=accept)
        assert answer.status == 404
        assert answer.headers["content-type"].startswith("application/problem+json"), path
