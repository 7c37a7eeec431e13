"""Who may call which route.

Every route says the role that it needs in its options: ``opt={"role": "viewer"}``. One that says nothing needs
``admin``, so that what is forgotten is closed and not open; ``opt={"open": True}`` is for anyone.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar.connection import ASGIConnection, Request
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.params import SkipValidation
from litestar.types import ASGIApp

from gatepost.receiver.auth.authenticator import Doors, Principal, may
from gatepost.receiver.http.security_headers import over_tls, public_origin
from gatepost.receiver.http.url_prefix import link
from gatepost.receiver.terminals.identify import Networks, peer_address
from gatepost.store.query.accounts import Role

__all__ = [
    "PARTS",
    "Access",
    "AnyRequest",
    "Authentication",
    "TheAccess",
    "VIEWER",
    "OPERATOR",
    "ADMIN",
    "OPEN",
]

PARTS = "gatepost.parts"
"""In the scope of a request: the parts of the receiver, by the names under which routes are handed them."""

AnyRequest = Request[Principal, str, Any]

VIEWER = {"role": "viewer"}
OPERATOR = {"role": "operator"}
ADMIN = {"role": "admin"}
OPEN = {"open": True}

_HOW = (
    "say who you are: log in, or send a token as 'Authorization: Bearer TOKEN';"
    " a token in the address is not looked at"
)


class Access:
    """What a route can ask about a request, and the doors that it came through."""

    def __init__(self, doors: Doors, proxies: Networks) -> None:
        self.doors = doors
        self._proxies = proxies

    def address(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        """The address that it comes from, behind any trusted proxy."""
        direct = connection.client.host if connection.client is not None else ""
        return peer_address(direct, connection.headers.get("x-forwarded-for"), self._proxies)

    def direct(self, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
        """Whether :meth:`address` is whose request it is: it came without a proxy, or through a trusted one."""
        client = connection.client.host if connection.client is not None else ""
        forwarded = {"x-forwarded-for", "forwarded", "x-real-ip", "via"} & set(connection.headers.keys())
        return not forwarded or client in self._proxies

    def require(self, connection: ASGIConnection[Any, Any, Any, Any], needed: Role) -> Principal:
        """Who sent this; 401 if they do not say, 403 if they lack the role. Blocks."""
        headers = dict(connection.headers.items())
        method = str(connection.scope.get("method", "GET"))
        principal = self.doors.authenticate(method, headers, host=headers.get("host", ""))
        if principal is None:
            raise NotAuthorizedException(_HOW, headers={"www-authenticate": 'Bearer realm="gatepost"'})
        if not may(principal.role, needed):
            raise PermissionDeniedException(f"this needs the role {needed}; yours is {principal.role}")
        return principal

    def secure(self, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
        """Whether it came over TLS, to us or to a trusted proxy."""
        return over_tls(connection.scope, self._proxies)

    def base_url(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        """Return the address that the receiver was reached at, with its prefix and no slash at its end."""
        return public_origin(connection.scope, self._proxies) + link("")

    def note(self, request: AnyRequest, action: str, subject: str = "", **detail: object) -> None:
        """Write into the audit log what the one who asks has done."""
        doors = self.doors
        doors.accounts.note(
            now_ms=doors.now_ms(),
            actor=request.user.name,
            address=self.address(request),
            action=action,
            subject=subject,
            detail=detail,
        )


TheAccess = NamedDependency[SkipValidation[Access]]


class Authentication(AbstractAuthenticationMiddleware):
    """Finds out who asks, and compares their role with the route's. ``request.user`` is a ``Principal`` behind it."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, exclude_from_auth_key="open")

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        needed = connection.route_handler.opt.get("role", "admin")
        access: Access = connection.scope[PARTS]["access"]  # type: ignore[literal-required]  # a key of ours
        principal = await asyncio.to_thread(access.require, connection, needed)
        return AuthenticationResult(user=principal, auth=access.address(connection))
