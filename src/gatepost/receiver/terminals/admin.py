"""Changes of terminals by people: checked, stored, and in force before the answer.

Rules:

* What is changed counts from the next push on: the directory of :mod:`gatepost.receiver.terminals.identify` is fed
  again before a change is answered. Another process on the same database takes it over within seconds.
* A terminal that moves to another site takes its people's passages along: :mod:`gatepost.receiver.jobs.moving` is
  woken.
* A token is made here and told once; the store has its digest.
* A retired terminal's token is gone: what it still pushes is refused. Only then may it be deleted.
* A terminal that has used a token stays bound to its tokens until it is retired or :meth:`Registrar.remove_token` is
  called. A new token changes nothing about that.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from gatepost.errors import SettingsError
from gatepost.receiver.terminals.networks import Networks
from gatepost.receiver.terminals.sources import token_digest
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import EVERYTHING, NewTerminal, SiteRow, Store, TerminalRow
from gatepost.store.local_days import zone
from gatepost.store.privacy.terminal_removal import Removed
from gatepost.store.questions import Questions
from gatepost.store.terminals.registry import Conflict
from gatepost.store.versions import Versions

__all__ = ["Registrar", "new_token", "site_of"]


def new_token() -> str:
    """Return a token for a terminal's own address."""
    return secrets.token_urlsafe(24)


def site_of(store: Questions, site_id: int) -> SiteRow | None:
    """Return the site with this id, if it is visible."""
    return next((row for row in store.sites() if row.id == site_id), None)


class Registrar:
    """Make and change terminals.

    Every method may raise ``ValueError`` with a sentence, ``UnknownZone``, ``Conflict`` and ``StoreUnavailable``;
    nothing is changed then. ``seen`` is the store as it is seen by who makes the change: terminals and sites that it
    does not show are as if they did not exist.
    """

    def __init__(
        self,
        store: Store,
        settings: ReceiverSettings,
        refresh: Callable[[], Awaitable[None]],
        moved: Callable[[], None] = lambda: None,
        *,
        remove: Callable[[int], Removed | None] = lambda _: None,
    ) -> None:
        """Take the parts. ``moved`` is called when a terminal may have changed its site; ``remove`` deletes one."""
        self._remove = remove
        self._store = store
        self._refresh = refresh
        self._moved = moved
        self._url = settings.ingest_url.rstrip("/")
        self._path = settings.ingest_paths[0].rstrip("/")
        self._door = settings.ingest_listen
        given = settings.certificate_file is not None and (settings.ingest_tls or not self._door)
        tls = given or (settings.tls == "self" and not self._door)
        self._scheme = "https" if tls else "http"

    def address(self, token: str, *, asked_at: str) -> str:
        """Return the address to set as ``event_dest``. ``asked_at``: how the console was reached, without a setting."""
        return f"{self.base(asked_at=asked_at)}/{token}"

    def base(self, *, asked_at: str) -> str:
        """Return the address for pushes up to the token. ``asked_at`` as in :meth:`address`."""
        base = self._url or (self._beside(asked_at) if self._door else asked_at.rstrip("/"))
        return f"{base}{self._path}"

    def own_address(self, token: str, *, server: tuple[str, int]) -> str:
        """Where a process beside us pushes to: our socket itself, whatever stands before it.

        ``server``: host and port of the socket that the console was reached at.
        """
        host, port = server
        if self._door:
            host, _, number = self._door.rpartition(":")
            host, port = host.strip("[]"), int(number)
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what it stands for
        return f"{self._scheme}://{_bracketed(host)}:{port}{self._path}/{token}"

    def _beside(self, asked_at: str) -> str:
        """Return the address for pushes on the machine that the console was reached at."""
        host = urlsplit(asked_at).hostname or "127.0.0.1"
        return f"{self._scheme}://{_bracketed(host)}:{self._door.rpartition(':')[2]}"

    async def create(
        self, seen: Questions, values: Mapping[str, Any], *, with_token: bool, now_ms: int
    ) -> tuple[TerminalRow, str | None]:
        """Make a terminal that has not pushed yet, approved; answer it and its token.

        ``values`` as in :meth:`gatepost.store.interface.Store.update_terminal`.
        """
        token = new_token() if with_token else None

        def make() -> TerminalRow:
            self._check(seen, values)
            digest = None if token is None else token_digest(token)
            return self._store.create_terminal(now_ms=now_ms, **values, token_digest=digest)

        row = await asyncio.to_thread(make)
        await self._refresh()
        return row, token

    async def take_in(self, serial: str, name: str | None, site_id: int | None, *, now_ms: int) -> int:
        """Make the terminal with this serial, or find it, and approve it; return its id.

        A name or site that is not given stays as it is. A retired one is a ``Conflict``. Who takes pushes is told of
        it by the caller.
        """
        values = {"name": name, "site_id": site_id}
        given: dict[str, Any] = {key: value for key, value in values.items() if value is not None}

        def take() -> int:
            self._check(self._store.seen_by(EVERYTHING), given)
            row = self._store.ensure_terminals([NewTerminal(serial, now_ms, state="approved")])[0]
            if row.state == "retired":
                raise Conflict("this terminal is retired; set its state to approved before it is adopted")
            state: dict[str, Any] = {} if row.state == "approved" else {"state": "approved"}
            if given or state:
                self._store.update_terminal(row.id, **given, **state)
            return row.id

        found = await asyncio.to_thread(take)
        if "site_id" in given:
            self._moved()
        return found

    async def change(
        self, seen: Questions, terminal_id: int, values: Mapping[str, Any], *, versions: Versions = None
    ) -> TerminalRow | None:
        """``None`` if there is no such terminal. A state of ``retired`` takes its token away.

        Raises :class:`~gatepost.store.versions.ChangedMeanwhile` where its version is none of ``versions``.
        """
        rows = await self.change_each(seen, {terminal_id: {**values, "versions": versions}})
        return rows[0] if rows else None

    async def change_each(
        self, seen: Questions, changes: Mapping[int, Mapping[str, Any]]
    ) -> list[TerminalRow]:
        """Change several terminals, each by its own values; return those that there are.

        All values are checked before the first terminal is changed.
        """
        rows = await asyncio.to_thread(self._change_each, seen, changes)
        if any("site_id" in values for values in changes.values()):
            self._moved()
        await self._refresh()
        return rows

    def _change_each(self, seen: Questions, changes: Mapping[int, Mapping[str, Any]]) -> list[TerminalRow]:
        there = {number: dict(values) for number, values in changes.items() if seen.terminal(number)}
        for values in there.values():
            self._check(seen, values)
            if values.get("state") == "retired":
                values["token_digest"] = None
        rows = [self._store.update_terminal(number, **values) for number, values in there.items()]
        return [row for row in rows if row is not None]

    async def approve(self, seen: Questions, terminal_id: int) -> TerminalRow | None:
        """List what it sent while it was held, and what it will send. A retired one is a ``Conflict``."""
        before = await asyncio.to_thread(seen.terminal, terminal_id)
        if before is not None and before.state == "retired":
            raise Conflict("this terminal is retired; an administrator can set its state to approved")
        return await self.change(seen, terminal_id, {"state": "approved"})

    async def rotate_token(self, seen: Questions, terminal_id: int) -> tuple[TerminalRow, str] | None:
        """Give it another address; the one before is nobody's at once. A retired one is a ``Conflict``."""
        before = await asyncio.to_thread(seen.terminal, terminal_id)
        if before is not None and before.state == "retired":
            raise Conflict("this terminal is retired; set its state to approved before it gets an address")
        token = new_token()
        row = await self.change(seen, terminal_id, {"token_digest": token_digest(token)})
        return None if row is None else (row, token)

    async def remove_token(self, seen: Questions, terminal_id: int) -> TerminalRow | None:
        """Take the terminal's own address away: from the next push on its serial says which one it is."""
        return await self.change(seen, terminal_id, {"token_digest": None})

    async def delete(self, seen: Questions, terminal_id: int) -> Removed | None:
        """Delete a retired terminal with everything that it sent; one that is not retired is a ``Conflict``.

        If it pushes again it introduces itself, as a terminal that nobody has seen before.
        """
        if await asyncio.to_thread(seen.terminal, terminal_id) is None:
            return None
        removed = await asyncio.to_thread(self._remove, terminal_id)
        await self._refresh()
        return removed

    def _check(self, seen: Questions, values: Mapping[str, Any]) -> None:
        if (timezone := values.get("timezone")) is not None:
            zone(timezone)
        _check_networks(values.get("networks") or ())
        site_id = values.get("site_id")
        if site_id is not None and site_of(seen, site_id) is None:
            raise ValueError(f"there is no site {site_id}; see /api/v1/sites")


def _bracketed(host: str) -> str:
    """Return a host for a URL: an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _check_networks(networks: Sequence[str]) -> None:
    try:
        Networks(networks, setting="networks")
    except SettingsError as error:
        raise ValueError(str(error)) from None
