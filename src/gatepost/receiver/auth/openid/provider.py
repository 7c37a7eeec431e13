"""Log people in at an identity provider: OpenID Connect, the authorization code flow with PKCE.

Rules:

* The provider says who a person is and in which groups; the settings say what these groups may do. Passwords and second
  factors are the provider's.
* What the browser brings back counts only with the cookie that began the login: it is signed, good for ten minutes, and
  ``state``, ``nonce`` and the PKCE verifier are made of it with a key that no browser has.
* An ID token counts if a key of the provider's signed it with an asymmetric algorithm, for this client and this login,
  and it is not over.
* An account belongs to one subject of one issuer. A name that a local account has is refused, never taken over.
* What is asked of the provider has a time limit and a size limit, follows no redirect, and is bounded in number.

Flow: ``begin`` → the provider's page → ``finish`` → ``Identity`` → ``openid_login.log_in`` → a session like any other.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp
import jwt
import msgspec
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken

from gatepost.errors import SettingsError
from gatepost.receiver.auth.openid.settings import client_secret_of, grants_of, issuer_of, tls_of
from gatepost.receiver.auth.openid.values import (
    Begun,
    Description,
    Identity,
    NotBegun,
    ProviderRefused,
    Tokens,
    expect,
)
from gatepost.receiver.auth.principal import ROLES
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.rows import Role

__all__ = [
    "BEGUN_S",
    "COOKIE",
    "OpenIdProvider",
    "provider_of",
]

log = structlog.get_logger()

COOKIE = "gatepost_oidc"
"""Of a login that was begun, and is to come back from the provider."""

BEGUN_S = 600
"""For how long a login may take at the provider."""

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones only: with a public key as the secret of an HMAC, anyone signs."""

LEEWAY_S = 60
"""How far the provider's clock may be from ours."""

FRESH_S = 3600.0
"""For how long the provider's description and keys are kept."""

ASK_AGAIN_S = 60.0
"""How soon keys are asked for again when a token names one that is not there."""

MAX_ANSWER = 1024 * 1024
MAX_AT_ONCE = 8
MAX_NEXT = 1024
MAX_NAME = 64
TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=5.0)

T = TypeVar("T")


def provider_of(
    settings: ReceiverSettings,
    key: Callable[[], bytes],
    *,
    now: Callable[[], float],
    monotonic: Callable[[], float],
) -> OpenIdProvider | None:
    """Return the provider that the settings name, if any. ``key`` returns the key for cookies, and may block.

    Raises :class:`~gatepost.errors.SettingsError`.
    """
    if not settings.oidc_issuer:
        return None
    return OpenIdProvider(settings, key(), now=now, monotonic=monotonic)


class OpenIdProvider:
    """An identity provider, seen by one receiver. For one event loop."""

    def __init__(
        self,
        settings: ReceiverSettings,
        key: bytes,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """Read the settings. Raises :class:`~gatepost.errors.SettingsError`."""
        self.label = settings.oidc_label
        self._issuer = issuer_of(settings.oidc_issuer)
        if not settings.oidc_client_id:
            raise SettingsError("oidc_client_id", "is needed with oidc_issuer: the provider gives it")
        if "openid" not in settings.oidc_scopes.split():
            raise SettingsError("oidc_scopes", "must have openid among the words")
        self._client_id = settings.oidc_client_id
        self._client_secret = client_secret_of(settings)
        self._scopes = settings.oidc_scopes
        self._groups_claim = settings.oidc_groups_claim
        self._name_claim = settings.oidc_name_claim
        self._grants = grants_of(settings.oidc_roles)
        self._tls = tls_of(settings.oidc_ca_file)
        self._key = key
        self._now = now
        self._monotonic = monotonic
        self._description: tuple[float, Description] | None = None
        self._keys: tuple[float, Sequence[jwt.PyJWK]] | None = None
        self._asking = asyncio.Semaphore(MAX_AT_ONCE)

    async def begin(self, redirect_uri: str, next_page: str) -> tuple[str, str]:
        """Return the provider's page, and the cookie by which the login is known when it comes back.

        Raises :class:`ProviderRefused`.
        """
        description = await self._described()
        begun = Begun(
            secrets.token_urlsafe(24),
            self._now() + BEGUN_S,
            redirect_uri,
            next_page if len(next_page) <= MAX_NEXT else "/",
        )
        address = prepare_grant_uri(
            description.authorization_endpoint,
            client_id=self._client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope=self._scopes,
            state=self._made_of(begun, "state"),
            nonce=self._made_of(begun, "nonce"),
            code_challenge=create_s256_code_challenge(self._made_of(begun, "verifier")),
            code_challenge_method="S256",
        )
        content = urlsafe_b64encode(msgspec.json.encode(begun)).decode()
        return address, f"{content}.{self._mac('cookie', content)}"

    async def finish(self, cookie: str, query: Mapping[str, str]) -> Identity:
        """Return who came back from the provider, with ``query`` in the address. Raises :class:`ProviderRefused`."""
        begun = self._begun(cookie)
        if not _same(query.get("state", ""), self._made_of(begun, "state")):
            raise ProviderRefused("stale", "state is not that of the login that this browser began")
        description = await self._described()
        if "iss" in query or description.authorization_response_iss_parameter_supported:
            expect(query.get("iss") == self._issuer, "iss in the address is another issuer")  # RFC 9207
        if "error" in query:
            raise ProviderRefused("denied", f"the provider says {query['error'][:100]!r}")
        expect(bool(query.get("code")), "there is no code in the address")
        tokens = await self._redeem(description, query["code"], begun)
        claims = await self._verified(tokens, nonce=self._made_of(begun, "nonce"))
        return self._identity(claims, tokens.id_token, begun.next)

    async def end_address(self, id_token: str, back: str) -> str | None:
        """Return where a person logs out at the provider, who leads them ``back``; ``None``: it has no such page.

        Also ``None`` while the provider is away.
        """
        try:
            description = await self._described()
        except ProviderRefused as refused:
            log.warning("oidc.no_logout", why=str(refused))
            return None
        if not description.end_session_endpoint:
            return None
        query = {
            "id_token_hint": id_token,
            "client_id": self._client_id,
            "post_logout_redirect_uri": back,
        }
        joined = "&" if "?" in description.end_session_endpoint else "?"
        return f"{description.end_session_endpoint}{joined}{urlencode(query)}"

    def granted(self, groups: Sequence[str]) -> tuple[Role, tuple[str, ...] | None] | None:
        """Return role and names of the sites that these groups have; ``None``: none of them may log in.

        The highest role wins, with the sites of the groups that have it; sites ``None``: every site.
        """
        found = [grant for grant in self._grants if grant.group in groups]
        if not found:
            return None
        role = max((grant.role for grant in found), key=ROLES.index)
        sites = [grant.site for grant in found if grant.role == role]
        return role, None if None in sites else tuple(site for site in sites if site is not None)

    # The cookie

    def _mac(self, use: str, text: str) -> str:
        return hmac.new(self._key, f"{use}\0{text}".encode(), hashlib.sha256).hexdigest()

    def _made_of(self, begun: Begun, use: Literal["state", "nonce", "verifier"]) -> str:
        return self._mac(use, begun.id)

    def _begun(self, cookie: str) -> Begun:
        content, _, signature = cookie.partition(".")
        if not _same(signature, self._mac("cookie", content)):
            raise NotBegun("stale", "this browser has no cookie of a login that was begun")
        begun = msgspec.json.decode(urlsafe_b64decode(content), type=Begun)
        if self._now() >= begun.until_s:
            raise ProviderRefused("stale", "the login was begun too long ago")
        return begun

    # What the provider is asked

    async def _described(self) -> Description:
        if self._description is not None and self._monotonic() - self._description[0] < FRESH_S:
            return self._description[1]
        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await self._ask("GET", address, Description)
        expect(found.issuer == self._issuer, f"it calls itself {found.issuer!r}, not as in oidc_issuer")
        scheme = urlsplit(self._issuer).scheme
        places = [found.authorization_endpoint, found.token_endpoint, found.jwks_uri]
        places += [found.end_session_endpoint] if found.end_session_endpoint else []
        for place in places:
            expect(urlsplit(place).scheme in ("https", scheme), f"its address {place!r} is no https")
        self._description = (self._monotonic(), found)
        return found

    async def _redeem(self, description: Description, code: str, begun: Begun) -> Tokens:
        """Return the tokens for a code."""
        proof = {"redirect_uri": begun.redirect_uri, "code_verifier": self._made_of(begun, "verifier")}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if not self._client_secret:
            proof["client_id"] = self._client_id
        elif "client_secret_basic" in description.token_endpoint_auth_methods_supported:
            # Each is encoded as in a form first (RFC 6749, section 2.3.1).
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            proof |= {"client_id": self._client_id, "client_secret": self._client_secret}
        body = prepare_token_request("authorization_code", code=code, **proof)
        return await self._ask("POST", description.token_endpoint, Tokens, data=body, headers=headers)

    async def _key_of(self, header: Mapping[str, Any]) -> Any:
        """Return the key of the provider's that a token is signed with; asks for the keys where it is not known."""
        for attempt in range(2):
            if self._keys is not None and self._monotonic() - self._keys[0] < (
                FRESH_S if attempt == 0 else ASK_AGAIN_S
            ):
                at, keys = self._keys
            else:
                at, keys = self._monotonic(), await self._ask_keys()
                self._keys = (at, keys)
            fitting = [key for key in keys if _fits(key, header)]
            if len(fitting) == 1:
                return fitting[0].key
        raise ProviderRefused("untrusted", "the ID token is signed with no key that the provider shows")

    async def _ask_keys(self) -> Sequence[jwt.PyJWK]:
        found = await self._ask("GET", (await self._described()).jwks_uri, dict[str, Any])
        try:
            return [key for key in jwt.PyJWKSet.from_dict(found).keys if key.key_type != "oct"]
        except (jwt.PyJWTError, TypeError, ValueError, AttributeError) as error:
            raise ProviderRefused("untrusted", f"its keys cannot be read: {error}") from None

    async def _ask(self, method: str, address: str, kind: type[T], **more: Any) -> T:
        if self._asking.locked():
            raise ProviderRefused("away", "too many logins ask the provider at once")
        async with self._asking:
            try:
                async with (
                    aiohttp.ClientSession(
                        timeout=TIMEOUT,
                        connector=aiohttp.TCPConnector(ssl=self._tls),
                        cookie_jar=aiohttp.DummyCookieJar(),
                        auto_decompress=False,
                        headers={"accept": "application/json", "accept-encoding": "identity"},
                    ) as session,
                    session.request(method, address, allow_redirects=False, **more) as response,
                ):
                    body = bytearray()
                    async for part in response.content.iter_chunked(65536):
                        body += part
                        expect(len(body) <= MAX_ANSWER, f"{address} sends more than {MAX_ANSWER} bytes")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ProviderRefused("away", f"{address}: {type(error).__name__}: {error}") from None
        if method == "POST" and 400 <= response.status < 500:
            raise ProviderRefused("untrusted", f"{address}: {response.status}: {_error_in(body)}")
        if response.status != 200:
            raise ProviderRefused("away", f"{address}: status {response.status}")
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProviderRefused("untrusted", f"{address}: {error}") from None

    # What the provider says

    async def _verified(self, tokens: Tokens, *, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""
        signatures = jwt.PyJWS(algorithms=ALGORITHMS)
        try:
            header = signatures.get_unverified_header(tokens.id_token)
            expect(header.get("alg") in ALGORITHMS, f"the ID token is signed with {header.get('alg')!r}")
            key = await self._key_of(header)
            payload = signatures.decode(tokens.id_token, key, algorithms=ALGORITHMS)
            essential = {"essential": True}
            claims = CodeIDToken(
                msgspec.json.decode(payload, type=dict[str, Any]),
                header,
                options={
                    "iss": {**essential, "value": self._issuer},
                    "sub": essential,
                    "aud": {**essential, "value": self._client_id},
                },
                params={"nonce": nonce, "client_id": self._client_id, "access_token": tokens.access_token},
            )
            claims.validate(now=int(self._now()), leeway=LEEWAY_S)
        except (jwt.PyJWTError, AuthlibBaseError, msgspec.DecodeError, TypeError, ValueError) as error:
            raise ProviderRefused("untrusted", f"the ID token: {type(error).__name__}: {error}") from None
        return dict(claims)

    def _identity(self, claims: Mapping[str, Any], id_token: str, next_page: str) -> Identity:
        subject, name = claims["sub"], claims.get(self._name_claim)
        groups = claims.get(self._groups_claim, [])
        expect(isinstance(subject, str) and len(subject) <= 255, "sub is no text of at most 255 characters")
        if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME:
            raise ProviderRefused("no_name", f"{self._name_claim} is no text of 1 to {MAX_NAME} characters")
        groups = [groups] if isinstance(groups, str) else groups
        expect(isinstance(groups, list), f"{self._groups_claim} is no list")
        return Identity(
            subject=f"{self._issuer} {subject}",
            name=name.strip(),
            groups=tuple(group for group in groups if isinstance(group, str)),
            id_token=id_token,
            next=next_page,
        )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _fits(key: jwt.PyJWK, header: Mapping[str, Any]) -> bool:
    """Tell whether a key may be the one that a token with this header is signed with."""
    if key.public_key_use not in (None, "sig"):
        return False
    of_kind = {"R": "RSA", "P": "RSA", "E": "OKP" if header["alg"] == "EdDSA" else "EC"}
    if key.key_type != of_kind[header["alg"][0]]:
        return False
    return header.get("kid") in (None, key.key_id)


def _error_in(body: bytearray) -> str:
    """Return what a provider says in an error, such as ``invalid_grant`` (RFC 6749, section 5.2)."""
    try:
        return repr(str(msgspec.json.decode(body, type=dict[str, Any]).get("error"))[:100])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no JSON"
