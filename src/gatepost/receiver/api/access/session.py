"""``/api/v1/session``: log in, see who one is, log out, change one's own password."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from litestar import Controller, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import (
    HTTPException,
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from litestar.params import JSONBody
from msgspec import Struct

from gatepost.receiver.api.access.authorization import (
    OPEN,
    OWN_PASSWORD,
    Access,
    AnyoneRequest,
    AnyRequest,
    TheAccess,
)
from gatepost.receiver.auth.authenticator import Login, LoginRefused
from gatepost.receiver.auth.cookies import COOKIE, DEVICE_S, device_cookie_name, same_origin, session_secret
from gatepost.receiver.http.url_prefix import link
from gatepost.store.accounts.rows import Role

__all__ = [
    "FORGET",
    "Credentials",
    "NewPassword",
    "SessionController",
    "SessionItem",
    "login_cookies",
    "session_cookie",
]


FORGET = {"clear-site-data": '"cache", "storage"'}
"""Header of a logout: the browser forgets pages and images, whose next user is another one. HTTPS only."""


class Credentials(Struct, frozen=True):
    """Hold the name and the password of a login."""

    name: str
    password: str


class NewPassword(Struct, frozen=True):
    """A change of one's own password."""

    current: str
    new: str


class SessionItem(Struct, frozen=True):
    """Describe the user of a session."""

    name: str
    role: Role
    sites: list[int] | None
    """The ids of the sites that one sees; ``null``: every site."""


class SessionController(Controller):
    path = "/api/v1/session"
    tags = ("session",)

    @post(
        opt=OPEN,
        status_code=200,
        summary="Log in",
        raises=[NotAuthorizedException, PermissionDeniedException, TooManyRequestsException],
    )
    async def log_in(
        self, request: AnyoneRequest, data: JSONBody[Credentials], access: TheAccess
    ) -> Response[SessionItem]:
        """Open a session: return its cookie, and one by which this device is known from now on.

        After some failures one has to wait: 429, ``Retry-After``.
        """
        headers = dict(request.headers.items())
        browser = "sec-fetch-site" in headers or "origin" in headers
        if browser and not same_origin(headers, host=headers.get("host", "")):
            raise PermissionDeniedException("log in on the console's own page")
        try:
            login = await access.doors.login(
                data.name, data.password, address=access.address(request), headers=headers
            )
        except LoginRefused as refused:
            raise _refused(refused) from None
        before = session_secret(headers)
        if before:
            await asyncio.to_thread(access.doors.logout, before, address=access.address(request))
        account = login.account
        item = SessionItem(account.name, account.role, _listed(account.sites))
        return Response(item, cookies=login_cookies(access, request, login))

    @get(opt=OWN_PASSWORD, sync_to_thread=False, summary="Who am I?")
    def who(self, request: AnyRequest) -> SessionItem:
        return SessionItem(request.user.name, request.user.role, _listed(request.user.sites))

    @delete(opt=OWN_PASSWORD, sync_to_thread=True, summary="Log out")
    def log_out(self, request: AnyRequest, access: TheAccess) -> Response[None]:
        secret = session_secret(dict(request.headers.items()))
        if secret:
            access.doors.logout(secret, address=access.address(request))
        cookies = [session_cookie(access, request, None)]
        return Response(None, status_code=204, headers=FORGET, cookies=cookies)

    @post(
        "/password",
        opt=OWN_PASSWORD,
        status_code=204,
        summary="Change one's own password",
        raises=[TooManyRequestsException],
    )
    async def change_password(
        self, request: AnyRequest, data: JSONBody[NewPassword], access: TheAccess
    ) -> None:
        """End every session of the account, this one too; no device is known any more."""
        account_id = request.user.account_id
        if account_id is None:
            raise PermissionDeniedException("a token has no password")
        if not request.user.has_password:
            raise PermissionDeniedException(
                "this account has no password here; it logs in at the identity provider"
            )
        try:
            good = await access.doors.verify(account_id, data.current)
        except LoginRefused as refused:
            raise _refused(refused) from None
        if not good:
            raise PermissionDeniedException("the current password is wrong")

        def change() -> None:
            encoded = access.doors.hash(data.new, name=request.user.name, current=data.current)
            access.doors.accounts.change(account_id, now_ms=access.doors.now_ms(), password=encoded)
            access.note(request, "account.password_changed", request.user.name)

        await asyncio.to_thread(change)


def login_cookies(access: Access, request: AnyoneRequest, login: Login) -> list[Cookie]:
    """Make the cookies of a login: of the session, and of the device."""
    device = Cookie(
        key=device_cookie_name(login.account.id),
        value=login.device,
        max_age=DEVICE_S,
        path=link("/"),
        httponly=True,
        samesite="strict",
        secure=access.secure(request),
    )
    return [device, session_cookie(access, request, login.secret)]


def _listed(sites: Iterable[int] | None) -> list[int] | None:
    return None if sites is None else sorted(sites)


def session_cookie(access: Access, request: AnyoneRequest, secret: str | None) -> Cookie:
    """Return the cookie of a session; without secret, one that makes a browser forget it."""
    return Cookie(
        key=COOKIE,
        value=secret or "",
        max_age=access.doors.session_s if secret else 0,
        path=link("/"),
        httponly=True,
        samesite="lax",
        secure=access.secure(request),
    )


def _refused(refused: LoginRefused) -> HTTPException:
    if refused.retry_after_s is None:
        return NotAuthorizedException(str(refused))
    wait = {"retry-after": str(int(refused.retry_after_s) + 1)}
    return TooManyRequestsException(str(refused), headers=wait)
