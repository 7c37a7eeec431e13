"""An identity provider in the process of the tests: Authlib's server side, behind a real socket."""

import contextlib
import functools
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web
from authlib.jose import JsonWebKey
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode

CLIENT_ID = "gatepost of the tests"
CLIENT_SECRET = "s%cret: of the tests"


@functools.cache
def rsa_key(kid: str, which: str = "") -> Any:
    """Return a key with this id; another one for another ``which``."""
    return JsonWebKey.generate_key("RSA", 2048, {"kid": kid, "use": "sig"}, is_private=True)


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    def __init__(self, sent: web.Request, fields: dict[str, str]) -> None:
        # Authlib asks for https, which is the proxy's here.
        super().__init__(sent.method, f"https://provider{sent.path_qs}", headers=dict(sent.headers))
        self.payload = BasicOAuth2Payload(fields)
        self._fields = fields

    @property
    def args(self) -> dict[str, str]:
        return self._fields

    @property
    def form(self) -> dict[str, str]:
        return self._fields


class _Client(ClientMixin):  # type: ignore[misc]
    def __init__(self, provider: "IdentityProvider") -> None:
        self._provider = provider

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/login/oidc/callback")

    def check_client_secret(self, client_secret: str) -> bool:
        # Encoded as in a form within the header (RFC 6749, section 2.3.1), which Authlib leaves to us.
        is_basic = self._provider.auth_method == "client_secret_basic"
        return (unquote_plus(client_secret) if is_basic else client_secret) == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self._provider.auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class _Code:
    def __init__(self, code: str, fields: dict[str, str]) -> None:
        self.code = code
        self.code_challenge = fields.get("code_challenge")
        self.code_challenge_method = fields.get("code_challenge_method")
        self._fields = fields

    def get_redirect_uri(self) -> str:
        return self._fields["redirect_uri"]

    def get_scope(self) -> str:
        return self._fields["scope"]

    def get_nonce(self) -> str:
        return self._fields["nonce"]

    def get_auth_time(self) -> None:
        return None

    get_acr = get_amr = get_auth_time


def _grant_of(provider: "IdentityProvider") -> type:
    class Grant(AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")

        def save_authorization_code(self, code: str, request: _Request) -> None:
            provider.codes[code] = _Code(code, request.form)

        def query_authorization_code(self, code: str, client: _Client) -> _Code | None:
            return provider.codes.get(code)

        def delete_authorization_code(self, authorization_code: _Code) -> None:
            del provider.codes[authorization_code.code]

        def authenticate_user(self, authorization_code: _Code) -> str:
            return "the person"

    return Grant


class _OpenId(OpenIDCode):  # type: ignore[misc]
    def __init__(self, provider: "IdentityProvider") -> None:
        super().__init__(require_nonce=True)
        self._provider = provider

    def exists_nonce(self, nonce: str, request: _Request) -> bool:
        return False

    def get_jwt_config(self, grant: Any, client: Any) -> dict[str, Any]:
        key = self._provider.signing
        return {"key": key, "alg": "RS256", "kid": key.kid, "iss": self._provider.issuer}

    def generate_user_info(self, user: str, scope: str) -> UserInfo:
        now = int(self._provider.now())
        return UserInfo({"iat": now, "exp": now + 300, "auth_time": now, **self._provider.claims})

    def process_token(self, grant: Any, response: Any) -> Any:
        token = super().process_token(grant, response)
        token["id_token"] = self._provider.change(token["id_token"])
        return token


class _Server(AuthorizationServer):  # type: ignore[misc]
    def __init__(self, provider: "IdentityProvider") -> None:
        super().__init__()
        self._provider = provider
        self.register_token_generator(
            "default", BearerTokenGenerator(lambda *_, **__: secrets.token_urlsafe(16))
        )
        self.register_grant(_grant_of(provider), [CodeChallenge(required=True), _OpenId(provider)])

    def query_client(self, client_id: str) -> _Client | None:
        return _Client(self._provider) if unquote_plus(client_id) == CLIENT_ID else None

    def save_token(self, token: dict[str, Any], request: _Request) -> None:
        pass

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> web.Response:
        text = json.dumps(body) if isinstance(body, dict) else body
        return web.Response(status=status, text=text, headers=dict(headers))


class IdentityProvider:
    """What it says of the person who logs in, and whether it says it as it should, can be changed while it runs."""

    def __init__(self) -> None:
        self.issuer = ""
        self.key = self.signing = rsa_key("first")
        """``signing`` signs; ``key`` is shown."""
        self.claims: dict[str, Any] = {"sub": "1", "preferred_username": "carla", "groups": ["doors"]}
        self.codes: dict[str, _Code] = {}
        self.change: Callable[[str], str] = lambda id_token: id_token
        """What becomes of an ID token before it is sent."""
        self.now: Callable[[], float] = lambda: 0.0
        self.auth_method = "client_secret_basic"
        self.described: dict[str, Any] = {}
        """What the description says beyond, or in place of, the truth."""
        self.description = b""
        """What is sent in place of the description."""
        self.asked: list[str] = []
        """The paths that were asked for."""
        self._server = _Server(self)

    async def _describe(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.description:
            return web.Response(body=self.description)
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
            "token_endpoint_auth_methods_supported": [self.auth_method],
        }
        return web.json_response(said | self.described)

    async def _keys(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.json_response({"keys": [self.key.as_dict(is_private=False)]})

    async def _authorize(self, request: web.Request) -> web.Response:
        sent = _Request(request, dict(request.query))
        grant = self._server.get_consent_grant(sent, end_user="the person")
        answer: web.Response = self._server.create_authorization_response(sent, "the person", grant)
        return answer

    async def _token(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        sent = _Request(request, dict(parse_qsl(await request.text())))
        answer: web.Response = self._server.create_token_response(sent)
        return answer

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["IdentityProvider"]:
        """Serve on a port of the system's choice."""
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._describe)
        app.router.add_get("/keys", self._keys)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            self.issuer = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()
