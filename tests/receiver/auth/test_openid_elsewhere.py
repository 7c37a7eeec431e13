"""Logins at an identity provider where something is not as usual: the database, the certificate, the path."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.faults.certificates import authority, ca_file, self_signed, trusted
from tests.receiver.auth.test_openid import Browser, settings_for
from tests.receiver.identity_provider import IdentityProvider
from tests.receiver.kit import receiving, serving
from tests.receiver.tls import trusting
from tests.store.conftest import open_postgres  # noqa: F401 - fixtures

from gatepost.console.commands import console_pages
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.base import BaseStore


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider().running() as provider:
        provider.now = time.time
        yield provider


async def test_a_login_that_began_at_one_receiver_ends_at_another_of_the_database(
    open_postgres: Callable[[], BaseStore],  # noqa: F811
    provider: IdentityProvider,
    tmp_path: Path,
) -> None:
    settings = ReceiverSettings(**settings_for(provider))
    first, second = open_postgres(), open_postgres()
    first.create_site("North", "UTC", now_ms=0)
    async with (
        serving(first, settings, journal=tmp_path / "first", pages=console_pages) as one,
        serving(second, settings, journal=tmp_path / "second", pages=console_pages) as other,
    ):
        browser = Browser(one, provider)
        back = await browser.at_provider(await browser.begin("/login/oidc?next=/alarms"))
        browser.running = other
        answer = await browser.ask(back)
        assert (answer.status, answer.headers["location"]) == (303, "/alarms")
        assert await browser.who() == {"name": "carla", "role": "operator", "sites": None}
        provider.claims["groups"] = ["north-guards"]
        assert (await Browser(other, provider).log_in()).status == 303
        browser.running = one
        (site,) = (site.id for site in first.sites() if site.name == "North")
        assert await browser.who() == {"name": "carla", "role": "guard", "sites": [site]}
        assert [row.name for row in Accounts(second).accounts()] == ["carla"]
        answer = await browser.ask("/logout", "POST")
        assert provider.issuer in answer.body.decode()
        browser.running = other
        assert await browser.who() is None


async def test_the_certificate_of_the_provider_is_signed_by_the_ca_of_the_settings(tmp_path: Path) -> None:
    async with IdentityProvider().running(trusted()) as provider:
        provider.now = time.time
        values = settings_for(provider, oidc_ca_file=str(ca_file(tmp_path)))
        async with receiving(tmp_path / "data", pages=console_pages, **values) as running:
            browser = Browser(running, provider, tls=trusting(authority()))
            assert (await browser.log_in()).status == 303
            assert await browser.who() == {"name": "carla", "role": "operator", "sites": None}


@pytest.mark.parametrize("has_ca", [True, False])
async def test_no_other_certificate_is_taken(tmp_path: Path, has_ca: bool) -> None:
    """Neither one of another CA, nor with ours left out one that the system does not know."""
    context = self_signed()[0] if has_ca else trusted()
    async with IdentityProvider().running(context) as provider:
        values = settings_for(provider, **({"oidc_ca_file": str(ca_file(tmp_path))} if has_ca else {}))
        async with receiving(tmp_path / "data", pages=console_pages, **values) as running:
            browser = Browser(running, provider)
            assert (await browser.ask("/login/oidc")).status == 503
            assert browser.refused()[0] == {"how": "openid connect", "why": "away"}
        assert provider.asked == []


async def test_below_the_path_of_a_proxy(tmp_path: Path, provider: IdentityProvider) -> None:
    values = settings_for(provider, path_prefix="/gate")
    async with receiving(tmp_path / "data", pages=console_pages, **values) as running:
        browser = Browser(running, provider, prefix="/gate")
        page = await browser.ask("/gate/login?next=/alarms")
        assert "/gate/login/oidc?next=%2Falarms" in page.body.decode()
        asked = await browser.ask("/gate/login/oidc?next=/alarms")
        assert "Path=/gate/login/oidc" in asked.headers["set-cookie"]
        answer = await browser.ask(await browser.at_provider(asked.headers["location"]))
        assert (answer.status, answer.headers["location"]) == (303, "/gate/alarms")
        left = await browser.ask("/gate/logout", "POST")
        assert "%2Fgate%2Flogin" in left.body.decode()
