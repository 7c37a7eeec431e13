"""Logins at an identity provider, which runs here: a browser, the receiver and the provider, over real sockets."""

import asyncio
import base64
import functools
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest
from tests.ports import free_port
from tests.receiver.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, rsa_key
from tests.receiver.kit import Answer, Clock, Running, body, receiving

from gatepost.console.commands import console_pages
from gatepost.errors import SettingsError
from gatepost.receiver.auth.cookies import COOKIE
from gatepost.receiver.auth.login_throttle import FREE
from gatepost.receiver.auth.openid import provider as openid
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.rows import AccountRow
from gatepost.store.terminals.registry import Conflict

ROLES = ("doors=operator", "north-guards=guard@North", "cn=chiefs,ou=doors=admin", "nowhere=viewer@Nowhere")


class Browser:
    """Follows a login from page to page, and keeps cookies."""

    def __init__(
        self,
        running: Running,
        provider: IdentityProvider,
        *,
        prefix: str = "",
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        """``prefix``: of every path of the receiver. ``tls``: whom the browser trusts at the provider."""
        self.running = running
        self.provider = provider
        self.prefix = prefix
        self.tls = tls
        self.cookies: dict[str, str] = {}

    async def ask(self, path: str, method: str = "GET", content: Any = None) -> Answer:
        headers = {"Sec-Fetch-Site": "same-origin"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sender = await self.running.connect()
        answer = await sender.request(method, path, b"" if content is None else body(content), headers)
        self.cookies |= {name: value.strip('"') for name, value in answer.cookies.items()}
        return answer

    def set_clock(self, clock: Clock) -> None:
        """Have receiver and provider see the same time, as far as a login is concerned."""
        self.clock = self.provider.now = self.running.desk.access.provider._now = clock

    async def begin(self, path: str = "/login/oidc") -> str:
        """Return the provider's page."""
        answer = await self.ask(path)
        assert answer.status == 303, answer.body
        return answer.headers["location"]

    async def at_provider(self, address: str) -> str:
        """Log in there, and return where that leads, without the host."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(address, allow_redirects=False, ssl=self.tls) as response,
        ):
            assert response.status == 302, await response.text()
            back = urlsplit(response.headers["location"])
        assert back.path == f"{self.prefix}/login/oidc/callback"
        return f"{back.path}?{back.query}"

    async def log_in(self, path: str = "/login/oidc") -> Answer:
        return await self.ask(await self.at_provider(await self.begin(path)))

    async def who(self) -> Any:
        answer = await self.ask("/api/v1/session")
        return answer.json if answer.status == 200 else None

    def refused(self) -> list[dict[str, Any]]:
        """What the audit log says of logins that were refused."""
        return [row.detail for row in Accounts(self.running.store).audit(action="login.refused").items]

    def account(self, name: str = "carla") -> AccountRow | None:
        return Accounts(self.running.store).account(name)


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider().running() as provider:
        yield provider


def settings_for(provider: IdentityProvider, **more: Any) -> dict[str, Any]:
    return {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_roles": ROLES,
        **more,
    }


@pytest.fixture
async def browser(tmp_path: Path, provider: IdentityProvider) -> AsyncIterator[Browser]:
    values = settings_for(provider)
    async with receiving(tmp_path / "data", pages=console_pages, **values) as running:
        running.store.create_site("North", "UTC", now_ms=0)
        browser = Browser(running, provider)
        browser.set_clock(Clock())
        yield browser


async def refusal(
    browser: Browser, why: str, status: int, words: str, answer: Answer, *, noted: bool = True
) -> None:
    """Expect that a login came to nothing: said on the page, in the audit log, and without a session."""
    assert answer.status == status
    assert words in answer.body.decode()
    assert COOKIE not in answer.cookies
    assert await browser.who() is None
    if noted:
        assert browser.refused()[0] == {"how": "openid connect", "why": why}
        browser.running.desk.access.doors._attempts.succeeded(
            "provider 127.0.0.1"
        )  # the next has a line, too
    else:
        assert browser.refused() == []


async def test_a_person_of_the_provider_has_the_role_of_their_group_and_the_audit_log_says_how(
    browser: Browser,
) -> None:
    answer = await browser.log_in("/login/oidc?next=/alarms%3Fshow%3Dopen")
    assert (answer.status, answer.headers["location"]) == (303, "/alarms?show=open")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert await browser.who() == {"name": "carla", "role": "operator", "sites": None}
    line = Accounts(browser.running.store).audit(action="login").items[0]
    assert (line.actor, line.address, line.detail) == ("carla", "127.0.0.1", {"how": "openid connect"})
    account = browser.account()
    assert account is not None
    assert account.subject == f"{browser.provider.issuer} 1"


async def test_a_login_is_bound_to_this_client_by_state_nonce_and_pkce(browser: Browser) -> None:
    answer = await browser.ask("/login/oidc")
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/login/oidc", "Max-Age=600"))
    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"] == "openid profile email groups"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    for secret in (asked["state"], asked["nonce"]):
        assert secret not in cookie


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_the_client_says_its_secret_as_the_provider_wants_it(browser: Browser, method: str) -> None:
    browser.provider.auth_method = method
    assert (await browser.log_in()).status == 303


async def test_a_public_client_has_no_secret(tmp_path: Path, provider: IdentityProvider) -> None:
    provider.auth_method = "none"
    values = settings_for(provider, oidc_client_secret="")
    async with receiving(tmp_path / "data", pages=console_pages, **values) as running:
        provider.now = time.time
        assert (await Browser(running, provider).log_in()).status == 303


@pytest.mark.parametrize(
    ("groups", "role", "sites"),
    [
        (["north-guards"], "guard", ["North"]),
        (["north-guards", "doors", "others"], "operator", None),
        ("cn=chiefs,ou=doors", "admin", None),
        (["north-guards", "nowhere"], None, None),
    ],
)
async def test_the_highest_role_wins_with_the_sites_of_its_groups(
    browser: Browser, groups: Any, role: str | None, sites: list[str] | None
) -> None:
    browser.provider.claims["groups"] = groups
    answer = await browser.log_in()
    if role is None:
        return await refusal(browser, "no_group", 403, "oidc_roles", answer)
    ids = None if sites is None else [site.id for site in browser.running.store.sites() if site.name in sites]
    assert await browser.who() == {"name": "carla", "role": role, "sites": ids}
    return None


async def test_role_and_sites_are_those_of_the_last_login(browser: Browser) -> None:
    await browser.log_in()
    elsewhere = Browser(browser.running, browser.provider)
    browser.provider.claims |= {"groups": ["north-guards"], "preferred_username": "carla at the moment"}
    await elsewhere.log_in()
    for one in (browser, elsewhere):  # also in the session that was open
        who = await one.who()
        assert (who["name"], who["role"], len(who["sites"])) == ("carla", "guard", 1)


@pytest.mark.parametrize("groups", [[], ["others"], None])
async def test_who_is_in_no_group_may_not_log_in_and_no_session_goes_on(
    browser: Browser, groups: Any
) -> None:
    await browser.log_in()
    if groups is None:
        del browser.provider.claims["groups"]
    else:
        browser.provider.claims["groups"] = groups
    other = Browser(browser.running, browser.provider)
    await refusal(other, "no_group", 403, "None of your groups may log in here.", await other.log_in())
    assert await browser.who() is None


async def test_the_state_is_that_of_the_login_that_this_browser_began(browser: Browser) -> None:
    back = await browser.at_provider(await browser.begin())
    other = Browser(browser.running, browser.provider)
    await refusal(other, "stale", 400, "begun in another browser", await other.ask(back), noted=False)
    browser.cookies[openid.COOKIE] += "0"
    await refusal(browser, "stale", 400, "begun in another browser", await browser.ask(back), noted=False)
    await other.begin()
    await refusal(other, "stale", 400, "begun in another browser", await other.ask(back))


async def test_who_comes_back_again_and_again_writes_no_line_each(browser: Browser) -> None:
    """Not without a cookie of ours at all, and with one a few; the rest is counted, from all networks together."""
    for _ in range(20):
        assert (await browser.ask("/login/oidc/callback?state=x")).status == 400
    assert browser.refused() == []
    await browser.begin()
    cookie = dict(browser.cookies)
    browser.running.desk.access.doors._now = browser.clock
    for number in range(60):
        browser.cookies = dict(cookie)
        assert (await browser.ask(f"/login/oidc/callback?state={number}")).status == 400
    free = FREE["provider"]
    alone, first = [{"how": "openid connect", "why": "stale"}] * free, {"count": 1}
    rest = {"how": "openid connect", "what": ["stale 127.0.0.1"]}
    assert browser.refused() == [rest | first, *alone]
    browser.running.desk.access.groups.flush(all_of_them=True)
    assert browser.refused() == [rest | {"count": 60 - free - 1}, rest | first, *alone]


async def test_a_login_that_was_begun_too_long_ago_is_begun_again(browser: Browser) -> None:
    back = await browser.at_provider(await browser.begin())
    browser.clock.at += openid.BEGUN_S
    await refusal(browser, "stale", 400, "too long ago", await browser.ask(back))


async def test_a_code_is_good_once(browser: Browser) -> None:
    back = await browser.at_provider(await browser.begin())
    begun = browser.cookies[openid.COOKIE]
    assert (await browser.ask(back)).status == 303
    assert browser.cookies[openid.COOKIE] == ""
    again = Browser(browser.running, browser.provider)
    again.cookies[openid.COOKIE] = begun
    await refusal(again, "untrusted", 403, "cannot be trusted", await again.ask(back))


async def test_a_code_of_another_login_is_not_taken(browser: Browser) -> None:
    """The provider compares the PKCE verifier."""
    stolen = parse_qs(urlsplit(await browser.at_provider(await browser.begin())).query)["code"][0]
    own = urlsplit(await browser.at_provider(await browser.begin()))
    state = parse_qs(own.query)["state"][0]
    answer = await browser.ask(f"{own.path}?code={stolen}&state={state}")
    await refusal(browser, "untrusted", 403, "cannot be trusted", answer)


WRONG: list[dict[str, Any]] = [
    {"nonce": "another login's"},
    {"nonce": ""},
    {"aud": "another client"},
    {"aud": [CLIENT_ID, "another client"]},
    {"azp": "another client"},
    {"iss": "https://evil.example"},
    {"exp": 1},
    {"exp": "never"},
    {"iat": 9_000_000_000, "exp": 9_000_000_300},
    {"nbf": 9_000_000_000},
    {"sub": ""},
    {"sub": ["1"]},
    {"at_hash": "that of another access token"},
    {"groups": {"doors": True}},
]


async def test_a_claim_that_does_not_hold_lets_nobody_in(browser: Browser) -> None:
    right = browser.provider.claims
    for claims in WRONG:
        browser.provider.claims = right | claims
        answer = await browser.log_in()
        assert answer.status == 403, claims
        await refusal(browser, "untrusted", 403, "cannot be trusted", answer)
    assert browser.account() is None
    browser.provider.claims = right
    assert (await browser.log_in()).status == 303


async def test_a_token_is_over_a_minute_after_it_says_so(browser: Browser) -> None:
    browser.provider.claims["exp"] = int(browser.clock()) - openid.LEEWAY_S - 1
    await refusal(browser, "untrusted", 403, "cannot be trusted", await browser.log_in())
    browser.provider.claims["exp"] += 1
    assert (await browser.log_in()).status == 303


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unsigned(id_token: str, alg: str) -> str:
    header = json.dumps({"alg": alg, "kid": "first"}).encode()
    return f"{_part(header)}.{id_token.split('.')[1]}"


async def test_a_token_that_another_key_signed_is_not_taken(browser: Browser) -> None:
    browser.provider.signing = rsa_key("first", "another")
    await refusal(browser, "untrusted", 403, "cannot be trusted", await browser.log_in())
    browser.provider.signing = rsa_key("unknown")
    await refusal(browser, "untrusted", 403, "cannot be trusted", await browser.log_in())


async def test_a_token_without_the_providers_signature_is_not_taken(browser: Browser) -> None:
    public = browser.provider.key.as_pem(is_private=False)

    def forged(id_token: str, alg: str) -> str:
        bare = _unsigned(id_token, alg)
        signature = hmac.new(public, bare.encode(), hashlib.sha256).digest() if alg == "HS256" else b""
        return f"{bare}.{_part(signature)}"

    for alg in ("none", "None", "HS256", "RS256", "ES256", "EdDSA"):
        browser.provider.change = functools.partial(forged, alg=alg)
        await refusal(browser, "untrusted", 403, "cannot be trusted", await browser.log_in())


async def test_a_changed_token_is_not_taken(browser: Browser) -> None:
    def change(id_token: str) -> str:
        header, payload, signature = id_token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        return f"{header}.{_part(json.dumps(claims | {'sub': '2'}).encode())}.{signature}"

    browser.provider.change = change
    await refusal(browser, "untrusted", 403, "cannot be trusted", await browser.log_in())


async def test_description_and_keys_are_kept_and_new_keys_are_asked_for(browser: Browser) -> None:
    for _ in range(3):
        assert (await browser.log_in()).status == 303
    asked = browser.provider.asked
    assert (asked.count("/.well-known/openid-configuration"), asked.count("/keys")) == (1, 1)
    new = rsa_key("second")
    browser.provider.key = browser.provider.signing = new
    assert (await browser.log_in()).status == 403  # keys are not asked for at once again
    await browser.running.pass_time(openid.ASK_AGAIN_S)
    assert (await browser.log_in()).status == 303
    assert asked.count("/keys") == 2


@pytest.mark.parametrize(
    ("said", "why", "status"),
    [
        ({"issuer": "https://evil.example"}, "untrusted", 403),
        ({"authorization_endpoint": "javascript:alert(1)"}, "untrusted", 403),
        ({"token_endpoint": None}, "untrusted", 403),
    ],
    ids=str,
)
async def test_a_description_that_does_not_hold_is_not_used(
    browser: Browser, said: dict[str, Any], why: str, status: int
) -> None:
    browser.provider.described = said
    await refusal(browser, why, status, "cannot be trusted", await browser.ask("/login/oidc"))


async def test_no_more_is_read_than_a_description_has(browser: Browser) -> None:
    browser.provider.description = b" " * (openid.MAX_ANSWER + 1)
    await refusal(browser, "untrusted", 403, "cannot be trusted", await browser.ask("/login/oidc"))


async def test_an_issuer_in_the_address_is_the_providers(browser: Browser) -> None:
    back = await browser.at_provider(await browser.begin())
    answer = await browser.ask(back + "&iss=https://evil.example")
    await refusal(browser, "untrusted", 403, "cannot be trusted", answer)
    browser.provider.described["authorization_response_iss_parameter_supported"] = True
    await browser.running.pass_time(openid.FRESH_S)
    back = await browser.at_provider(await browser.begin())
    await refusal(browser, "untrusted", 403, "cannot be trusted", await browser.ask(back))
    back = await browser.at_provider(await browser.begin())
    assert (await browser.ask(f"{back}&iss={browser.provider.issuer}")).status == 303


async def test_what_the_provider_refuses_is_said(browser: Browser) -> None:
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    answer = await browser.ask(f"/login/oidc/callback?error=access_denied&state={state}")
    await refusal(browser, "denied", 403, "The identity provider refused the login.", answer)


async def test_while_the_provider_is_away_passwords_go_on(tmp_path: Path) -> None:
    nobody = IdentityProvider()
    nobody.issuer = f"http://127.0.0.1:{free_port()}"
    values = settings_for(nobody)
    async with receiving(tmp_path / "data", pages=console_pages, **values) as running:
        browser = Browser(running, nobody)
        await refusal(browser, "away", 503, "cannot be reached", await browser.ask("/login/oidc"))
        doors = running.desk.access.doors
        await asyncio.to_thread(
            lambda: doors.accounts.create("anna", "viewer", doors.hash("correct horse"), now_ms=0)
        )
        credentials = body({"name": "anna", "password": "correct horse"})
        assert (await running.request("POST", "/api/v1/session", credentials, {})).status == 200


async def test_who_is_disabled_here_does_not_get_in(browser: Browser) -> None:
    await browser.log_in()
    account, accounts = browser.account(), Accounts(browser.running.store)
    assert account is not None
    accounts.create("root", "admin", "hash", now_ms=0)
    accounts.change(account.id, now_ms=0, disabled=True)
    await refusal(browser, "account_disabled", 403, "Your account is disabled here.", await browser.log_in())


async def test_a_name_that_is_taken_is_not_taken_over(browser: Browser) -> None:
    made = Accounts(browser.running.store).create("anna", "viewer", "hash", now_ms=0)
    for name in ("anna", "ANNA", "\uff21nna"):
        browser.provider.claims["preferred_username"] = name
        answer = await browser.log_in()
        await refusal(browser, "name_taken", 403, f"another account called {name} here", answer)
    assert browser.account("anna") == made


async def test_a_name_that_cannot_be_used_is_said(browser: Browser) -> None:
    for name in (None, "", " ", 7, "gatepost", "token:x", "a\u200bb", "x" * 65):
        browser.provider.claims["preferred_username"] = name
        await refusal(browser, "no_name", 403, "oidc_name_claim", await browser.log_in())


async def test_the_same_name_at_another_subject_is_another_person(browser: Browser) -> None:
    await browser.log_in()
    browser.provider.claims["sub"] = "2"
    other = Browser(browser.running, browser.provider)
    await refusal(other, "name_taken", 403, "another account called carla here", await other.log_in())


async def test_one_is_never_led_to_another_site(browser: Browser) -> None:
    for next_page in ("//evil.example/", "https://evil.example/", "/\\evil.example", "x"):
        answer = await browser.log_in(f"/login/oidc?next={quote(next_page, safe='')}")
        assert (answer.status, answer.headers["location"]) == (303, "/")


async def test_an_account_of_the_provider_has_no_password(browser: Browser) -> None:
    await browser.log_in()
    account, accounts = browser.account(), Accounts(browser.running.store)
    assert account is not None
    assert account.password == ""
    for password in ("", "correct horse"):
        credentials = body({"name": "carla", "password": password})
        assert (await browser.running.request("POST", "/api/v1/session", credentials, {})).status == 401
    accounts.create("root", "admin", "hash", now_ms=0)
    with pytest.raises(Conflict, match="identity provider"):
        accounts.change(account.id, now_ms=0, password="hash")
    change = {"current": "", "new": "another horse"}
    answer = await browser.ask("/api/v1/session/password", "POST", change)
    assert (answer.status, "identity provider" in answer.json["detail"]) == (403, True)
    page = await browser.ask("/account")
    assert "your password is changed there" in page.body.decode()
    assert 'name="current"' not in page.body.decode()


async def test_an_administrator_of_the_provider_is_not_the_last_one(browser: Browser) -> None:
    browser.provider.claims["groups"] = ["cn=chiefs,ou=doors"]
    await browser.log_in()
    accounts = Accounts(browser.running.store)
    root = accounts.create("root", "admin", "hash", now_ms=0)
    with pytest.raises(Conflict, match="last administrator"):
        accounts.change(root.id, now_ms=0, disabled=True)


async def test_a_logout_ends_the_session_here_and_leads_to_the_providers(browser: Browser) -> None:
    await browser.log_in()
    answer = await browser.ask("/logout", "POST")
    assert (answer.status, answer.headers["clear-site-data"]) == (200, '"cache", "storage"')
    page = answer.body.decode().replace("&amp;", "&")
    address = page.partition('content="0; url=')[2].partition('"')[0]
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{browser.provider.issuer}/logout"
    asked = parse_qs(parts.query)
    payload = json.loads(base64.urlsafe_b64decode(asked["id_token_hint"][0].split(".")[1] + "=="))
    assert (payload["sub"], asked["client_id"]) == ("1", [CLIENT_ID])
    assert asked["post_logout_redirect_uri"][0].endswith("/login")
    assert await browser.who() is None


async def test_a_logout_stays_here_where_the_provider_has_none(browser: Browser) -> None:
    browser.provider.described["end_session_endpoint"] = ""
    await browser.log_in()
    answer = await browser.ask("/logout", "POST")
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert await browser.who() is None


async def test_the_login_page_has_a_button_where_there_is_a_provider(
    browser: Browser, tmp_path: Path
) -> None:
    page = (await browser.ask("/login?next=/alarms")).body.decode()
    assert "Log in with single sign-on" in page
    assert "/login/oidc?next=%2Falarms" in page
    values = settings_for(browser.provider, oidc_label="Door Id")
    async with receiving(tmp_path / "named", pages=console_pages, **values) as running:
        assert "Log in with Door Id" in (await running.request("GET", "/login", b"", {})).body.decode()
    async with receiving(tmp_path / "without", pages=console_pages) as running:
        assert "/login/oidc" not in (await running.request("GET", "/login", b"", {})).body.decode()
        for path in ("/login/oidc", "/login/oidc/callback"):
            assert (await running.request("GET", path, b"", {})).status == 404


GOOD: dict[str, Any] = {
    "oidc_issuer": "https://id.example.com/realms/company",
    "oidc_client_id": "gatepost",
    "oidc_roles": ("doors=viewer",),
}


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"oidc_issuer": "http://id.example.com"}, "oidc_issuer"),
        ({"oidc_issuer": "id.example.com"}, "oidc_issuer"),
        ({"oidc_issuer": "https://[id"}, "oidc_issuer"),
        ({"oidc_issuer": "https://id.example.com/?realm=1"}, "oidc_issuer"),
        ({"oidc_client_id": ""}, "oidc_client_id"),
        ({"oidc_scopes": "profile"}, "oidc_scopes"),
        ({"oidc_roles": ()}, "oidc_roles"),
        ({"oidc_roles": ("doors",)}, "oidc_roles"),
        ({"oidc_roles": ("doors=chief",)}, "oidc_roles"),
        ({"oidc_roles": ("doors=guard@",)}, "oidc_roles"),
        ({"oidc_client_secret_file": "/nowhere"}, "oidc_client_secret_file"),
        ({"oidc_client_secret_file": "/dev/null"}, "oidc_client_secret_file"),
        ({"oidc_client_secret_file": "/dev/null", "oidc_client_secret": "x"}, "oidc_client_secret"),
        ({"oidc_ca_file": "/nowhere"}, "oidc_ca_file"),
        ({"oidc_ca_file": "/dev/null"}, "oidc_ca_file"),
    ],
    ids=str,
)
def test_a_setting_that_does_not_fit_is_named(wrong: dict[str, Any], setting: str) -> None:
    settings = ReceiverSettings(**GOOD | wrong)
    with pytest.raises(SettingsError) as refused:
        openid.provider_of(settings, lambda: b"key", now=lambda: 0.0, monotonic=lambda: 0.0)
    assert refused.value.setting == setting


def test_the_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the file\nmore\n")
    settings = ReceiverSettings(**GOOD, oidc_client_secret_file=str(tmp_path / "secret"))
    assert openid.provider_of(settings, lambda: b"key", now=lambda: 0.0, monotonic=lambda: 0.0) is not None
    assert (
        openid.provider_of(ReceiverSettings(), lambda: b"key", now=lambda: 0.0, monotonic=lambda: 0.0) is None
    )
