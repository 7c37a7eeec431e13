"""``/settings``: sites, and every setting in force; ``/settings/users``: accounts and tokens."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

from litestar import Controller, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, RawBody
from msgspec import UNSET

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.errors import SettingsError
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.operation.settings import change_settings
from gatepost.receiver.api.shapes import MAX_ID, ThePreview, answering, read
from gatepost.receiver.api.terminals.sites import change_site
from gatepost.receiver.api.terminals.values import networks_of
from gatepost.receiver.api.versions import naming_who
from gatepost.receiver.auth.audit_changes import changes
from gatepost.receiver.auth.issuing import issue_token
from gatepost.receiver.auth.principal import ROLES
from gatepost.receiver.settings_in_force import SettingsInForce, TheSettings
from gatepost.receiver.terminals.preview import Preview, WouldRefuse
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.rows import Role
from gatepost.store.local_days import zone
from gatepost.store.page_bytes import weight

__all__ = ["SettingsPages"]

MAX_NAME = 64
MAX_DAYS = 3650
_TICK_BYTES = 128
"""Bytes of a site with its tick in a page, without its name."""


class SettingsPages(Controller):
    """``/settings``."""

    path = "/settings"
    opt = ADMIN | EVERY_SITE

    @get(sync_to_thread=True)
    def show_settings(
        self,
        request: AnyRequest,
        desk: TheDesk,
        preview: ThePreview,
        settings: TheSettings,
    ) -> Html:
        return _settings(desk, request, preview, settings)

    @post("/values")
    async def change_values(
        self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess, settings: TheSettings
    ) -> Html:
        """Change those of the form that differ; an empty field takes a change back.

        A form whose page was opened before another change would take that one back: it is refused.
        """
        form = Form(body)
        now = {one.name: one for one in settings.listed() if one.is_changeable and not one.is_locked}
        given = {name: form(name) for name in now if form.has(name)}
        values = {
            name: text or None
            for name, text in given.items()
            if text != str(now[name].value) and (text or now[name].set_by == "console")
        }
        if values:
            await change_settings(request, access, settings, values, form.versions)
        return await asyncio.to_thread(lambda: desk.view(request).go("/settings", done="saved"))

    @post("/sites", sync_to_thread=True)
    def make_site(self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        form = Form(body)
        name, timezone = form("name")[:128], form("timezone")
        with answering():
            zone(timezone)
            if not name:
                raise ClientException(desk.view(request).words("settings.site_nameless"))
            row = desk.whole.create_site(name, timezone, now_ms=access.doors.now_ms())
        access.note(request, "site.created", str(row.id), name=row.name, timezone=row.timezone)
        return desk.view(request).go("/settings", done="saved")

    @post("/sites/{site_id:int}", sync_to_thread=True)
    def change_site(
        self, request: AnyRequest, site_id: FromPath[int], body: RawBody, desk: TheDesk, access: TheAccess
    ) -> Html:
        form, view = Form(body), desk.view(request)
        change_site(
            request,
            access,
            view.store,
            min(site_id, MAX_ID),
            name=form("name")[:128] or None,
            timezone=form("timezone"),
            versions=form.versions,
        )
        desk.forget_counts()
        return view.go("/settings", done="saved")

    @get("/users", sync_to_thread=True)
    def show_users(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Html:
        return _users(desk, request, access.doors.accounts)

    @post("/users", sync_to_thread=True)
    def make_user(self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        form, doors = Form(body), access.doors
        with answering():
            name, role = _name(form("name")), _role(form("role"))
            sites = _sites(desk, request, form)
            encoded = doors.hash(form.secret("password"), name=name)
            row = doors.accounts.create(name, role, encoded, now_ms=doors.now_ms(), sites=sites)
        access.note(request, "account.created", row.name, role=row.role, sites=row.sites)
        return desk.view(request).go("/settings/users", done="saved")

    @post("/users/{account_id:int}", sync_to_thread=True)
    def change_user(
        self, request: AnyRequest, account_id: FromPath[int], body: RawBody, desk: TheDesk, access: TheAccess
    ) -> Html:
        """Change role and sites, password, or whether one may log in. Every change ends the account's sessions."""
        form, doors = Form(body), access.doors
        account = doors.accounts.account(account_id) if account_id <= MAX_ID else None
        if account is None:
            raise NotFoundException("there is no such account")
        with answering(), naming_who(access, ["account.changed"], account.name):
            password = form.secret("password")
            row = doors.accounts.change(
                account_id,
                now_ms=doors.now_ms(),
                role=_role(form("role")) if form("role") else None,
                sites=_sites(desk, request, form) if form("role") else UNSET,
                password=doors.hash(password, name=account.name) if password else None,
                disabled={"yes": True, "no": False}.get(form("disabled")),
                versions=form.versions,
            )
        if row is None:
            raise NotFoundException("there is no such account")
        changed = [name for name in ("role", "password", "disabled") if form.secret(name)]
        told = {"role": row.role, "sites": row.sites, "changed": changed}
        told |= changes(account, row, ("role", "sites", "disabled"))
        access.note(request, "account.changed", row.name, **told)
        return desk.view(request).go("/settings/users", done="saved")

    @post("/tokens", sync_to_thread=True)
    def make_token(self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        """Make a token. Its secret is shown in this response only, so there is no redirect."""
        form, doors = Form(body), access.doors
        name, role = _name(form("name")), _role(form("role"))
        sites = _sites(desk, request, form)
        days = form("days") or "0"
        if not days.isdecimal() or len(days) > 4 or int(days) > MAX_DAYS:
            raise ClientException(desk.view(request).words("users.token_days_wrong", most=MAX_DAYS))
        expires = datetime.fromtimestamp(desk.now(), UTC) + timedelta(days=int(days))
        secret, row = issue_token(
            doors.accounts,
            name,
            role,
            by=request.user.name,
            owner_id=request.user.owner_id,
            now_ms=doors.now_ms(),
            expires_at_ms=int(expires.timestamp() * 1000) if int(days) else None,
            sites=sites,
        )
        access.note(request, "token.created", row.name, role=row.role, id=row.id, sites=row.sites)
        return _users(desk, request, doors.accounts, secret=secret)

    @post("/tokens/{token_id:int}/revoke", sync_to_thread=True)
    def revoke_token(
        self, request: AnyRequest, token_id: FromPath[int], desk: TheDesk, access: TheAccess
    ) -> Html:
        if access.doors.accounts.revoke_token(min(token_id, MAX_ID), now_ms=access.doors.now_ms()):
            access.note(request, "token.revoked", str(token_id))
        return desk.view(request).go("/settings/users", done="revoked")


_STRICTER = {
    "require_token": {"never": ("when-used", "always"), "when-used": ("always",)},
    "unknown_terminals": {"accept": ("hold", "refuse"), "hold": ("refuse",)},
}
"""Of each setting, which values are stricter than one."""


def _stricter(preview: Preview, settings: ReceiverSettings) -> list[tuple[str, str, list[WouldRefuse]]]:
    """Return what each stricter value of a setting would refuse."""
    return [
        (name, value, preview.of_settings(**{name: value}))
        for name, stricter in _STRICTER.items()
        for value in stricter.get(getattr(settings, name), ())
    ]


def _settings(desk: Desk, request: AnyRequest, preview: Preview, settings: SettingsInForce) -> Html:
    view, problem = desk.view(request), None
    stricter = _stricter(preview, settings.current)
    listed = settings.listed()
    networks = networks_of(view.query.get("allowed_networks", ""))
    if networks:
        try:
            would = preview.of_settings(allowed_networks=networks)
            stricter.append(("allowed_networks", " ".join(networks), would))
        except SettingsError as error:
            problem = str(error)
    return view.page(
        "settings.html",
        status=200 if problem is None else 400,
        active="settings",
        sites=desk.whole.sites(),
        zones=sorted(available_timezones()),
        in_force=[one for one in listed if not one.is_changeable],
        changeable=[one for one in listed if one.is_changeable],
        stricter=stricter,
        networks=" ".join(networks),
        version=settings.version,
        problem=problem,
    )


def _users(
    desk: Desk,
    request: AnyRequest,
    accounts: Accounts,
    *,
    secret: str | None = None,
) -> Html:
    view = desk.view(request)
    sites = {site.id: site.name for site in desk.whole.sites()}
    # Each account has every site twice: by name, and to be ticked.
    beside = 2 * sum(weight(name, row=_TICK_BYTES) for name in sites.values())
    page = read(lambda: accounts.accounts_page(view.query.get("cursor"), beside=beside))
    tokens = read(lambda: accounts.tokens_page(view.query.get("tokens"), beside=beside))
    return view.page(
        "users.html",
        active="settings",
        accounts=page.items,
        next=page.next_cursor,
        tokens=tokens.items,
        next_tokens=tokens.next_cursor,
        roles=[(role, view.words(f"frame.role_{role}")) for role in ROLES],
        sites=sites,
        secret=secret,
    )


def _sites(desk: Desk, request: AnyRequest, form: Form) -> list[int] | None:
    """Return the sites that were ticked; ``None`` for every site. Raises 400 for none at all."""
    if form.ticked("every_site"):
        return None
    ticked, known = set(form.numbers("sites")), {site.id for site in desk.whole.sites()}
    if not ticked or ticked - known:
        raise ClientException(desk.view(request).words("users.sites_missing"))
    return sorted(ticked)


def _name(text: str) -> str:
    if not text:
        raise ClientException("a name is needed")
    return text[:MAX_NAME]


def _role(text: str) -> Role:
    if text not in ROLES:
        raise ClientException(f"a role is one of {', '.join(ROLES)}")
    return text
