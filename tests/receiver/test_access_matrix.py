"""Every endpoint × everybody: who is let in where.

The endpoints come from the application itself, so none is forgotten; what each needs stands in its options, and what
says nothing needs ``admin`` of every site. What a user of some sites sees there is in test_visible.py. The pages of the
console are among them: there a request without a session is not led to the login.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from litestar.routes import HTTPRoute
from msgspec import Struct
from tests.receiver.kit import Running, Sender, body, receiving, request

from gatepost.console.commands import console_pages
from gatepost.receiver.api.access.authorization import needed
from gatepost.receiver.auth.issuing import issue_token
from gatepost.receiver.auth.principal import ROLES
from gatepost.store.accounts.rows import Role

PASSWORD = "correct horse"
WHO = (
    "nobody",
    "guard",
    "viewer",
    "operator",
    "admin",
    "viewer of another site",
    "admin of another site",
    "disabled account",
    "first password",
    "expired token",
    "revoked token",
    "expired session",
    "ended session",
)
LIVING: dict[str, Role] = {
    **{role: role for role in ROLES},
    "viewer of another site": "viewer",
    "admin of another site": "admin",
    "first password": "admin",
}
"""Who may do something, and in which role."""

LADDER = ("guard", "viewer", "operator", "admin")
"""Not that of the code: it is what is tested."""


class Endpoint(Struct, frozen=True):
    method: str
    path: str
    role: Role | None
    """``None``: open to anyone."""
    also: Role | None = None
    """A lesser role that may do it as well."""
    every_site: bool = False
    """For users of every site alone."""
    own_password: bool = False
    """Also before a first password is changed that the program made up."""

    @property
    def is_page(self) -> bool:
        return not self.path.startswith(("/api", "/metrics"))

    @property
    def changes(self) -> bool:
        return self.method in ("POST", "PUT", "PATCH", "DELETE")


def endpoints(receiver: Running) -> list[Endpoint]:
    """Every route of the application, with its placeholders filled by what there is not."""
    found = []
    for route in receiver.desk.api.routes:
        assert isinstance(route, HTTPRoute), f"{route.path} is no HTTP route, and nobody looks after it here"
        path = re.sub(r"\{[^}]*\}", "987654321", route.path_format)
        for handler in route.route_handlers:
            asked = needed(handler.opt)
            role = None if handler.opt.get("open") else asked.role
            # OPTIONS is answered by the framework, with nothing but the methods of the path.
            methods = handler.http_methods - {"OPTIONS"}
            own_password = handler.opt.get("own_password", False)
            found += [
                Endpoint(method, path, role, asked.also, asked.every_site, own_password)
                for method in sorted(methods)
            ]
    return sorted(found, key=lambda one: (one.path, one.method))


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    async with receiving(tmp_path / "data", pages=console_pages) as running:
        yield running


async def headers_of(receiver: Running) -> dict[str, dict[str, str]]:
    """What each of :data:`WHO` sends along."""
    doors = receiver.desk.access.doors
    accounts = doors.accounts
    now_ms = int(time.time() * 1000)

    def make() -> dict[str, dict[str, str]]:
        tokens = {str(role): issue_token(accounts, role, role, by="t", now_ms=now_ms)[0] for role in ROLES}
        tokens["expired token"], _ = issue_token(
            accounts, "old", "admin", by="t", now_ms=now_ms - 9_000, expires_at_ms=now_ms - 1
        )
        tokens["revoked token"], row = issue_token(accounts, "gone", "admin", by="t", now_ms=now_ms)
        accounts.revoke_token(row.id, now_ms=now_ms)
        other = receiver.store.create_site("Hamburg", "Europe/Berlin", now_ms=0).id
        for who in ("viewer of another site", "admin of another site"):
            tokens[who], _ = issue_token(accounts, who, LIVING[who], by="t", now_ms=now_ms, sites=[other])
        anna = accounts.create("anna", "admin", doors.hash(PASSWORD), now_ms=now_ms)
        carla = accounts.create("carla", "admin", doors.hash(PASSWORD), now_ms=now_ms, must_change=True)
        disabled = accounts.create("bert", "admin", doors.hash(PASSWORD), now_ms=now_ms)
        accounts.change(disabled.id, now_ms=now_ms, disabled=True)
        kept = hashlib.sha256(b"of-a-disabled-account").digest()
        accounts.open_session(
            disabled.id, kept, now_ms=now_ms, expires_at_ms=now_ms + 9_000_000, address="::1"
        )
        ended = doors.open_session(anna, address="::1").secret
        doors.logout(ended, address="::1")
        digest = hashlib.sha256(b"an-old-secret").digest()
        accounts.open_session(anna.id, digest, now_ms=now_ms - 9_000, expires_at_ms=now_ms - 1, address="::1")
        sessions = {
            "first password": doors.open_session(carla, address="::1").secret,
            "ended session": ended,
            "expired session": "an-old-secret",
            "disabled account": "of-a-disabled-account",
        }
        return {
            "nobody": {},
            **{who: {"Authorization": f"Bearer {token}"} for who, token in tokens.items()},
            **{
                who: {"Cookie": f"gatepost_session={secret}", "Sec-Fetch-Site": "same-origin"}
                for who, secret in sessions.items()
            },
        }

    return await asyncio.to_thread(make)


async def status(receiver: Running, one: Endpoint, headers: dict[str, str]) -> int:
    """Ask, and read the answer to its end, if it has one."""
    sender = await Sender.connect(receiver.port)
    content = body({}) if one.changes else b""
    form = {"Content-Type": "application/x-www-form-urlencoded"} if one.is_page else {}
    try:
        await sender.write(request(one.method, one.path, content, {"Connection": "close", **form, **headers}))
        async with asyncio.timeout(20):
            head = await sender.reader.readuntil(b"\r\n\r\n")
            if b"text/event-stream" not in head:
                await sender.reader.read()
    finally:
        sender.writer.transport.abort()
    return int(head.split(b" ")[1])


def is_let_in(one: Endpoint, who: str) -> bool:
    if one.role is None or who not in LIVING:
        return one.role is None
    is_limited = who.endswith("of another site")
    role = LIVING[who]
    if (one.every_site and is_limited) or (who == "first password" and not one.own_password):
        return False
    return role == one.also or LADDER.index(role) >= LADDER.index(one.role)


def refusals(one: Endpoint, who: str) -> set[int]:
    """How it may be said that somebody is not let in."""
    if who == "first password":
        return {303} if one.is_page else {403}
    if who in LIVING:
        return {403}
    return {401, 303} if one.is_page else {401}


async def test_everybody_is_let_in_where_they_may_and_nowhere_else(receiver: Running) -> None:
    headers = await headers_of(receiver)
    assert set(headers) == set(WHO)
    wrong = []
    # The logout comes last: one of them has a session.
    for one in sorted(
        endpoints(receiver), key=lambda one: (one.method, one.path) == ("DELETE", "/api/v1/session")
    ):
        for who in WHO:
            let_in = is_let_in(one, who)
            if one.role is None or (let_in and one.is_page and one.changes):
                continue  # open to anyone; or a form that would be taken for filled in
            got = await status(receiver, one, headers[who])
            if got >= 500 or (got in (401, 403) if let_in else got not in refusals(one, who)):
                wrong.append((one.method, one.path, who, got))
    assert wrong == []


def test_the_matrix_is_what_it_says(receiver: Running) -> None:
    found = endpoints(receiver)
    paths = {one.path for one in found}
    assert len(found) > 100
    assert {
        "/api/v1/records",
        "/api/v1/audit",
        "/api/v1/people/987654321/erase",
        "/records",
        "/login",
    } <= paths
    erase = next(one for one in found if one.path == "/api/v1/people/erase" and one.method == "POST")
    assert [who for who in WHO if is_let_in(erase, who)] == ["admin", "admin of another site"]
    assert {one.role for one in found} == {None, *ROLES}
    acknowledge = next(one for one in found if one.path == "/alarms/987654321/acknowledge")
    assert [who for who in WHO if is_let_in(acknowledge, who)] == [
        "guard",
        "operator",
        "admin",
        "admin of another site",
    ]


def test_what_is_open_to_anyone_is_known_by_name(receiver: Running) -> None:
    """Whoever opens another door has to say so here."""
    opened = {(one.method, one.path) for one in endpoints(receiver) if one.role is None}
    assert opened == {
        ("GET", "/api"),
        ("GET", "/api/987654321"),
        ("GET", "/api/openapi.json"),
        ("POST", "/api/v1/session"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/image-links/987654321"),
        ("GET", "/login"),
        ("GET", "/login/oidc"),
        ("GET", "/login/oidc/callback"),
        ("POST", "/login"),
        ("POST", "/language"),
        ("GET", "/static/987654321"),
    }


def test_what_takes_more_than_to_be_a_viewer_is_known_by_name(receiver: Running) -> None:
    """What a route needs stands beside it; whoever makes it need less has to say so here."""
    found = endpoints(receiver)
    assert {f"{one.method} {one.path}" for one in found if one.role == "operator"} == {
        f"{method} {prefix}{path}"
        for prefix in ("", "/api/v1")
        for method, path in (
            ("GET", "/records/export"),
            ("GET", "/alarms/export"),
            ("GET", "/attendance/export"),
            ("GET", "/inside/export"),
            ("POST", "/alarms/acknowledge"),
            ("POST", "/alarms/987654321/acknowledge"),
            ("POST", "/alarms/987654321/close"),
            ("POST", "/quarantine/process"),
            ("POST", "/terminals/987654321/approve"),
        )
    } | {
        *("POST /terminals/chosen/approve", "POST /api/v1/terminals/approve"),
        "GET /alarms/acknowledge",
        *(f"POST /api/v1/{name}" for name in ("schedules", "holidays", "assignments", "corrections")),
        *(
            f"DELETE /api/v1/{name}/987654321"
            for name in ("schedules", "holidays", "assignments", "corrections")
        ),
        "PATCH /api/v1/schedules/987654321",
        *("POST /schedules", "POST /schedules/987654321", "POST /schedules/987654321/delete"),
        *(f"POST /schedules/{what}" for what in ("holidays", "assignments")),
        *(f"POST /schedules/{what}/987654321/delete" for what in ("holidays", "assignments")),
        *("POST /corrections", "POST /corrections/987654321/withdraw"),
        *(f"{method} /api/v1/people/987654321/mark" for method in ("PUT", "DELETE")),
        *("POST /api/v1/people/987654321/joined", "DELETE /api/v1/people/987654321/joined/987654321"),
        *(f"POST /people/987654321/{verb}" for verb in ("mark", "unmark", "same", "join", "part")),
        *(f"{method} /api/v1/people/import" for method in ("POST", "DELETE")),
        "POST /schedules/staff",
    }
    assert {one.path for one in found if one.role == "admin" and not one.changes} == {
        "/api/v1/accounts",
        "/api/v1/tokens",
        "/api/v1/audit",
        "/api/v1/destinations",
        "/api/v1/destinations/schemas",
        *(f"/api/v1/destinations/987654321{part}" for part in ("", "/dead", "/attempts")),
        *(f"/api/v1/fleet{part}" for part in ("", "/987654321", "/adoptions", "/adoptions/987654321")),
        "/api/v1/fleet/adoptions/987654321/rows",
        *("/api/v1/fleet/scan", "/api/v1/fleet/import/template"),
        *("/api/v1/fleet/987654321/audit", "/api/v1/fleet/jobs", "/api/v1/fleet/jobs/987654321"),
        "/api/v1/refusals/samples/987654321",
        "/audit",
        *("/destinations", "/destinations/new", "/destinations/987654321"),
        "/destinations/987654321/setup/987654321",
        "/refusals/samples/987654321",
        "/settings",
        *("/api/v1/settings", "/api/v1/system", "/system"),
        "/settings/users",
        *("/terminals/new", "/terminals/names", "/terminals/names/list"),
        *(f"/fleet{path}" for path in ("", "/adopt", "/find", "/history", "/import", "/import/template")),
        "/fleet/adoptions/987654321",
    }
    assert {f"{one.method} {one.path}" for one in found if one.also is not None} == {
        *("GET /alarms/acknowledge", "POST /alarms/acknowledge", "POST /api/v1/alarms/acknowledge"),
        "POST /alarms/987654321/acknowledge",
        "POST /api/v1/alarms/987654321/acknowledge",
    }
    assert {f"{one.method} {one.path}" for one in found if one.role == "guard" and one.changes} == {
        "POST /account/password",
        "POST /api/v1/session/password",
        "POST /logout",
        "DELETE /api/v1/session",
        *("POST /views", "POST /views/987654321", "POST /views/987654321/delete", "POST /api/v1/views"),
        *("PATCH /api/v1/views/987654321", "DELETE /api/v1/views/987654321"),
    }
    assert {one.path for one in found if one.role == "guard" and not one.changes} == {
        *("/views", "/views/987654321", "/api/v1/views", "/api/v1/views/987654321"),
        *("/", "/since", "/account", "/help", "/alarms", "/alarms/987654321", "/records/987654321"),
        *("/inside", "/inside/now", "/api/v1/inside", "/api/v1/people/marked"),
        *("/api/v1/alarms", "/api/v1/alarms/987654321", "/api/v1/live", "/api/v1/session", "/api/v1/sites"),
        *(f"/api/v1/alarms/steps/987654321/{part}" for part in ("image", "thumbnail")),
        "/api/v1/records/987654321",
        *(f"/api/v1/records/987654321/{part}" for part in ("image", "thumbnail")),
    }
    assert {f"{one.method} {one.path}" for one in found if one.role == "viewer" and one.changes} == {
        *(
            f"POST /{questions}" for questions in ("records", "people", "attendance")
        ),  # kept out of the address
    }


def test_what_a_first_password_opens_is_known_by_name(receiver: Running) -> None:
    assert {f"{one.method} {one.path}" for one in endpoints(receiver) if one.own_password} == {
        *("GET /account", "POST /account/password", "POST /logout"),
        *("GET /api/v1/session", "POST /api/v1/session/password", "DELETE /api/v1/session"),
    }


def test_what_is_for_users_of_every_site_is_known_by_name(receiver: Running) -> None:
    found = {f"{one.method} {one.path}" for one in endpoints(receiver) if one.every_site and one.role}
    assert found == {
        *("GET /api/v1/accounts", "POST /api/v1/accounts", "PATCH /api/v1/accounts/987654321"),
        *("GET /api/v1/tokens", "POST /api/v1/tokens", "DELETE /api/v1/tokens/987654321"),
        *("GET /api/v1/audit", "GET /audit"),
        "GET /api/v1/notices",
        *("GET /api/v1/destinations", "POST /api/v1/destinations", "GET /api/v1/destinations/schemas"),
        "POST /api/v1/destinations/preview",
        *(f"{method} /api/v1/destinations/987654321" for method in ("GET", "PATCH", "DELETE")),
        *(f"GET /api/v1/destinations/987654321/{part}" for part in ("dead", "attempts")),
        *(
            f"POST /api/v1/destinations/987654321/{verb}"
            for verb in ("test", "pause", "resume", "rotate", "replay", "retry", "drop")
        ),
        *(f"GET /api/v1/fleet{part}" for part in ("", "/987654321", "/adoptions", "/adoptions/987654321")),
        "GET /api/v1/fleet/adoptions/987654321/rows",
        *(f"GET /api/v1/fleet/{part}" for part in ("987654321/audit", "jobs", "jobs/987654321")),
        *(f"POST /api/v1/fleet/987654321/{verb}" for verb in ("backfill", "audit")),
        *(f"POST /api/v1/fleet/jobs/987654321/{verb}" for verb in ("pause", "resume", "cancel")),
        *(f"POST /api/v1/fleet/{verb}" for verb in ("look", "adopt", "adoptions")),
        *(f"POST /api/v1/fleet/{verb}" for verb in ("discover", "scan", "import")),
        *(f"{verb} /api/v1/fleet/scan" for verb in ("GET", "DELETE")),
        "GET /api/v1/fleet/import/template",
        *(f"POST /api/v1/fleet/987654321/{verb}" for verb in ("verify", "resume", "release")),
        *("GET /destinations", "POST /destinations", "GET /destinations/new"),
        *("GET /destinations/987654321", "GET /destinations/987654321/setup/987654321"),
        *(
            f"POST /destinations/987654321/{verb}"
            for verb in ("sent", "address", "test", "pause", "resume", "rotate", "replay", "dead", "delete")
        ),
        *("GET /api/v1/receivers", "DELETE /api/v1/receivers/987654321", "GET /api/v1/retention"),
        *("POST /api/v1/retention/confirm", "POST /system/retention"),
        *("GET /api/v1/settings", "PATCH /api/v1/settings", "GET /api/v1/system", "GET /system"),
        "POST /settings/values",
        *("GET /api/v1/refusals/samples/987654321", "GET /refusals/samples/987654321"),
        *("POST /api/v1/sites", "PATCH /api/v1/sites/987654321"),
        *(f"POST /api/v1/{name}" for name in ("schedules", "holidays", "assignments")),
        *(f"DELETE /api/v1/{name}/987654321" for name in ("schedules", "holidays", "assignments")),
        "PATCH /api/v1/schedules/987654321",
        *("POST /schedules", "POST /schedules/987654321", "POST /schedules/987654321/delete"),
        *(f"POST /schedules/{what}" for what in ("holidays", "assignments")),
        *(f"POST /schedules/{what}/987654321/delete" for what in ("holidays", "assignments")),
        *(f"{method} /api/v1/people/import" for method in ("POST", "DELETE")),
        "POST /schedules/staff",
        "GET /api/v1/terminals/would-refuse",
        *(f"GET /fleet{path}" for path in ("", "/adopt", "/find", "/history", "/import", "/import/template")),
        *("POST /fleet/history", "POST /fleet/history/count", "POST /fleet/history/987654321/987654321"),
        *(
            f"POST /fleet/{work}"
            for work in ("look", "adopt", "import", "find/scan", "find/end", "find/adopt")
        ),
        "GET /fleet/adoptions/987654321",
        *(f"POST /fleet/987654321/{work}" for work in ("verify", "resume", "release")),
        *("GET /settings", "POST /settings/sites", "POST /settings/sites/987654321"),
        *("GET /settings/users", "POST /settings/users", "POST /settings/users/987654321"),
        *("POST /settings/tokens", "POST /settings/tokens/987654321/revoke"),
        *("POST /welcome/site", "POST /welcome/simulate", "POST /welcome/hide"),
    }


async def test_the_matrix_has_everything_that_the_document_has(receiver: Running) -> None:
    document = (await receiver.get("/api/openapi.json")).json
    told = {
        (method.upper(), re.sub(r"\{[^}]*\}", "987654321", path))
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert len(told) > 40
    assert told <= {(one.method, one.path) for one in endpoints(receiver)}


async def test_who_asks_for_the_methods_of_a_path_is_told_nothing_else(receiver: Running) -> None:
    sender = await receiver.connect()
    for path in ("/api/v1/audit", "/api/v1/people/1/erase"):
        answer = await sender.request("OPTIONS", path)
        assert (answer.status, answer.body) == (204, b"")


async def test_a_change_from_another_site_is_nobodys_whoever_is_logged_in(receiver: Running) -> None:
    doors = receiver.desk.access.doors

    def log_in() -> str:
        anna = doors.accounts.create("anna", "admin", doors.hash(PASSWORD), now_ms=0)
        return doors.open_session(anna, address="::1").secret

    cookie = {"Cookie": f"gatepost_session={await asyncio.to_thread(log_in)}"}
    wrong = []
    lured = (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    )
    for one in endpoints(receiver):
        if one.role is not None and one.changes:
            for more in lured:
                got = await status(receiver, one, {**cookie, **more})
                if got not in refusals(one, "nobody"):
                    wrong.append((one.method, one.path, more, got))
    assert wrong == []
    session = await receiver.request("GET", "/api/v1/session", headers={**cookie, "Authorization": ""})
    assert session.status == 401
    who = await status(receiver, Endpoint("GET", "/api/v1/session", "viewer"), cookie)
    assert who == 200


@pytest.mark.parametrize(
    "query", ["token={}", "access_token={}", "api_key={}", "authorization=Bearer%20{}", "gatepost_session={}"]
)
async def test_a_token_in_the_address_bar_opens_nothing(receiver: Running, query: str) -> None:
    secret = receiver.token
    for path in ("/api/v1/records", "/api/v1/audit"):
        one = Endpoint("GET", f"{path}?{query.format(secret)}", "viewer")
        assert await status(receiver, one, {}) == 401


async def test_a_session_that_was_there_before_the_login_is_not_the_one_after_it(receiver: Running) -> None:
    """Fixation: whoever planted a cookie knows nothing afterwards, and its session is over."""
    doors = receiver.desk.access.doors
    await asyncio.to_thread(lambda: doors.accounts.create("anna", "viewer", doors.hash(PASSWORD), now_ms=0))
    mallory = await doors.login("anna", PASSWORD, address="::1", headers={})
    for planted in (mallory.secret, "made-up"):
        sender = await receiver.connect()
        login = await sender.request(
            "POST",
            "/api/v1/session",
            body({"name": "anna", "password": PASSWORD}),
            {"Cookie": f"gatepost_session={planted}", "Origin": "http://127.0.0.1"},
        )
        assert login.status == 200
        told = login.headers["set-cookie"]
        assert planted not in told
        for word in ("HttpOnly", "SameSite=lax", "Path=/"):
            assert word.lower() in told.lower()
        one = Endpoint("GET", "/api/v1/session", "viewer")
        assert await status(receiver, one, {"Cookie": f"gatepost_session={planted}"}) == 401


async def test_a_login_form_of_another_site_logs_nobody_in(receiver: Running) -> None:
    doors = receiver.desk.access.doors
    await asyncio.to_thread(lambda: doors.accounts.create("anna", "viewer", doors.hash(PASSWORD), now_ms=0))
    credentials = body({"name": "anna", "password": PASSWORD})
    for lured in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        sender = await receiver.connect()
        answer = await sender.request("POST", "/api/v1/session", credentials, lured)
        assert answer.status == 403
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("victim", ["anna", "nobody-of-this-name"])
async def test_who_guesses_passwords_has_to_wait_longer_and_longer(receiver: Running, victim: str) -> None:
    doors = receiver.desk.access.doors
    await asyncio.to_thread(lambda: doors.accounts.create("anna", "viewer", doors.hash(PASSWORD), now_ms=0))
    sender = await receiver.connect()
    got = []
    for number in range(12):
        guess = body({"name": victim, "password": f"guess number {number}"})
        answer = await sender.request("POST", "/api/v1/session", guess)
        got.append(answer.status)
    assert got[:5] == [401] * 5
    assert got[-1] == 429
    assert int(answer.headers["retry-after"]) >= 1
    right = await sender.request("POST", "/api/v1/session", body({"name": "anna", "password": PASSWORD}))
    assert right.status == 429
