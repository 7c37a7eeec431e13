"""Make pages: words, formats, the frame around each, and the headers of its response.

Rules:

* A page is one template and the values for it; this adds who looks, in which language, in which zone.
* Every address in a page is made by :meth:`View.at`: behind a proxy all of them begin with its prefix.
* What was just done is told on the next page by ``?done=KEY``, a key of ``words/done.toml`` and no text, so that
  nobody can put words into our mouth by a link.
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import jinja2
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from gatepost import __version__
from gatepost.console.assets import Assets
from gatepost.console.help import KEYS, help_of
from gatepost.console.input.seal import MARK, Seal, new_key
from gatepost.console.remembered import Counts, Remembered, count
from gatepost.console.show import Show, kind_of, qr_svg
from gatepost.console.simulated import Simulated
from gatepost.console.words import COOKIE, LANGUAGES, NAMES, Words, choose, words
from gatepost.errors import JournalError
from gatepost.receiver.api.access.authorization import PARTS, user_store
from gatepost.receiver.api.versions import ChangedByAnother
from gatepost.receiver.auth.principal import Principal, may
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.receiver.observability.silent_receivers import silent
from gatepost.receiver.people_rules import rules_of
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.rows import Role
from gatepost.store.interface import ReceiverRow, Store, Visible
from gatepost.store.local_days import parse_day, zone
from gatepost.store.people.marked import Marked, who_is_marked
from gatepost.store.privacy.permitted import Ask
from gatepost.store.questions import UserStore
from gatepost.store.server_keys import kept
from gatepost.store.terminals.terminal_labels import TerminalLabel
from gatepost.wire.codes import Language

__all__ = ["LISTED_WITHIN_S", "NAV", "Desk", "Html", "TheDesk", "View", "language_of", "local_path"]

T = TypeVar("T")

Html = Response[bytes]

HEADERS: Mapping[str, str] = {"vary": "accept-encoding, accept-language, cookie"}
"""Beside those that :mod:`gatepost.receiver.http.security_headers` gives every answer."""

NAV: tuple[tuple[str, str, Role], ...] = (
    ("live", "/", "guard"),
    ("records", "/records", "viewer"),
    ("alarms", "/alarms", "guard"),
    ("inside", "/inside", "guard"),
    ("people", "/people", "viewer"),
    ("attendance", "/attendance", "viewer"),
    ("statistics", "/statistics", "viewer"),
    ("terminals", "/terminals", "viewer"),
    ("quarantine", "/quarantine", "viewer"),
    ("destinations", "/destinations", "admin"),
    ("settings", "/settings", "admin"),
    ("system", "/system", "admin"),
    ("audit", "/audit", "admin"),
)
"""The pages: name, path, and the role that they need. In the order in which a day needs them.

Those that need ``admin`` are for users of every site.
"""

LISTED_WITHIN_S = 10.0
"""An event that waits longer to be listed is told on every page."""

MOST_COUNTS = 256
"""Of so many filters of the live page the numbers are kept for a moment."""

_OF_ADDRESS = "!#$%&'()*+,/:;=?@[]~"
"""Characters that are not encoded in an address."""

_WORTH_COMPRESSING = 1400
"""Bytes: what fits into a packet is sent as it is."""


built_assets = functools.cache(Assets)
"""Read the built files, once in a process. Raises :class:`~gatepost.console.assets.AssetsMissing`."""


@functools.cache
def _templates(assets: Assets) -> jinja2.Environment:
    """Return the templates of all pages; each is compiled once in a process."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("gatepost.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.globals.update(asset=assets.url, kind_of=kind_of, qr=qr_svg, version=__version__)
    return templates


class Desk:
    """One for a receiver; every page is handed it."""

    def __init__(
        self,
        store: Store,
        settings: ReceiverSettings,
        lag: Callable[[], Lag],
        heard: Mapping[int, int],
        asks: Callable[[], Sequence[Ask]] = tuple,
        *,
        now: Callable[[], float],
        assets: Assets | None = None,
    ) -> None:
        """``lag`` returns how much is acknowledged and not listed yet; ``heard``: when terminals last pushed.

        ``asks`` returns what retention would delete and does not until it is confirmed. Raises
        :class:`~gatepost.console.assets.AssetsMissing`.
        """
        self.whole = store
        """Of every site. Pages ask :attr:`View.store`, which shows what the user may see."""
        self.settings = settings
        self._lag = lag
        self.asks = asks
        self.heard = heard
        """In milliseconds, by their ids; it may not be listed yet."""
        self.now = now
        self.assets = assets or built_assets()
        self.seal = Seal(kept(store, "console", new_key))
        self._counts: dict[Visible, Remembered[Counts]] = {}
        self.silent: Remembered[list[ReceiverRow]] = Remembered(self._ask_silent, keep_s=5.0, monotonic=now)
        """Other receivers of this database of which nothing was heard for a while."""
        self.simulated = Simulated()
        self.templates = _templates(self.assets)

    def view(self, request: Request[Any, Any, Any]) -> View:
        """Return what a reply to this request needs. Asks the store for the time zone of the first site."""
        return View(self, request)

    def counts(self, store: UserStore) -> Counts:
        """Return the numbers of what a user sees, or of what a page is narrowed to, a little old at most."""
        seen = Visible(sites=store.visible.sites, terminals=store.visible.terminals)
        known = self._counts.get(seen)
        if known is None:
            if len(self._counts) >= MOST_COUNTS:
                self._counts.clear()
            ask = functools.partial(self._count, self.whole.seen_by(seen))
            known = self._counts.setdefault(seen, Remembered(ask, keep_s=2.0, monotonic=self.now))
        return known()

    def forget_counts(self) -> None:
        """Count anew: something was changed here."""
        self._counts.clear()

    def make_ready(self) -> None:
        """Compile every template, a fifth of a second of work that would be somebody's who asks first."""
        for name in self.templates.list_templates():
            self.templates.get_template(name)

    def unlisted(self, words: Words) -> str | None:
        """Return a sentence about events that are acknowledged and not listed yet; ``None``: the list is up to date.

        It does not ask the store.
        """
        try:
            lag = self._lag()
        except JournalError:  # `/readyz` and the log tell it
            return None
        if not lag.events or not (lag.is_away or lag.oldest_s > LISTED_WITHIN_S):
            return None
        said = {"n": lag.events, "count": f"{lag.events:,}"}
        return words("frame.store_away", **said) if lag.is_away else words("frame.unlisted", **said)

    def _count(self, store: UserStore) -> Counts:
        now = datetime.fromtimestamp(self.now(), UTC)
        here = now.astimezone(zone(zone_of(store)))
        midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
        return count(store, self.heard, midnight=midnight, now=now)

    def _ask_silent(self) -> list[ReceiverRow]:
        return silent(self.whole.receivers(), now=datetime.fromtimestamp(self.now(), UTC))


def zone_of(store: Store | UserStore) -> str:
    """Return the zone of the first site: whose dates are meant where nothing says more."""
    sites = store.sites()
    return sites[0].timezone if sites else "UTC"


TheDesk = NamedDependency[SkipValidation[Desk]]


class View:
    """One request, seen by a page."""

    def __init__(self, desk: Desk, request: Request[Any, Any, Any]) -> None:
        self.desk = desk
        self.request = request
        self.user: Principal | None = request.scope.get("user")
        self.store = user_store(desk.whole, self.user)
        """The store as the user sees it."""
        self.words: Words = words(language_of(request))
        self.show = Show(
            self.words,
            zone_of(desk.whole if self.user is None else self.store),
            now=datetime.fromtimestamp(desk.now(), UTC),
        )
        self.query: dict[str, str] = dict(request.query_params.items())
        self.root: str = (request.scope.get("root_path") or "").rstrip("/")
        self.path: str = request.scope["path"].removeprefix(self.root) or "/"
        self.has_start = False
        """The page begins with a view of the user's: an address without filters has to say so."""

    @functools.cached_property
    def marked(self) -> Marked:
        """Return which people guards are told to look out for, as the user sees them."""
        return who_is_marked(self.store, rules_of(self.desk.settings), int(self.desk.now() * 1000))

    @property
    def back(self) -> str:
        """This address without the prefix, to come back to; for a page that answers a form, its path."""
        return self.here().removeprefix(self.root)

    @property
    def unlisted(self) -> str | None:
        """Return what a person who is logged in is told about events that are not listed yet."""
        return self.desk.unlisted(self.words) if self.user is not None else None

    @property
    def asks(self) -> str | None:
        """Return what an administrator is told about retention that waits to be confirmed."""
        asks = self.desk.asks() if self.may("admin", every_site=True) else ()
        if not asks:
            return None
        first, last = min(ask.first for ask in asks), max(ask.last for ask in asks)
        return self.words("frame.retention_asks", first=first.isoformat(), last=last.isoformat())

    @property
    def stopped(self) -> list[tuple[int, str]]:
        """Return what an administrator is told about destinations that are closed or broken, with their ids."""
        forwarding = self.request.scope.get(PARTS, {}).get("forwarding")  # type: ignore[attr-defined]  # a key of ours
        if forwarding is None or not self.may("admin", every_site=True):
            return []
        return [
            (row.id, self.words(f"destinations.banner_{standing.state}", name=row.name, why=standing.why))
            for row, standing in forwarding.stopped()
        ]

    @property
    def silent(self) -> list[str]:
        """Return what a person who is logged in is told about other receivers of this database."""
        rows = self.desk.silent() if self.user is not None and self.user.sites is None else []
        return [
            self.words(
                "frame.silent",
                n=row.events,
                count=f"{row.events:,}",
                host=row.host,
                span=self.show.span(self.desk.now() - row.seen_at.timestamp()),
            )
            for row in rows
        ]

    def why(self, error: Exception | None, said: str) -> str:
        """Return why a form is refused, in the reader's language, with times in their zone."""
        if not isinstance(error, ChangedByAnother):
            return self.words.why(said)
        if error.by is None or error.at is None:
            return self.words("error.changed")
        at = self.show.local(error.at)
        return self.words("error.changed_by", who=error.by, at=f"{at:%Y-%m-%d %H:%M:%S}")

    def may(self, role: Role, *, also: Role | None = None, every_site: bool = False) -> bool:
        """Return whether the user has a role, or the other one, and where it is asked for every site."""
        if self.user is None or self.user.must_change or (every_site and self.user.sites is not None):
            return False
        return may(self.user.role, role, also=also)

    @property
    def fragment(self) -> bool:
        """A script asks for a part of a page. One that takes the content out of it (``main``) asks for a whole one."""
        return self.request.headers.get("x-part", "main") != "main"

    def at(self, path: str, **query: object) -> str:
        """Return an address of the console, as the browser asks for it. Parameters without a value are left out."""
        given = {key: str(value) for key, value in query.items() if value not in (None, "")}
        return self.root + path + (f"?{urlencode(given, safe=MARK)}" if given else "")

    def day(self, name: str) -> date | None:
        """Return the day that a parameter of the address names; ``None`` for any other text."""
        try:
            return parse_day(self.query.get(name, ""))
        except ValueError:
            return None

    def places(self, ids: Any) -> dict[int, TerminalLabel]:
        """Return the terminals with these ids."""
        return self.store.labels(ids)

    def here(self, **changed: object) -> str:
        """Return this address with some of its parameters changed (``None``: left out)."""
        kept = {key: value for key, value in self.query.items() if key != "done"} | changed
        if self.has_start and all(value in (None, "") for value in kept.values()):
            kept["view"] = "all"
        return self.at(self.path, **kept)

    def page(
        self, template: str, *, status: int = 200, cookies: list[Cookie] | None = None, **values: Any
    ) -> Html:
        """Return a whole page as the response."""
        done = self.query.get("done", "")
        may_look = self.user is not None and not self.user.must_change
        frame = {
            "view": self,
            "t": self.words,
            "show": self.show,
            "user": self.user,
            "nav": [(name, path) for name, path, role in NAV if self.may(role, every_site=role == "admin")],
            "at": self.at,
            "status": status,
            "counts": self.desk.counts(self.store) if may_look else None,
            "languages": [(language, NAMES[language]) for language in LANGUAGES],
            "help": help_of(template, self.words),
            "help_keys": KEYS,
            "done": self.words(f"done.{done}") if self.words.has(f"done.{done}") else None,
        }
        html = self.desk.templates.get_template(template).render(frame | values)
        return self._answer(html, status, cookies or [], self._ahead())

    def _ahead(self) -> Mapping[str, str]:
        """Return what a browser may fetch while a mouse rests on it (HTML § 7.6, speculative loading)."""
        if self.user is None:
            return {}
        return {"speculation-rules": f'"{self.at(self.desk.assets.url("ahead.json"))}"'}

    def part(self, template: str, *, headers: Mapping[str, str] | None = None, **values: Any) -> Html:
        """Return a part of a page as the response to a script."""
        frame = {"view": self, "t": self.words, "show": self.show, "user": self.user, "at": self.at}
        html = self.desk.templates.get_template(template).render(frame | values)
        return self._answer(html, 200, [], headers)

    def go(
        self,
        path: str,
        *,
        done: str | None = None,
        cookies: list[Cookie] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Html:
        """Redirect after a form. ``path`` is one of the console, without the prefix."""
        if done is not None:
            path += f"{'&' if '?' in path else '?'}done={done}"
        # A header is Latin-1 at most, an address ASCII (RFC 3986): what a form brought along may be any text.
        address = quote(self.root + path, safe=_OF_ADDRESS, errors="replace")
        sent = {**HEADERS, **(headers or {}), "location": address}
        return Response(b"", status_code=303, headers=sent, cookies=cookies or [], media_type="text/html")

    def _answer(
        self, html: str, status: int, cookies: list[Cookie], headers: Mapping[str, str] | None = None
    ) -> Html:
        content = html.encode()
        sent = {**HEADERS, **(headers or {})}
        if len(content) > _WORTH_COMPRESSING and "gzip" in self.request.headers.get("accept-encoding", ""):
            content = gzip.compress(content, 5)
            sent["content-encoding"] = "gzip"
        return Response(
            content, status_code=status, headers=sent, cookies=cookies, media_type="text/html; charset=utf-8"
        )


def language_of(request: Request[Any, Any, Any]) -> Language:
    """Return the language of the person who looks."""
    return choose(request.cookies.get(COOKIE), request.headers.get("accept-language"))


def local_path(text: str | None, otherwise: str = "/") -> str:
    """Return a path of the console out of a form or an address; ``otherwise`` for what could lead elsewhere."""
    if (
        not text
        or not text.startswith("/")
        or text.startswith(("//", "/\\"))
        or any(ord(c) < 33 for c in text)
    ):
        return otherwise
    parts = urlsplit(text)
    return otherwise if parts.scheme or parts.netloc else text
