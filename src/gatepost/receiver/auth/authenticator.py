"""Tell who is asking: passwords, sessions, tokens.

Rules:

* A person has a session: a cookie that scripts cannot read, that other sites cannot make a browser send along with
  a change, and that is new at every login. A program has a token, in the ``Authorization`` header and nowhere else:
  an address ends up in histories and logs.
* Sessions and tokens are random; the store has digests. What is withdrawn is refused at the next request.
* A wrong name costs as much time as a wrong password.
* A refusal because it is too early, or because too many log in at once, is held back for a moment.
* A device that logged in before is known by a signed cookie, one for each account. It outlives the session and a
  logout, and means nothing any more when the password is changed. Its attempts have a budget and a lane of their own.

Flow: ``login`` → cookie; then for each request ``authenticate`` → :class:`Principal` → its role against the route's.
"""

import asyncio
import functools
import hashlib
import hmac
import secrets
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence

import argon2
from msgspec import Struct

from gatepost.errors import GatepostError, SettingsError
from gatepost.network_of import network_of
from gatepost.receiver.auth.cookies import cookie_of, device_cookie_name, same_origin, session_secret
from gatepost.receiver.auth.hashing import BusyError, Lane
from gatepost.receiver.auth.issuing import secret_digest
from gatepost.receiver.auth.login_throttle import Attempts
from gatepost.receiver.auth.passwords import MAX_PASSWORD, check_password, normal_password
from gatepost.receiver.auth.principal import Principal, person_of, sites_of
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.names import TOKEN_PREFIX, UNKNOWN, folded_name
from gatepost.store.accounts.rows import AccountRow

__all__ = ["HOW", "Doors", "Login", "LoginRefused"]

HOW = "openid connect"
"""How the audit log says that a login was the identity provider's."""

UNLOCKED_S = 600.0
"""For how long an account that was unlocked on the machine is not limited; networks still are."""

HELD_S = 0.25
"""How long a refusal of one who is too early, or one of too many, is held back: a loop of them costs little then."""

MAX_HELD = 64
"""How many refusals are held back at once; further ones are sent at once."""

BUSY_S = 5.0
"""After how long to try again, when too many log in at once."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Login(Struct, frozen=True):
    """A session that was opened."""

    secret: str
    """For the session's cookie."""
    account: AccountRow
    device: str
    """For the cookie by which the device is known from now on."""


class LoginRefused(GatepostError):
    """The name or the password is wrong, or it is too early to try again."""

    def __init__(self, why: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


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
    """Lets people and programs in. What is not async blocks, and any thread may call it."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        session_s: float = 12 * 3600.0,
        idle_s: float = 2 * 3600.0,
        hasher: argon2.PasswordHasher | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``now`` returns Unix seconds, and ``monotonic`` those of a clock that is never set: attempts go by it.

        ``sleep`` returns after so many seconds.
        """
        self.accounts = accounts
        self._now = now
        self._monotonic = monotonic
        self._session_ms = int(session_s * 1000)
        self._idle_ms = int(idle_s * 1000)
        self._hasher = hasher or argon2.PasswordHasher()
        self._nobody = _nobody(self._hasher)
        self._lanes = {True: Lane("login-known"), False: Lane("login")}
        self._attempts = Attempts()
        self._counting = threading.Lock()
        self._sleep = sleep
        self._held = 0
        # A hash takes 64 MB while it is made: two at a time, also where an administrator sets passwords.
        self._hashing = threading.BoundedSemaphore(2)

    @property
    def session_s(self) -> int:
        return self._session_ms // 1000

    def now_ms(self) -> int:
        return int(self._now() * 1000)

    def hash(self, password: str, *, name: str = "", current: str | None = None) -> str:
        """Return the hash of a new password of the account ``name``.

        Raises :class:`~gatepost.errors.SettingsError` for one that is too short, too common, or the ``current`` one.
        """
        normal = check_password(password, name=name)
        if current is not None and normal == normal_password(current):
            raise SettingsError("password", "is the one that you have; choose another one")
        return self._hash(normal)

    def _hash(self, normal: str) -> str:
        with self._hashing:
            return self._hasher.hash(normal)

    async def login(self, name: str, password: str, *, address: str, headers: Mapping[str, str]) -> Login:
        """Open a session. ``headers``: of the request, with its cookies. Raises :class:`LoginRefused`."""
        account = await asyncio.to_thread(self.accounts.account, name)
        device = None if account is None else self._device(account, headers)
        network, own = f"network {network_of(address)}", f"account {folded_name(name)[:64]}"
        keys: tuple[str, ...] = (network, own)
        if account is not None and device is not None:
            own = f"device {account.id} {device}"
            keys = (own,)
        elif account is not None and self._is_unlocked(account):
            keys = (network,)
        good, rehashed = await self._try(keys, device is not None, self._hash_of(account), password)
        if account is None or account.disabled or not good:
            # Whose name was typed is not who typed it; and what is no name may be a password.
            subject = "" if account is None else account.name
            await asyncio.to_thread(self._note, "login.refused", UNKNOWN, address, subject=subject)
            raise LoginRefused("the name or the password is wrong")
        with self._counting:
            self._attempts.take_back(*keys)
            self._attempts.succeeded(own)
        if rehashed is not None:
            changed = await asyncio.to_thread(
                self.accounts.change,
                account.id,
                now_ms=self.now_ms(),
                password=rehashed,
                must_change=account.must_change,
            )
            account, device = changed or account, None
        return await asyncio.to_thread(self.open_session, account, address=address, device=device)

    def open_session(
        self, account: AccountRow, *, address: str, device: str | None = None, id_token: str | None = None
    ) -> Login:
        """Open a session for a person whose password was right, on a known ``device`` or a new one.

        ``id_token``: the identity provider's, by which it knows the session at a logout; it stands for the password.
        """
        secret = secrets.token_urlsafe(32)
        self.accounts.open_session(
            account.id,
            secret_digest(secret),
            now_ms=self.now_ms(),
            expires_at_ms=self.now_ms() + self._session_ms,
            address=address,
            id_token=id_token,
        )
        self._note("login", account.name, address, detail={} if id_token is None else {"how": HOW})
        device = device or secrets.token_urlsafe(16)
        return Login(secret, account, f"{device}.{self._signature(account, device)}")

    def is_noted_alone(self, address: str) -> bool:
        """Count a login that the identity provider refused; return whether it has a line of its own.

        Not so beyond some of a network, but for one each time that its growing wait is over.
        """
        with self._counting:
            return self._attempts.wait(f"provider {network_of(address)}", now=self._monotonic()) <= 0

    def locked(self) -> list[str]:
        """Return the accounts that no unknown device may try to log in to now, by name."""
        with self._counting:
            early = set(self._attempts.early("account", now=self._monotonic()))
        if not early:
            return []
        return [row.name for row in self.accounts.accounts() if folded_name(row.name)[:64] in early]

    async def verify(self, account_id: int, password: str) -> bool:
        """Tell whether this is the account's password: asked again before it is changed.

        Limited by a budget that sessions of the account have alone. Raises :class:`LoginRefused` where it is too early.
        """
        account = await asyncio.to_thread(self.accounts.account, account_id)
        if account is None or account.subject is not None:
            return False
        keys = (f"session {account_id}",)
        good, _ = await self._try(keys, True, account.password, password)
        if good:
            with self._counting:
                self._attempts.succeeded(*keys)
        return good

    async def _try(
        self, keys: Sequence[str], is_known: bool, encoded: str, password: str
    ) -> tuple[bool, str | None]:
        """Try a password in its turn; return whether it is right, and its hash where that is to be made again."""
        with self._counting:
            early = self._attempts.wait(*keys, now=self._monotonic())
        if early > 0:
            await self._hold_back()
            raise LoginRefused("too many attempts; wait before the next one", retry_after_s=early)
        try:
            return await self._lanes[is_known].run(lambda: self._verify(encoded, password))
        except BusyError:
            with self._counting:
                self._attempts.take_back(*keys)
            await self._hold_back()
            raise LoginRefused(
                "too many log in at once; try again in a moment", retry_after_s=BUSY_S
            ) from None

    async def _hold_back(self) -> None:
        """Wait a moment, unless many wait."""
        if self._held < MAX_HELD:
            self._held += 1
            try:
                await self._sleep(HELD_S)
            finally:
                self._held -= 1

    def _verify(self, encoded: str, password: str) -> tuple[bool, str | None]:
        if len(password) > MAX_PASSWORD:
            return False, None
        normal = normal_password(password)
        with self._hashing:
            try:
                self._hasher.verify(encoded, normal)
            except argon2.exceptions.VerificationError:
                return False, None
        return True, self._hash(normal) if self._hasher.check_needs_rehash(encoded) else None

    def _hash_of(self, account: AccountRow | None) -> str:
        """Return what a password is compared with; no password fits where there is no account, or it has none."""
        return self._nobody if account is None or account.subject is not None else account.password

    def _is_unlocked(self, account: AccountRow) -> bool:
        at = account.unlocked_at
        return at is not None and 0 <= self._now() - at.timestamp() < UNLOCKED_S

    def _device(self, account: AccountRow, headers: Mapping[str, str]) -> str | None:
        """Return the device that logged in to this account before, with the password that it has now."""
        device, _, signature = (cookie_of(headers, device_cookie_name(account.id)) or "").partition(".")
        is_ours = hmac.compare_digest(signature.encode(), self._signature(account, device).encode())
        return device if device and is_ours else None

    def _signature(self, account: AccountRow, device: str) -> str:
        # The hash of the password has a salt of its own, so it stands for the account, too.
        signed = f"{account.password}\0{device}".encode()
        return hmac.new(self._device_key, signed, hashlib.sha256).hexdigest()

    @functools.cached_property
    def _device_key(self) -> bytes:
        return self.accounts.key("devices")

    def close(self) -> None:
        """Let go of the threads that hash."""
        for lane in self._lanes.values():
            lane.close()

    def logout(self, cookie: str, *, address: str) -> str | None:
        """End a session, if it is one; return the ID token with which it began, if it began at the provider."""
        account, id_token = self.accounts.close_session(secret_digest(cookie)) or (None, None)
        if account is not None:
            self._note("logout", account, address)
        return id_token

    def authenticate(
        self, method: str, headers: Mapping[str, str], *, host: str, is_use: bool = True
    ) -> Principal | None:
        """Return who sent a request with these headers (names in lower case); ``None`` if it is not said, or not true.

        A session counts for a change only if the request comes from our own pages. Without ``is_use`` it does not live
        longer for being asked about.
        """
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, secret = authorization.partition(" ")
            token = None
            if scheme.lower() == "bearer" and secret.strip():
                token = self.accounts.token(secret_digest(secret.strip()), now_ms=self.now_ms())
            if token is None:
                return None
            return Principal(
                TOKEN_PREFIX + token.name,
                token.role,
                sites=sites_of(token.sites),
                token_id=token.id,
                made_by=token.created_by,
                owner_id=token.account_id,
            )
        secret = session_secret(headers) or ""
        if not secret or (method not in _SAFE and not same_origin(headers, host=host)):
            return None
        account = self.accounts.session(
            secret_digest(secret), now_ms=self.now_ms(), idle_ms=self._idle_ms, is_use=is_use
        )
        return None if account is None else person_of(account)

    def _note(
        self,
        action: str,
        actor: str,
        address: str,
        *,
        subject: str = "",
        detail: Mapping[str, str] | None = None,
    ) -> None:
        self.accounts.note(
            now_ms=self.now_ms(), actor=actor, address=address, action=action, subject=subject, detail=detail
        )
