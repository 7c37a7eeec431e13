"""``/account``: who one is, and one's own password. ``/audit``: who did what."""

from __future__ import annotations

from litestar import Controller, get, post
from litestar.params import RawBody

from gatepost.console.desk import Desk, Html, TheDesk, local_path
from gatepost.console.forms import Form
from gatepost.console.words import Words, table
from gatepost.errors import SettingsError
from gatepost.receiver.api.authorization import ADMIN, EVERY_SITE, GUARD, AnyRequest, TheAccess
from gatepost.receiver.api.session import session_cookie
from gatepost.receiver.api.shapes import read
from gatepost.receiver.auth.authenticator import LoginRefused
from gatepost.store.local_days import Days

__all__ = ["AccountPages"]

PAGE = 100


class AccountPages(Controller):
    """``/account``, ``/audit``."""

    @get("/account", opt=GUARD, sync_to_thread=True)
    def show_account(self, request: AnyRequest, desk: TheDesk) -> Html:
        return _account(desk, request)

    @post("/account/password", opt=GUARD, sync_to_thread=True)
    def change_password(self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        """Ends every session of the account, and opens a new one for whoever is here."""
        view, form, doors = desk.view(request), Form(body), access.doors
        account_id, address = request.user.account_id, access.address(request)
        new = form.secret("new")
        if account_id is None:
            return _account(desk, request, problem=view.words("account.token"))
        try:
            if new != form.secret("again"):
                return _account(desk, request, problem=view.words("account.differ"))
            if not doors.verify(account_id, form.secret("current"), address=address):
                return _account(desk, request, problem=view.words("account.wrong"))
            encoded = doors.hash(new)
        except LoginRefused as refused:
            span = view.show.span((refused.retry_after_s or 0) + 1)
            return _account(desk, request, problem=view.words("login.wait", span=span))
        except SettingsError:
            return _account(desk, request, problem=view.words("account.weak"))
        doors.accounts.change(account_id, now_ms=doors.now_ms(), password=encoded)
        access.note(request, "account.password_changed", request.user.name)
        secret, _ = doors.login(request.user.name, new, address=address)
        cookie = session_cookie(access, request, secret)
        return view.go(local_path(form("back"), "/account"), done="password", cookies=[cookie])

    @get("/audit", opt=ADMIN | EVERY_SITE, sync_to_thread=True)
    def show_audit(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Html:
        view = desk.view(request)
        action, actor = view.query.get("action", "").strip(), view.query.get("actor", "").strip()
        since, until = view.day("since"), view.day("until")
        page = read(
            lambda: access.doors.accounts.audit(
                limit=PAGE,
                cursor=view.query.get("cursor"),
                action=action or None,
                actor=actor or None,
                since_ms=Days.of(since, since, view.show.zone).begin_ms if since else None,
                until_ms=Days.of(until, until, view.show.zone).end_ms if until else None,
            )
        )
        return view.page(
            "audit.html",
            active="audit",
            lines=page.items,
            next=page.next_cursor,
            filtered={"actor": actor, "action": action, "since": since, "until": until},
            actions=_actions(view.words),
        )


def _actions(words: Words) -> list[tuple[str, str]]:
    """What can be done, in words, for a choice."""
    prefix = "action."
    found = [
        (key.removeprefix(prefix).replace("__", "."), words(key)) for key in table() if key.startswith(prefix)
    ]
    return sorted(found, key=lambda one: one[0])


def _account(desk: Desk, request: AnyRequest, *, problem: str | None = None) -> Html:
    view = desk.view(request)
    return view.page(
        "account.html",
        status=200 if problem is None else 400,
        active="account",
        problem=problem,
        sites=None if request.user.sites is None else [site.name for site in view.store.sites()],
    )
