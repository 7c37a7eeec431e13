"""The way in and out: log in, log out, choose the language."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import RawBody

from gatepost.console.desk import Desk, Html, TheDesk, local_path
from gatepost.console.input.forms import Form
from gatepost.console.words import COOKIE, LANGUAGES
from gatepost.receiver.api.access.authorization import (
    OPEN,
    OWN_PASSWORD,
    PARTS,
    Access,
    AnyRequest,
    TheAccess,
)
from gatepost.receiver.api.access.session import FORGET, login_cookies, session_cookie
from gatepost.receiver.auth.authenticator import LoginRefused
from gatepost.receiver.auth.cookies import same_origin, session_secret
from gatepost.receiver.auth.openid import provider as openid
from gatepost.receiver.auth.openid.login import log_in, note_refused
from gatepost.receiver.auth.openid.provider import OpenIdProvider
from gatepost.receiver.auth.openid.values import ProviderRefused
from gatepost.receiver.http.console_access import is_own_machine
from gatepost.receiver.http.url_prefix import link
from gatepost.store.accounts.rows import Role

__all__ = ["LoginPages", "to_login"]

YEAR_S = 365 * 24 * 3600

AnyoneRequest = Request[Any, Any, Any]


def to_login(desk: Desk, request: AnyoneRequest) -> Html:
    """Ask somebody to log in, and lead them back afterwards."""
    view = desk.view(request)
    if view.fragment:
        return view.page(
            "login.html",
            status=401,
            next="/",
            name="",
            problem=None,
            first_time=False,
            plain=False,
            provider=None,
        )
    back = view.back if request.method == "GET" else "/"
    return view.go("/login" if back == "/" else f"/login?next={quote(back, safe='/')}")


class LoginPages(Controller):
    """``/login``, ``/login/oidc``, ``/logout``, ``/language``."""

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
            _end_session(request, access)
            next_page = _first_page(desk, local_path(form("next")), login.account.role)
            return desk.view(request).go(next_page, cookies=login_cookies(access, request, login))

        return await asyncio.to_thread(logged_in)

    @get("/login/oidc", opt=OPEN)
    async def begin_at_provider(
        self, request: AnyoneRequest, desk: TheDesk, access: TheAccess
    ) -> Response[bytes]:
        """Lead to the identity provider, which leads back to ``/login/oidc/callback``."""
        next_page = local_path(request.query_params.get("next"))
        redirect_uri = access.base_url(request) + "/login/oidc/callback"
        try:
            address, begun = await _provider(access).begin(redirect_uri, next_page)
        except ProviderRefused as refused:
            return await asyncio.to_thread(_not_let_in, desk, request, access, refused)
        return Response(
            b"",
            status_code=303,
            headers={"location": address},
            cookies=[_begun_cookie(access, request, begun)],
            media_type="text/html",
        )

    @get("/login/oidc/callback", opt=OPEN)
    async def come_back_from_provider(self, request: AnyoneRequest, desk: TheDesk, access: TheAccess) -> Html:
        """Open a session for whom the identity provider sends."""
        provider = _provider(access)
        try:
            identity = await provider.finish(
                request.cookies.get(openid.COOKIE, ""), dict(request.query_params.items())
            )
            login = await asyncio.to_thread(
                log_in, access.doors, provider, identity, address=access.address(request)
            )
        except ProviderRefused as refused:
            return await asyncio.to_thread(_not_let_in, desk, request, access, refused)

        def logged_in() -> Html:
            _end_session(request, access)
            next_page = _first_page(desk, local_path(identity.next), login.account.role)
            cookies = [
                session_cookie(access, request, login.secret),
                _begun_cookie(access, request, None),
            ]
            return desk.view(request).go(next_page, cookies=cookies)

        return await asyncio.to_thread(logged_in)

    @post("/logout", opt=OWN_PASSWORD)
    async def log_out(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Html:
        """End the session here, and lead to the provider's logout where the session began there."""
        id_token = await asyncio.to_thread(_end_session, request, access)
        address = None
        if id_token is not None and access.provider is not None:
            address = await access.provider.end_address(id_token, access.base_url(request) + "/login")
        cookies = [session_cookie(access, request, None)]

        def logged_out() -> Html:
            view = desk.view(request)
            if address is None:
                return view.go("/login", cookies=cookies, headers=FORGET)
            page = view.page("leaving.html", address=address, cookies=cookies)
            page.headers.update(FORGET)
            return page

        return await asyncio.to_thread(logged_out)

    @post("/language", opt=OPEN, sync_to_thread=True)
    def choose_language(
        self, request: AnyoneRequest, body: RawBody, desk: TheDesk, access: TheAccess
    ) -> Html:
        """Store a choice in the browser, not in the account: a desk may be shared."""
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


def _provider(access: Access) -> OpenIdProvider:
    if access.provider is None:
        raise NotFoundException("there is no identity provider; the setting oidc_issuer names it")
    return access.provider


def _begun_cookie(access: Access, request: AnyoneRequest, begun: str | None) -> Cookie:
    """Make the cookie of a login that was begun; without, what makes a browser forget it."""
    return Cookie(
        key=openid.COOKIE,
        value=begun or "",
        max_age=openid.BEGUN_S if begun else 0,
        path=link("/login/oidc"),
        httponly=True,
        samesite="lax",
        secure=access.secure(request),
    )


def _end_session(request: AnyoneRequest, access: Access) -> str | None:
    """End the session that a request has, if any; return the ID token with which it began."""
    secret = session_secret(dict(request.headers.items()))
    return access.doors.logout(secret, address=access.address(request)) if secret else None


def _first_page(desk: Desk, asked: str, role: Role) -> str:
    return "/welcome" if asked == "/" and role == "admin" and _nothing_yet(desk) else asked


def _not_let_in(desk: Desk, request: AnyoneRequest, access: Access, refused: ProviderRefused) -> Html:
    """Say why a login at the provider came to nothing."""
    note_refused(access.doors, access.groups, refused, address=access.address(request))
    problem = desk.view(request).words(f"login.oidc_{refused.reason}", name=refused.name)
    status = {"away": 503, "stale": 400}.get(refused.reason, 403)
    answer = _form(desk, request, next_page="/", problem=problem, status=status)
    answer.cookies.append(_begun_cookie(access, request, None))
    return answer


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
    provider = access.provider
    return view.page(
        "login.html",
        status=status,
        plain=not access.secure(request) and not is_own_machine(access.address(request)),
        next=next_page,
        name=name,
        problem=problem,
        first_time=_nothing_yet(desk),
        provider=None if provider is None else provider.label or view.words("login.single_sign_on"),
    )


def _nothing_yet(desk: Desk) -> bool:
    """Whether this is the first start: no terminal is known."""
    return desk.whole.stats().terminals == 0
