"""The way in and out: log in, log out, choose the language."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from litestar import Controller, Request, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import PermissionDeniedException
from litestar.params import RawBody

from gatepost.console.desk import Desk, Html, TheDesk, local_path
from gatepost.console.forms import Form
from gatepost.console.words import COOKIE, LANGUAGES
from gatepost.receiver.api.authorization import OPEN, OWN_PASSWORD, PARTS, Access, AnyRequest, TheAccess
from gatepost.receiver.api.session import FORGET, login_cookies, session_cookie
from gatepost.receiver.auth.authenticator import LoginRefused, same_origin, session_secret
from gatepost.receiver.http.console_access import is_own_machine

__all__ = ["DoorPages", "to_login"]

YEAR_S = 365 * 24 * 3600

AnyoneRequest = Request[Any, Any, Any]


def to_login(desk: Desk, request: AnyoneRequest) -> Html:
    """Ask somebody to log in, and lead them back afterwards."""
    view = desk.view(request)
    if view.fragment:
        return view.page(
            "login.html", status=401, next="/", name="", problem=None, first_time=False, plain=False
        )
    back = view.back if request.method == "GET" else "/"
    return view.go("/login" if back == "/" else f"/login?next={quote(back, safe='/')}")


class DoorPages(Controller):
    """``/login``, ``/logout``, ``/language``."""

    @get("/login", opt=OPEN, sync_to_thread=True)
    def show_login(self, request: AnyoneRequest, desk: TheDesk) -> Html:
        next_page = local_path(request.query_params.get("next"))
        return _form(desk, request, next_page=next_page)

    @post("/login", opt=OPEN)
    async def log_in(self, request: AnyoneRequest, body: RawBody, desk: TheDesk, access: TheAccess) -> Html:
        form, headers = Form(body), dict(request.headers.items())
        if not same_origin(headers, host=headers.get("host", "")):
            return await asyncio.to_thread(_refuse, desk, request, form, None)
        try:
            login = await access.doors.login(
                form("name"), form.secret("password"), address=access.address(request), headers=headers
            )
        except LoginRefused as refused:
            return await asyncio.to_thread(_refuse, desk, request, form, refused)

        def logged_in() -> Html:
            before = session_secret(headers)
            if before:
                access.doors.logout(before, address=access.address(request))
            next_page = local_path(form("next"))
            if next_page == "/" and login.account.role == "admin" and _nothing_yet(desk):
                next_page = "/welcome"
            return desk.view(request).go(next_page, cookies=login_cookies(access, request, login))

        return await asyncio.to_thread(logged_in)

    @post("/logout", opt=OWN_PASSWORD, sync_to_thread=True)
    def log_out(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Html:
        secret = session_secret(dict(request.headers.items()))
        if secret:
            access.doors.logout(secret, address=access.address(request))
        cookies = [session_cookie(access, request, None)]
        return desk.view(request).go("/login", cookies=cookies, headers=FORGET)

    @post("/language", opt=OPEN, sync_to_thread=True)
    def choose_language(
        self, request: AnyoneRequest, body: RawBody, desk: TheDesk, access: TheAccess
    ) -> Html:
        """A choice for the browser, not for the account: a desk may be shared."""
        headers = dict(request.headers.items())
        if not same_origin(headers, host=headers.get("host", "")):
            raise PermissionDeniedException("choose the language on the console's own page")
        form = Form(body)
        language = next((each for each in LANGUAGES if each == form("language")), LANGUAGES[0])
        cookie = Cookie(
            key=COOKIE,
            value=language,
            max_age=YEAR_S,
            path="/",
            httponly=True,
            samesite="lax",
            secure=access.secure(request),
        )
        return desk.view(request).go(local_path(form("back")), cookies=[cookie])


def _refuse(desk: Desk, request: AnyoneRequest, form: Form, refused: LoginRefused | None) -> Html:
    """Say why a login was refused; ``None``: it came from a page of another site."""
    view, next_page = desk.view(request), local_path(form("next"))
    if refused is None:
        return _form(desk, request, next_page=next_page, problem=view.words("login.elsewhere"), status=403)
    problem, status = view.words("login.wrong"), 401
    if refused.retry_after_s is not None:
        problem, status = view.words("login.wait", span=view.show.span(refused.retry_after_s + 1)), 429
    return _form(desk, request, next_page=next_page, problem=problem, status=status, name=form("name"))


def _form(
    desk: Desk,
    request: AnyoneRequest,
    *,
    next_page: str,
    problem: str | None = None,
    status: int = 200,
    name: str = "",
) -> Html:
    view = desk.view(request)
    access: Access = request.scope[PARTS]["access"]  # type: ignore[literal-required]  # a key of ours
    return view.page(
        "login.html",
        status=status,
        plain=not access.secure(request) and not is_own_machine(access.address(request)),
        next=next_page,
        name=name,
        problem=problem,
        first_time=_nothing_yet(desk),
    )


def _nothing_yet(desk: Desk) -> bool:
    """Whether this is the first start: no terminal is known."""
    return desk.whole.stats().terminals == 0
