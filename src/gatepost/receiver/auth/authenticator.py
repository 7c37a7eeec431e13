"""Tell who is asking, and whether they may: passwords, sessions, tokens, roles.

Rules:

* Without a role nothing is read: ``guard`` sees the live page and alarms, ``viewer`` looks at everything, ``operator``
  also acknowledges, approves and exports, ``admin`` also administrates and erases. Each sees what the ones before see.
* A ``guard`` acknowledges alarms, which a ``viewer`` does not, and sees no card and identity numbers.
* A user who is given some sites sees these only, and does nothing that concerns every site.
* A person has a session: a cookie that scripts cannot read, that other sites cannot make a browser send along with
  a change, and that is new at every login. A program has a token, in the ``Authorization`` header and nowhere else:
  an address ends up in histories and logs.
* Sessions and tokens are random; the store has digests. What is withdrawn is refused at the next request.
* A wrong name costs as much time as a wrong password.

Flow: ``login`` → cookie; then for each request ``authenticate`` → :class:`Principal` → its role against the route's.
"""

import hashlib
import secrets
import threading
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import argon2
from msgspec import Struct

from gatepost.errors import GatepostError, SettingsError
from gatepost.receiver.auth.login_throttle import Attempts
from gatepost.store.interface import Visible
from gatepost.store.query.accounts import AccountRow, Accounts, Role, TokenRow

__all__ = [
    "COOKIE",
    "ROLES",
    "Doors",
    "LoginRefused",
    "Principal",
    "check_password",
    "first_administrator",
    "issue_token",
    "may",
    "same_origin",
    "session_secret",
]

COOKIE = "gatepost_session"

ROLES: tuple[Role, ...] = ("guard", "viewer", "operator", "admin")
"""From the least to the most."""

MIN_PASSWORD = 8
MAX_PASSWORD = 256

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_PORTS = {"http": 80, "https": 443}


class Principal(Struct, frozen=True):
    """Who asks."""

    name: str
    """As the audit log writes it: ``anna``, or ``token:payroll``."""
    role: Role
    account_id: int | None = None
    """``None`` for a token."""
    sites: frozenset[int] | None = None
    """The sites that they see; ``None``: every site."""

    @property
    def visible(self) -> Visible:
        """Return what they may see of the store."""
        return Visible(sites=self.sites, numbers=self.role != "guard")


class LoginRefused(GatepostError):
    """The name or the password is wrong, or it is too early to try again."""

    def __init__(self, why: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


def may(role: Role, needed: Role, *, also: Role | None = None) -> bool:
    """Tell whether a role includes what is needed. ``also``: a lesser role that may do it as well."""
    return role == also or ROLES.index(role) >= ROLES.index(needed)


def check_password(password: str, *, setting: str = "password") -> str:
    """Answer the password as it is hashed (NFKC, as RFC 8265 has it); raise ``SettingsError`` if it is too weak."""
    normal = unicodedata.normalize("NFKC", password)
    if not MIN_PASSWORD <= len(normal) <= MAX_PASSWORD:
        raise SettingsError(setting, f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return normal


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def issue_token(
    accounts: Accounts,
    name: str,
    role: Role,
    *,
    by: str,
    now_ms: int,
    expires_at_ms: int | None = None,
    sites: Sequence[int] | None = None,
) -> tuple[str, TokenRow]:
    """Make an API token; the secret is returned once and kept nowhere. Raises as :meth:`Accounts.create_token`."""
    secret = f"gp_{secrets.token_urlsafe(32)}"
    row = accounts.create_token(
        name, role, _digest(secret), by=by, now_ms=now_ms, expires_at_ms=expires_at_ms, sites=sites
    )
    return secret, row


def first_administrator(accounts: Accounts, *, password: str | None, now_ms: int) -> str | None:
    """Make the account ``admin`` if there is none at all; answer the password if it was made up here."""
    if accounts.accounts():
        return None
    made = password or secrets.token_urlsafe(12)
    encoded = argon2.PasswordHasher().hash(check_password(made, setting="GATEPOST_ADMIN_PASSWORD"))
    accounts.create("admin", "admin", encoded, now_ms=now_ms)
    accounts.note(now_ms=now_ms, actor="gatepost", address="", action="account.created", subject="admin")
    return None if password else made


def same_origin(headers: Mapping[str, str], *, host: str) -> bool:
    """Tell whether a browser says that this request comes from our own pages.

    By ``Sec-Fetch-Site`` (W3C Fetch Metadata), or by ``Origin`` (RFC 6454) in browsers that have not got it. What
    says neither is no browser that could have been lured: but such a program has no business with a cookie either.
    ``host`` is the ``Host`` header. Without a port it is compared by name alone: proxies drop the port (nginx's
    ``$host``), and a cookie goes to every port of its host anyway (RFC 6265, section 8.5).
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    try:
        ours, page = urlsplit(f"//{host}"), urlsplit(headers.get("origin", ""))
        port = page.port or _PORTS.get(page.scheme)
        return page.hostname is not None and page.hostname == ours.hostname and ours.port in (None, port)
    except ValueError:  # no port, or no address in the brackets
        return False


def _nobody(hasher: argon2.PasswordHasher) -> str:
    """As if the hasher had made it of a password that nobody knows: costs as much to verify, and nothing to make."""
    salt, digest = (
        b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    version = argon2.low_level.ARGON2_VERSION
    return f"$argon2{hasher.type.name.lower()}$v={version}${cost}${salt}${digest}"


class Doors:
    """Lets people and programs in. Every method blocks; any thread may call it."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        now: Callable[[], float],
        session_s: float = 12 * 3600.0,
        idle_s: float = 2 * 3600.0,
        hasher: argon2.PasswordHasher | None = None,
    ) -> None:
        self.accounts = accounts
        self._now = now
        self._session_ms = int(session_s * 1000)
        self._idle_ms = int(idle_s * 1000)
        self._hasher = hasher or argon2.PasswordHasher()
        self._nobody = _nobody(self._hasher)
        self._attempts = Attempts()
        self._counting = threading.Lock()
        # A hash takes 64 MB while it is made: two at a time, however many log in.
        self._hashing = threading.BoundedSemaphore(2)

    @property
    def session_s(self) -> int:
        return self._session_ms // 1000

    def now_ms(self) -> int:
        return int(self._now() * 1000)

    def hash(self, password: str) -> str:
        """Raises :class:`~gatepost.errors.SettingsError` for a password that is too short."""
        normal = check_password(password)
        with self._hashing:
            return self._hasher.hash(normal)

    def login(self, name: str, password: str, *, address: str) -> tuple[str, AccountRow]:
        """Open a session; answer its secret, for the cookie. Raises :class:`LoginRefused`."""
        keys = self._limit(name, address)
        account = self.accounts.account(name)
        good = self._verify(account.password if account is not None else self._nobody, password)
        if account is None or account.disabled or not good:
            self._note("login.refused", name[:64], address)
            raise LoginRefused("the name or the password is wrong")
        with self._counting:
            self._attempts.succeeded(*keys)
        if self._hasher.check_needs_rehash(account.password):
            self.accounts.change(account.id, now_ms=self.now_ms(), password=self.hash(password))
        secret = secrets.token_urlsafe(32)
        self.accounts.open_session(
            account.id,
            _digest(secret),
            now_ms=self.now_ms(),
            expires_at_ms=self.now_ms() + self._session_ms,
            address=address,
        )
        self._note("login", account.name, address)
        return secret, account

    def verify(self, account_id: int, password: str, *, address: str) -> bool:
        """Tell whether this is the account's password: asked again before it is changed. Limited as a login is.

        Raises :class:`LoginRefused` where it is too early.
        """
        account = self.accounts.account(account_id)
        if account is None:
            return False
        keys = self._limit(account.name, address)
        good = self._verify(account.password, password)
        if good:
            with self._counting:
                self._attempts.succeeded(*keys)
        return good

    def _limit(self, name: str, address: str) -> tuple[str, str]:
        keys = (f"account {name[:64]}", f"address {address}")
        with self._counting:
            early = self._attempts.wait(*keys, now=self._now())
        if early > 0:
            raise LoginRefused("too many attempts; wait before the next one", retry_after_s=early)
        return keys

    def _verify(self, encoded: str, password: str) -> bool:
        if len(password) > MAX_PASSWORD:
            return False
        with self._hashing:
            try:
                return self._hasher.verify(encoded, unicodedata.normalize("NFKC", password))
            except argon2.exceptions.VerificationError:
                return False

    def logout(self, cookie: str) -> None:
        self.accounts.close_session(_digest(cookie))

    def authenticate(self, method: str, headers: Mapping[str, str], *, host: str) -> Principal | None:
        """Who sent a request with these headers (names in lower case); ``None`` if they do not say or it is not true.

        A session counts for a change only if the request comes from our own pages.
        """
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, secret = authorization.partition(" ")
            token = None
            if scheme.lower() == "bearer" and secret.strip():
                token = self.accounts.token(_digest(secret.strip()), now_ms=self.now_ms())
            if token is None:
                return None
            return Principal(f"token:{token.name}", token.role, sites=_set(token.sites))
        secret = session_secret(headers) or ""
        if not secret or (method not in _SAFE and not same_origin(headers, host=host)):
            return None
        account = self.accounts.session(_digest(secret), now_ms=self.now_ms(), idle_ms=self._idle_ms)
        if account is None:
            return None
        return Principal(account.name, account.role, account.id, _set(account.sites))

    def _note(self, action: str, actor: str, address: str) -> None:
        self.accounts.note(now_ms=self.now_ms(), actor=actor, address=address, action=action)


def _set(sites: tuple[int, ...] | None) -> frozenset[int] | None:
    return None if sites is None else frozenset(sites)


def session_secret(headers: Mapping[str, str]) -> str | None:
    """What the session's cookie holds."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value
