"""Tell what a change would do, before it takes effect.

That is which terminals of the last week a stricter setting or state would refuse, and what a move changes about people.

Each terminal that pushed in the last week is decided once more, by the rules of
:mod:`gatepost.receiver.terminals.identify`: as it last pushed, from every address from which it came, without its token
if it did so in that week.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gatepost.receiver.terminals.claims import Claim, Known, Policy, Rejected
from gatepost.receiver.terminals.directory import Directory
from gatepost.receiver.terminals.identify import decide
from gatepost.receiver.terminals.networks import Networks
from gatepost.settings import ReceiverSettings
from gatepost.store.conversion.values import moment, ms
from gatepost.store.interface import Store, TerminalRow
from gatepost.store.people.move_preview import WouldMove

__all__ = ["WEEK", "Preview", "WouldRefuse", "refused_of"]

WEEK = timedelta(days=7)

Peers = Mapping[tuple[str, int], int]


class WouldRefuse(Struct, frozen=True, kw_only=True):
    """A terminal whose pushes of the last week would be refused."""

    terminal: TerminalRow
    reason: str
    message: str
    """What the reply would say."""
    peer: str
    last_at: datetime
    """When it last pushed so."""


def refused_of(
    terminals: Sequence[TerminalRow], peers: Peers, policy: Policy, *, now: datetime
) -> dict[int, WouldRefuse]:
    """Return which of the terminals a policy would refuse, by id.

    ``peers``: when each terminal last pushed from each address, in milliseconds.
    """
    directory = Directory(now=now.timestamp)
    directory.feed([Known.of(row) for row in terminals], peers, {_digest(row): row.id for row in terminals})
    since_ms = ms(now - WEEK)
    addresses: dict[int, list[str]] = {}
    for (address, terminal_id), at_ms in peers.items():
        if at_ms >= since_ms:
            addresses.setdefault(terminal_id, []).append(address)
    found = {}
    for row in terminals:
        for claim, last_at in _pushes(row, addresses.get(row.id, []), since=now - WEEK):
            decision = decide(claim, directory, policy)
            if isinstance(decision, Rejected):
                found[row.id] = WouldRefuse(
                    terminal=row,
                    reason=decision.reason,
                    message=decision.message,
                    peer=claim.peer,
                    last_at=last_at,
                )
                break
    return found


def _pushes(
    row: TerminalRow, addresses: Sequence[str], *, since: datetime
) -> Iterator[tuple[Claim, datetime]]:
    peers = addresses or [peer for peer in (row.peer,) if peer]
    if row.tokenless_at is not None and row.tokenless_at >= since:
        for peer in peers:
            yield Claim(None, row.serial, None, peer), row.tokenless_at
    with_token = row.token_used_at is not None and row.last_seen is not None and row.last_seen >= since
    if with_token and row.last_seen is not None and row.last_seen != row.tokenless_at:
        for peer in peers:
            yield Claim(_digest(row), None, None, peer), row.last_seen


def _digest(row: TerminalRow) -> bytes:
    """Return what stands for the terminal's token here: the tokens themselves are not needed."""
    return b"%d" % row.id if row.has_token else b"none of %d" % row.id


class Preview:
    """Previews on a store, by the settings in force."""

    def __init__(
        self, store: Store, settings: ReceiverSettings, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self.settings = settings
        self._now = now

    def of_settings(self, **changed: Any) -> list[WouldRefuse]:
        """Return which terminals other settings would refuse that are taken now, the latest push first.

        ``changed``: any of ``require_token``, ``unknown_terminals``, ``allowed_networks``. Raises
        :class:`~gatepost.errors.SettingsError` for what is no network.
        """
        policy = Policy.of(replace(self.settings, **changed))
        terminals, peers = self._store.terminals(), self._store.peers()
        return self._added(terminals, terminals, peers, policy)

    def of_change(self, terminal_id: int, **changed: Any) -> list[WouldRefuse]:
        """Return whether a change of a terminal would refuse what it pushed in the last week: it, or nothing.

        ``changed``: ``state``, ``networks``, or both. Raises ``SettingsError`` for what is no network.
        """
        if "networks" in changed:
            Networks(changed["networks"], setting="networks")
        row = self._store.terminal(terminal_id)
        if row is None:
            return []
        peers = {key: at_ms for key, at_ms in self._store.peers().items() if key[1] == terminal_id}
        return self._added([row], [replace(row, **changed)], peers, Policy.of(self.settings))

    def of_move(self, terminal_id: int, site_id: int) -> WouldMove:
        """Return what it changes about people to move a terminal to a site: nothing, if it stands there."""
        return self._store.would_move(terminal_id, site_id, self.settings.people_scope)

    def _added(
        self, before: Sequence[TerminalRow], after: Sequence[TerminalRow], peers: Peers, policy: Policy
    ) -> list[WouldRefuse]:
        now = moment(int(self._now() * 1000))
        already = refused_of(before, peers, Policy.of(self.settings), now=now)
        would = refused_of(after, peers, policy, now=now)
        new = [one for number, one in would.items() if number not in already]
        return sorted(new, key=lambda one: (one.last_at, one.terminal.id), reverse=True)
