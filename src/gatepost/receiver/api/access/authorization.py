"""Decide who may call which route.

Every route says the role that it needs in its options: ``opt={"role": "viewer"}``; with ``"also": "guard"`` that this
role may do it as well, and with ``"every_site": True`` that it is for users of every site only. One that says nothing
needs ``admin`` of every site, so that what is forgotten is closed and not open; ``opt={"open": True}`` is for anyone.
With ``"is_use": False`` a session does not live longer for it.

What a user of some sites sees is decided by the store that a route is handed: :func:`user_store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from litestar.connection import ASGIConnection, Request
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.params import SkipValidation
from litestar.types import ASGIApp

from gatepost.receiver.api.access.shares import Shares
from gatepost.receiver.auth.audit_groups import AuditGroups
from gatepost.receiver.auth.authenticator import Doors
from gatepost.receiver.auth.openid.provider import OpenIdProvider
from gatepost.receiver.auth.principal import Principal, may
from gatepost.receiver.http.security_headers import over_tls, public_origin
from gatepost.receiver.http.url_prefix import link
from gatepost.receiver.terminals.networks import Networks, peer_address
from gatepost.store.accounts.rows import Role
from gatepost.store.interface import Store, Visible
from gatepost.store.questions import UserStore

__all__ = [
    "PARTS",
    "Access",
    "AnyConnection",
    "AnyRequest",
    "AnyoneRequest",
    "Authentication",
    "TheAccess",
    "ACKNOWLEDGE",
    "GUARD",
    "VIEWER",
    "OPERATOR",
    "ADMIN",
    "EVERY_SITE",
    "OPEN",
    "BY_ITSELF",
    "SomeSitesOnly",
    "Needed",
    "needed",
    "user_store",
    "OWN_PASSWORD",
    "PasswordChangeNeeded",
]

PARTS = "gatepost.parts"
"""In the scope of a request: the parts of the receiver, by the names under which routes are handed them."""

AnyRequest = Request[Principal, str, Any]
AnyoneRequest = Request[Any, Any, Any]
"""Also of a client of whom it is not known who they are."""
AnyConnection = ASGIConnection[Any, Any, Any, Any]

GUARD = {"role": "guard"}
VIEWER = {"role": "viewer"}
OPERATOR = {"role": "operator"}
ACKNOWLEDGE = {"role": "operator", "also": "guard"}
ADMIN = {"role": "admin"}
EVERY_SITE = {"every_site": True}
OPEN = {"open": True}
BY_ITSELF = {"is_use": False}
"""Option of routes that an open page asks by itself, such as what is new. They do not count as use of a session."""
OWN_PASSWORD = {"role": "guard", "own_password": True}
"""Also for a person whose password was made up by the program, and is to be changed before anything else."""

_HOW = (
    "say who you are: log in, or send a token as 'Authorization: Bearer TOKEN';"
    " a token in the address is not looked at"
)


class SomeSitesOnly(PermissionDeniedException):
    """Refuse what concerns every site to a user of some sites."""


class Needed(NamedTuple):
    """Say what a route needs of the one who asks."""

    role: Role
    every_site: bool = False
    also: Role | None = None
    """A lesser role that may do it as well."""
    is_use: bool = True
    """A session lives longer for being used so."""


def needed(options: Mapping[str, Any]) -> Needed:
    """Return what a route needs, by its options."""
    return Needed(
        options.get("role", "admin"),
        options.get("every_site", "role" not in options),
        options.get("also"),
        options.get("is_use", True),
    )


def user_store(whole: Store, user: Principal | None) -> UserStore:
    """Return the store as a user may see it; without a user it shows nothing."""
    return whole.seen_by(Visible(sites=frozenset()) if user is None else user.visible)


class PasswordChangeNeeded(PermissionDeniedException):
    """The password was made up by the program, and has to be changed first."""


class Access:
    """Tell a route who sent a request, from where, and over what."""

    def __init__(self, doors: Doors, proxies: Networks, provider: OpenIdProvider | None = None) -> None:
        self.doors = doors
        self.provider = provider
        """The identity provider; ``None``: people log in with passwords only."""
        self.groups = AuditGroups(doors.accounts, doors.now_ms)
        self.shares = Shares()
        self._proxies = proxies

    def address(self, connection: AnyConnection) -> str:
        """Return the address that it comes from, behind any trusted proxy."""
        direct = connection.client.host if connection.client is not None else ""
        return peer_address(direct, connection.headers.get("x-forwarded-for"), self._proxies)

    def direct(self, connection: AnyConnection) -> bool:
        """Return whether :meth:`address` is the sender's: there was no proxy, or a trusted one."""
        client = connection.client.host if connection.client is not None else ""
        forwarded = {"x-forwarded-for", "forwarded", "x-real-ip", "via"} & set(connection.headers.keys())
        return not forwarded or client in self._proxies

    def require(self, connection: AnyConnection, needed: Needed) -> Principal:
        """Return who sent this; 401 if they do not say, 403 if they may not. Blocks."""
        headers = dict(connection.headers.items())
        method = str(connection.scope.get("method", "GET"))
        host = headers.get("host", "")
        principal = self.doors.authenticate(method, headers, host=host, is_use=needed.is_use)
        if principal is None:
            raise NotAuthorizedException(_HOW, headers={"www-authenticate": 'Bearer realm="gatepost"'})
        if not may(principal.role, needed.role, also=needed.also):
            self._note_denied(principal, connection, needed.role)
            raise PermissionDeniedException(f"this needs the role {needed.role}; yours is {principal.role}")
        if needed.every_site and principal.sites is not None:
            self._note_denied(principal, connection, "every site")
            raise SomeSitesOnly("this concerns every site, and you have some sites only")
        return principal

    def secure(self, connection: AnyConnection) -> bool:
        """Return whether a request came over TLS, to the receiver or to a trusted proxy."""
        return over_tls(connection.scope, self._proxies)

    def base_url(self, connection: AnyConnection) -> str:
        """Return the address that the receiver was reached at, with its prefix and no slash at its end."""
        return public_origin(connection.scope, self._proxies) + link("")

    def note(self, request: AnyRequest, action: str, subject: str = "", **detail: object) -> None:
        """Write into the audit log what the one who asks has done."""
        doors = self.doors
        detail |= _of_actor(request.user)
        doors.accounts.note(
            now_ms=doors.now_ms(),
            actor=request.user.name,
            address=self.address(request),
            action=action,
            subject=subject,
            detail=detail,
        )

    def note_again(
        self,
        request: AnyRequest,
        action: str,
        *,
        event_id: int | None = None,
        what: str = "",
        found: int | None = None,
    ) -> None:
        """Write into the audit log what is done many times in a row: see :mod:`gatepost.receiver.auth.audit_groups`."""
        self._note_again(
            request.user, self.address(request), action, event_id=event_id, what=what, found=found
        )

    def _note_denied(self, user: Principal, connection: AnyConnection, needed: str) -> None:
        scope = connection.scope
        route = f"{scope.get('method', 'GET')} {scope.get('path_template') or connection.route_handler}"
        self._note_again(user, self.address(connection), "denied", what=f"{route} ({needed})")

    def _note_again(self, user: Principal, address: str, action: str, **more: Any) -> None:
        self.groups.add(user.name, address, action, of_actor=_of_actor(user), **more)


def _of_actor(user: Principal) -> dict[str, object]:
    """Return what a line says of the token that did it."""
    return {} if user.token_id is None else {"token": user.token_id, "made_by": user.made_by}


TheAccess = NamedDependency[SkipValidation[Access]]


class Authentication(AbstractAuthenticationMiddleware):
    """Finds out who asks, and compares their role with the route's. ``request.user`` is a ``Principal`` behind it."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, exclude_from_auth_key="open")

    async def authenticate_request(self, connection: AnyConnection) -> AuthenticationResult:
        access: Access = connection.scope[PARTS]["access"]  # type: ignore[literal-required]  # a key of ours
        principal = await asyncio.to_thread(access.require, connection, needed(connection.route_handler.opt))
        if principal.must_change and not connection.route_handler.opt.get("own_password"):
            raise PasswordChangeNeeded(
                "your password was made up for the first login; change it with POST /api/v1/session/password"
            )
        return AuthenticationResult(user=principal, auth=access.address(connection))
