"""What the tests of the console share: a browser that is none, but has cookies and says where it is from."""

import html
import re
import time
from collections.abc import Mapping
from urllib.parse import urlencode

import argon2
from msgspec import Struct
from tests.receiver.kit import Answer, Running

from gatepost.receiver.auth.authenticator import Doors
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.rows import Role
from gatepost.store.interface import Store

PASSWORD = "correct horse battery"
_QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""As weak as it gets: what is tested here is not the hash."""
_HASH = _QUICK.hash(PASSWORD)


class Text(Struct, frozen=True):
    """An answer, as a person sees it."""

    status: int
    headers: dict[str, str]
    html: str

    @property
    def words(self) -> str:
        """The text of the page, without its markup and its help, which is folded away."""
        bare = re.sub(
            r"<(script|style)\b.*?</\1>|<dialog[^>]* id=\"help\".*?</dialog>", "", self.html, flags=re.S
        )
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare)))

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def title(self) -> str:
        found = re.search(r"<h1[^>]*>(.*?)</h1>", self.html, re.S)
        return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


class Desk:
    """Pages of a console, asked as somebody with a role."""

    def __init__(self, running: Running, cookies: dict[str, str]) -> None:
        self.running = running
        self.cookies = cookies

    @property
    def store(self) -> Store:
        """The store, once everything is listed that was acknowledged before."""
        return self.running.store

    @classmethod
    async def made(cls, running: Running) -> "Desk":
        """With an account of each role, called like it."""
        accounts = Accounts(running.store)
        doors = Doors(
            accounts,
            now=lambda: running.desk.access.doors.now_ms() / 1000,
            monotonic=time.monotonic,
            hasher=_QUICK,
        )
        cookies = {}
        roles: tuple[Role, ...] = ("guard", "viewer", "operator", "admin")
        for role in roles:
            accounts.create(role, role, _HASH, now_ms=0)
            login = await doors.login(role, PASSWORD, address="127.0.0.1", headers={})
            cookies[role] = login.secret
        return cls(running, cookies)

    async def get(self, path: str, who: str | None = "admin", **headers: str) -> Text:
        return self._text(await self.running.request("GET", path, headers=self._headers(who, headers)))

    async def post(
        self, path: str, who: str | None = "admin", *, headers: dict[str, str] | None = None, **form: object
    ) -> Text:
        """Send a form, as a page of ours does."""
        return await self.send(path, form, who, headers=headers)

    async def send(
        self,
        path: str,
        form: Mapping[str, object],
        who: str | None = "admin",
        *,
        headers: dict[str, str] | None = None,
    ) -> Text:
        """Send a form whose fields may be called as anything."""
        sent = self._headers(who, {"sec-fetch-site": "same-origin", **(headers or {})})
        sent["content-type"] = "application/x-www-form-urlencoded"
        body = urlencode(form, doseq=True).encode()
        return self._text(await self.running.request("POST", path, body, sent))

    def _headers(self, who: str | None, headers: dict[str, str]) -> dict[str, str]:
        cookies = [f"gatepost_session={self.cookies[who]}"] if who is not None else []
        cookies += [headers.pop("cookie")] if "cookie" in headers else []
        return {name.replace("_", "-"): value for name, value in headers.items()} | (
            {"cookie": "; ".join(cookies)} if cookies else {}
        )

    @staticmethod
    def _text(answer: Answer) -> Text:
        return Text(answer.status, answer.headers, answer.body.decode("utf-8", "replace"))
