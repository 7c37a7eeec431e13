"""Accounts and tokens of the terminal's HTTP service.

Rules (the family's integration guide, "authentication"):

- ``POST /v1/auth/login`` with ``username``, ``password`` and ``validTime`` (minutes, 1 to 1440, default 5) returns a
  JSON Web Token (RFC 7519, HS256), which goes into ``Authorization: Bearer TOKEN``; or HTTP Basic (RFC 7617) with each
  request. An account that does not exist is code 1000, a wrong password 1001, anything else without permission 401.
- The key of the tokens is made at each start and never stored. So a restart ends every session, and a copied data
  folder gives no access.
- Passwords are compared in constant time. Wrong ones make the next attempts slow, for Basic as for the login.

Flow: ``login`` → token; ``authenticate(Authorization header)`` → the account's name, or ``None`` without the header.
"""

import binascii
import hashlib
import hmac
import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping

from gatepost.errors import GatepostError
from gatepost.terminal.http_api.login_throttle import LoginThrottle

MINUTES_DEFAULT = 5
MINUTES_MAX = 1440

OK = 200
UNAUTHORIZED = 401
ACCOUNT_NOT_EXIST = 1000
PASSWORD_WRONG = 1001


class Denied(GatepostError):
    """The request is not allowed; ``code`` is 401, 1000 or 1001, as the family documents them."""

    def __init__(self, code: int, msg: str) -> None:
        self.code = code
        super().__init__(msg)


class Accounts:
    """The terminal's accounts.

    ``passwords`` maps a name to its password; an empty map: any program on loopback may call.
    ``now`` returns Unix seconds; tokens expire by it.
    """

    def __init__(
        self, passwords: Mapping[str, str], *, throttle: LoginThrottle, now: Callable[[], float]
    ) -> None:
        self._pepper = secrets.token_bytes(32)
        self._key = secrets.token_bytes(32)
        self._digests = {name: self._digest(password) for name, password in passwords.items()}
        self._throttle = throttle
        self._now = now

    def __bool__(self) -> bool:
        return bool(self._digests)

    @property
    def first(self) -> str:
        """Return the name of the first account, or the empty string; the header ``account`` has it."""
        return next(iter(self._digests), "")

    async def login(self, username: str, password: str, *, minutes: int, peer: str) -> str:
        """Return a token that is valid for ``minutes``. Raises Denied (1000, 1001) and TooManyAttempts."""
        import jwt  # loaded at the first login: most terminals have none

        await self._check(username, password, peer=peer)
        now = int(self._now())
        claims = {"sub": username, "iat": now, "exp": now + minutes * 60}
        return jwt.encode(claims, self._key, algorithm="HS256")

    async def authenticate(self, authorization: str | None, *, peer: str) -> str | None:
        """Return the account that ``authorization`` (the request's header) proves, or None if there is no such header.

        Raises Denied if it proves nothing, and TooManyAttempts.
        """
        if not authorization:
            return None
        scheme, _, rest = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._bearer(rest.strip())
        if scheme.lower() == "basic":
            name, password = _basic(rest.strip())
            await self._check(name, password, peer=peer)
            return name
        raise Denied(UNAUTHORIZED, "Unauthorized: use Basic, or Bearer with a token of /v1/auth/login")

    async def _check(self, username: str, password: str, *, peer: str) -> None:
        async with self._throttle.turn(peer) as turn:
            expected = self._digests.get(username)
            right = hmac.compare_digest(self._digest(password), expected or bytes(32))
            if expected is not None and right:
                turn.succeeded()
                return
            turn.failed()
        if expected is None:
            raise Denied(ACCOUNT_NOT_EXIST, "Account Not Exist")
        raise Denied(PASSWORD_WRONG, "Password Wrong")

    def _bearer(self, token: str) -> str:
        import jwt

        # Expiry is checked below, by the clock that was passed in.
        options = {"verify_exp": False, "verify_iat": False, "require": ["sub", "exp"]}
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"], options=options)  # type: ignore[arg-type] # the stub wants its own TypedDict
        except jwt.InvalidTokenError:
            raise Denied(UNAUTHORIZED, "Unauthorized: the token is not valid; log in again") from None
        name = str(claims["sub"])
        if name not in self._digests or self._now() >= int(claims["exp"]):
            raise Denied(UNAUTHORIZED, "Unauthorized: the token has expired; log in again")
        return name

    def _digest(self, password: str) -> bytes:
        return hashlib.blake2b(password.encode(), key=self._pepper, digest_size=32).digest()


def _basic(encoded: str) -> tuple[str, str]:
    try:
        shown = b64decode(encoded, validate=True)
    except binascii.Error:
        shown = b""
    try:
        text = shown.decode()
    except UnicodeDecodeError:
        text = shown.decode("latin-1")  # from clients that do not follow RFC 7617, section 2.1
    name, colon, password = text.partition(":")
    if not colon:
        raise Denied(UNAUTHORIZED, "Unauthorized: the Basic header is not base64 of name:password")
    return name, password
