"""Look at one adopted terminal, and set its address where that is needed.

Rules:

* The client sees the serial and the pinned certificate before anything secret is sent.
* That the address is set is stored before it is sent: a receiver that ends again and again sets it no oftener.
* Its own token is made again where a person has taken the one that it has. The token before counts until the terminal
  has taken the new address.
* A terminal that refuses a token of a login is logged in to once more; an account that it refuses is not tried again,
  whoever talks to it: the terminal is stopped then.

Flow: :meth:`Visitor.look` → :func:`~gatepost.fleet.tending.decisions.next_step` and
:func:`~gatepost.fleet.tending.decisions.after` in turns, until nothing is left to do →
:class:`~gatepost.store.terminals.adopted.Looked`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from msgspec.structs import replace

from gatepost.fleet.client import Account, Seen, TerminalClient
from gatepost.fleet.failures import (
    AnotherCertificate,
    AnotherTerminal,
    FleetError,
    NotAdopted,
    Stopped,
    WrongAccount,
)
from gatepost.fleet.surroundings import Surroundings
from gatepost.fleet.tending import decisions
from gatepost.store.query.notices import NewNotice
from gatepost.store.terminals.adopted import AdoptedRow, Credentials, Looked
from gatepost.wire import Subscription, without_credentials

__all__ = ["LOOK_S", "Visitor", "kept_of", "looked_of", "notices_of"]

T = TypeVar("T")

LOOK_S = 30.0
"""No look takes longer."""

_FOUND: Mapping[type[FleetError], decisions.Found] = {
    WrongAccount: "wrong account",
    AnotherTerminal: "another terminal",
    AnotherCertificate: "another certificate",
}
"""The finding for each error of the client; for every other one: it is away."""

_NO_ACCOUNT = "the receiver does not know its account; adopt it again"


def kept_of(row: AdoptedRow) -> decisions.Kept:
    """Return what is known of a terminal, as the decisions are made with it."""
    state: decisions.State = row.state  # type: ignore[assignment]  # the store has no other
    return decisions.Kept(
        state=state,
        due_at=row.due_ms / 1000,
        failures=row.failures,
        sets=row.sets,
        must_set=row.must_set,
        shows=row.shows,
        reason=row.reason,
    )


def looked_of(row: AdoptedRow, kept: decisions.Kept, found: str, now: float) -> Looked:
    """Return what is stored of a terminal after a look."""
    return Looked(
        terminal_id=row.terminal_id,
        revision=row.revision,
        state=kept.state,
        reason=kept.reason,
        due_ms=round(kept.due_at * 1000),
        failures=kept.failures,
        sets=kept.sets,
        must_set=kept.must_set,
        shows=kept.shows,
        looked_at_ms=round(now * 1000),
        found=found,
    )


def notices_of(row: AdoptedRow, looked: Looked) -> list[NewNotice]:
    """Return what is to be told after a look. Pure."""
    subject, which = str(row.terminal_id), row.terminal_id
    found = []
    if looked.state == "contested":
        detail = {"to": looked.shown or "?"}
        found.append(NewNotice(kind="terminal.contested", subject=subject, terminal_id=which, detail=detail))
    elif looked.state == "ours":
        found.append(NewNotice(kind="terminal.ours", subject=subject, terminal_id=which))
    if looked.state == "stopped":
        detail = {"why": looked.reason}
        found.append(NewNotice(kind="terminal.stopped", subject=subject, terminal_id=which, detail=detail))
    elif looked.reached_at_ms is not None:
        found.append(NewNotice(kind="terminal.managed", subject=subject, terminal_id=which))
    return found


class Visitor:
    """Looks at terminals, one request at a time for each. Made and used on one event loop."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._turns: dict[int, asyncio.Lock] = {}
        self._logins: dict[int, str] = {}
        """Tokens of logins, which are valid for an hour unless a terminal starts again."""

    @asynccontextmanager
    async def talk(self, row: AdoptedRow) -> AsyncIterator[TerminalClient]:
        """Open a terminal's service, logged in, for one who talks to it at a time.

        Raises :class:`~gatepost.fleet.failures.FleetError`; one that is stopped is left alone.
        """
        async with self.turn(row.terminal_id):
            # As it is now: it may have been stopped, changed or released a moment ago.
            known, credentials = await self._around.in_thread(lambda: self.known(row.terminal_id))
            if known is None:
                raise NotAdopted
            if known.state == "stopped":
                raise Stopped(known.reason)
            if credentials is None:
                raise WrongAccount(_NO_ACCOUNT)
            async with self._client(known) as client:
                try:
                    await client.look()
                    await self._logged_in(known, client, credentials, client.subscription)
                except (WrongAccount, AnotherTerminal, AnotherCertificate) as error:
                    await self._stop(known, error)
                    raise
                yield client

    def known(self, terminal_id: int) -> tuple[AdoptedRow | None, Credentials | None]:
        """Return a terminal and what opens it. Blocks."""
        adopted = self._around.adopted
        row = adopted.one(terminal_id)
        return row, None if row is None else adopted.opened(row)

    async def keep(self, row: AdoptedRow, looked: Looked, *, fence: int | None = None) -> None:
        """Store what a look has found, and tell what a person has to know. ``fence`` as the store has it."""
        around = self._around
        counts = await around.in_thread(lambda: around.adopted.keep([looked], fence=fence))
        if counts and (looked.state != row.state or row.found is None):
            told, now_ms = notices_of(row, looked), round(around.now() * 1000)
            if await around.in_thread(lambda: around.notices.tell(told, now_ms=now_ms)):
                around.told()

    async def _stop(self, row: AdoptedRow, error: FleetError) -> None:
        """Stop a terminal that refused what is known of it, or is another one."""
        found, said = await self._meaning(row, error)
        kept = self._after(kept_of(row), found, row, None)
        await self.keep(row, replace(looked_of(row, kept, found, self._around.now()), said=said))

    async def look(
        self, row: AdoptedRow, credentials: Credentials | None, *, now_due: bool = False
    ) -> Looked:
        """Look at a terminal, and do what there is to do; the caller has its :meth:`turn`, and stores what is found.

        ``now_due``: also if it is not due. Raises :class:`~gatepost.errors.StoreUnavailable`.
        """
        around = self._around
        kept = kept_of(row)
        if now_due:
            kept = replace(kept, due_at=min(kept.due_at, around.now()))
        if credentials is None:
            kept = replace(kept, state="stopped", reason=_NO_ACCOUNT)
            return looked_of(row, kept, "wrong account", around.now())
        if around.digest(credentials.token) not in row.token_digests:
            credentials = await self._another_token(row, credentials)
            kept = replace(kept, must_set=True)
        return await self._look(row, kept, credentials)

    async def _look(self, row: AdoptedRow, kept: decisions.Kept, credentials: Credentials) -> Looked:
        around = self._around
        seen: Seen | None = None
        told: Subscription | None = None
        was_set_ms: int | None = None
        said: str | None = None
        found: decisions.Found = "away"
        ours = f"{row.ours}/{credentials.token}"
        try:
            async with asyncio.timeout(LOOK_S), self._client(row) as client:
                seen = await client.look()
                while (step := decisions.next_step(kept, now=around.now())) != "nothing":
                    if step == "set":
                        kept = decisions.was_set(kept, now=around.now())
                        was_set_ms = round(around.now() * 1000)
                        if not await self._about_to_set(row, kept, was_set_ms):
                            break  # a person has changed it meanwhile
                        await self._logged_in(row, client, credentials, lambda: client.subscribe(ours))
                        await self._was_set(row, credentials)
                        continue
                    told = await self._logged_in(row, client, credentials, client.subscription)
                    found = decisions.compared(told, ours)
                    kept = self._after(kept, found, row, was_set_ms)
        except TimeoutError:
            said = f"{row.address} does not reply in time"
            kept = self._after(kept, "away", row, was_set_ms)
            found = "away"
        except FleetError as error:
            found, said = await self._meaning(row, error)
            kept = self._after(kept, found, row, was_set_ms)
        looked = looked_of(row, kept, found, around.now())
        shown = told.event_dest if found == "differs" and told is not None else None
        return replace(
            looked,
            set_at_ms=was_set_ms,
            reached_at_ms=None if seen is None else looked.looked_at_ms,
            clock_error_ms=_clock_error(seen),
            shown=None if shown is None else without_credentials(shown),
            said=said,
        )

    def _after(
        self, kept: decisions.Kept, found: decisions.Found, row: AdoptedRow, was_set_ms: int | None
    ) -> decisions.Kept:
        around = self._around
        heard = max(around.heard.get(row.terminal_id, 0), _ms(row.last_seen))
        since = was_set_ms or _ms(row.set_at)
        now = around.now()
        return decisions.after(
            kept,
            found,
            now=now,
            rand=around.rand,
            has_arrived=0 < since < heard,
            is_quiet=now - max(since, heard) / 1000 >= decisions.QUIET_S,
        )

    async def _meaning(self, row: AdoptedRow, error: FleetError) -> tuple[decisions.Found, str]:
        """Return what an error means: where the certificate is another one, who shows it. No password is sent."""
        if isinstance(error, AnotherCertificate):
            try:
                async with (
                    asyncio.timeout(LOOK_S),
                    self._around.client(row.address, row.serial, None) as peer,
                ):
                    await peer.look()
            except AnotherTerminal as other:
                error = other
            except (FleetError, TimeoutError):
                pass  # then the certificate is all that is known
        return _FOUND.get(type(error), "away"), str(error)

    async def _about_to_set(self, row: AdoptedRow, kept: decisions.Kept, at_ms: int) -> bool:
        # Whether it was sent is not known if this process ends in between: then it is set again, and counted again.
        looked = replace(looked_of(row, kept, "differs", at_ms / 1000), set_at_ms=at_ms, must_set=True)
        return bool(await self._around.in_thread(lambda: self._around.adopted.keep([looked])))

    async def _was_set(self, row: AdoptedRow, credentials: Credentials) -> None:
        around = self._around
        digest = around.digest(credentials.token)
        if await around.in_thread(lambda: around.adopted.took_token(row.terminal_id, digest)):
            around.refresh()
        detail = {"serial": row.serial, "host": row.ours.partition("://")[2].partition("/")[0]}
        await around.in_thread(lambda: around.note("fleet.address_set", row, detail))

    async def _another_token(self, row: AdoptedRow, credentials: Credentials) -> Credentials:
        """Give a terminal another token of its own, in place of one that a person has taken away."""
        around = self._around
        another = replace(credentials, token=around.new_token())
        digest = around.digest(another.token)
        await around.in_thread(lambda: around.adopted.give_token(row.terminal_id, another, digest))
        around.refresh()
        return another

    async def _logged_in(
        self,
        row: AdoptedRow,
        client: TerminalClient,
        credentials: Credentials,
        call: Callable[[], Awaitable[T]],
    ) -> T:
        """Do something logged in; a login before counts until the terminal refuses it."""
        if client.token is not None:
            try:
                return await call()
            except WrongAccount:  # the terminal started again, or an hour is over
                self.forget(row.terminal_id)
                client.token = None
        self._logins[row.terminal_id] = await client.login(
            Account(credentials.username, credentials.password)
        )
        return await call()

    def _client(self, row: AdoptedRow) -> TerminalClient:
        login = self._logins.get(row.terminal_id)
        return self._around.client(row.address, row.serial, row.certificate, login)

    def forget(self, terminal_id: int) -> None:
        """Let go of a login."""
        self._logins.pop(terminal_id, None)

    def turn(self, terminal_id: int) -> asyncio.Lock:
        """Return what one who talks to a terminal holds meanwhile."""
        return self._turns.setdefault(terminal_id, asyncio.Lock())


def _ms(moment: object) -> int:
    return round(moment.timestamp() * 1000) if hasattr(moment, "timestamp") else 0


def _clock_error(seen: Seen | None) -> int | None:
    return None if seen is None or seen.clock_error_s is None else round(seen.clock_error_s * 1000)
