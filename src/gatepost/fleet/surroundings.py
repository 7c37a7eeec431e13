"""Hold what managing terminals needs of the receiver around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from msgspec import Struct

from gatepost.egress import Egress
from gatepost.fleet.client import Seen, TerminalClient
from gatepost.store.query.notices import Notices
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.fleet import Adopted

__all__ = ["Surroundings", "TakeIn"]

T = TypeVar("T")

TakeIn = Callable[[Seen, str | None, int | None], Awaitable[int]]
"""Make the terminal with a serial, or find and approve it; name it and put it at a site. Return its id."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """Hold what is handed in."""

    adopted: Adopted
    notices: Notices
    egress: Egress
    threads: ThreadPoolExecutor
    """For what asks the store."""
    digest: Callable[[str], bytes]
    """Return what the store keeps of a token."""
    new_token: Callable[[], str]
    take_in: TakeIn
    refresh: Callable[[], None]
    """Have those who take pushes told, soon, that tokens have changed."""
    note: Callable[[str, AdoptedRow, Mapping[str, Any]], None]
    """Write into the audit log what is done without a person. Blocks."""
    told: Callable[[], None]
    """Say that notices were added. Any thread."""
    heard: Mapping[int, int]
    """When terminals last pushed, by id: Unix milliseconds."""
    now: Callable[[], float]
    rand: Callable[[], float]
    hand_back: Callable[[], None] = lambda: None
    """Return memory to the system that is not used any more. Blocks."""
    timeout_s: float = 10.0
    """For each request."""

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Ask the store."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    def client(
        self, address: str, serial: str | None, pin: bytes | None, token: str | None = None
    ) -> TerminalClient:
        """Return a client for a terminal's service."""
        return TerminalClient(
            address,
            serial=serial,
            pin=pin,
            token=token,
            egress=self.egress,
            timeout_s=self.timeout_s,
            now=self.now,
        )
