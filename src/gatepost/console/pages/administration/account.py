"""``/account``: who one is, and one's own password. ``/audit``: who did what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import RawBody

from gatepost.console.audit_words import Told, told
from gatepost.console.desk import Desk, Html, TheDesk, View, local_path
from gatepost.console.input.forms import Form
from gatepost.console.pages.events.views import page_views
from gatepost.console.words import Words, table
from gatepost.errors import SettingsError
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, OWN_PASSWORD, AnyRequest, TheAccess
from gatepost.receiver.api.access.session import login_cookies
from gatepost.receiver.api.shapes import read
from gatepost.receiver.auth.authenticator import LoginRefused
from gatepost.store.accounts.audit_log import AuditRow
from gatepost.store.local_days import Days

__all__ = ["AccountPages"]

PAGE = 100


class AccountPages(Controller):
    """``/account``, ``/audit``."""

    @get("/account", opt=OWN_PASSWORD, sync_to_thread=True)
    def show_account(self, request: AnyRequest, desk: TheDesk) -> Html:
        return _account(desk, request)

    @post("/account/password", opt=OWN_PASSWORD)
    async def change_password(
        self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess
    ) -> Html:
        """End every session of the account, and open a new one for the person who is here."""
        form, doors = Form(body), access.doors
        account_id, new = request.user.account_id, form.secret("new")
        if account_id is None:
            raise await asyncio.to_thread(_refused, desk, request, "account.token")
        if not request.user.has_password:
            raise await asyncio.to_thread(_refused, desk, request, "account.no_password")
        if new != form.secret("again"):
            raise await asyncio.to_thread(_refused, desk, request, "account.differ")
        try:
            good = await doors.verify(account_id, form.secret("current"))
        except LoginRefused as refused:
            raise await asyncio.to_thread(_wait, desk, request, refused) from None
        if not good:
            raise await asyncio.to_thread(_refused, desk, request, "account.wrong")

        def change() -> Html:
            try:
                encoded = doors.hash(new, name=request.user.name, current=form.secret("current"))
            except SettingsError as error:
                raise ClientException(str(error)) from None
            account = doors.accounts.change(account_id, now_ms=doors.now_ms(), password=encoded)
            access.note(request, "account.password_changed", request.user.name)
            view = desk.view(request)
            if account is None:
                return view.go("/login")
            login = doors.open_session(account, address=access.address(request))
            cookies = login_cookies(access, request, login)
            return view.go(local_path(form("back"), "/account"), done="password", cookies=cookies)

        return await asyncio.to_thread(change)

    @get("/audit", opt=ADMIN | EVERY_SITE, sync_to_thread=True)
    def show_audit(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Html:
        view = desk.view(request)
        views = page_views(view, "audit")
        if views.start is not None:
            return view.go(views.start)
        action, actor = view.query.get("action", "").strip(), view.query.get("actor", "").strip()
        since, until = view.day("since"), view.day("until")
        accounts = access.doors.accounts
        filters: dict[str, Any] = {
            "action": action or None,
            "actor": actor or None,
            "since_ms": Days.of(since, since, view.show.zone).begin_ms if since else None,
            "until_ms": Days.of(until, until, view.show.zone).end_ms if until else None,
        }
        page = read(lambda: accounts.audit(limit=PAGE, cursor=view.query.get("cursor"), **filters))
        sites = {site.id: site.name for site in desk.whole.sites()}
        return view.page(
            "audit.html",
            views=views,
            active="audit",
            lines=[(line, _told(line, view, sites)) for line in page.items],
            found=accounts.count_audit(**filters),
            next=page.next_cursor,
            filtered={"actor": actor, "action": action, "since": since, "until": until},
            actions=_actions(view.words),
        )


def _told(line: AuditRow, view: View, sites: Mapping[int, str]) -> list[Told]:
    return told(line.detail, view.words, view.show, sites)


def _actions(words: Words) -> list[tuple[str, str]]:
    """Return what can be done, in words, for a choice."""
    prefix = "action."
    found = [
        (key.removeprefix(prefix).replace("__", "."), words(key)) for key in table() if key.startswith(prefix)
    ]
    return sorted(found, key=lambda one: one[0])


def _account(desk: Desk, request: AnyRequest) -> Html:
    view = desk.view(request)
    return view.page(
        "account.html",
        active="account",
        sites=None if request.user.sites is None else [site.name for site in view.store.sites()],
    )


def _refused(desk: Desk, request: AnyRequest, word: str) -> ClientException:
    return ClientException(desk.view(request).words(word))


def _wait(desk: Desk, request: AnyRequest, refused: LoginRefused) -> ClientException:
    view = desk.view(request)
    span = view.show.span((refused.retry_after_s or 0) + 1)
    return ClientException(view.words("login.wait", span=span))
