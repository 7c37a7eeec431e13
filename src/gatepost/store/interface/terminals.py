"""Keep terminals, their sites, and the receivers of a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gatepost.store.types.arrivals import NewTerminal
from gatepost.store.types.lists import Page
from gatepost.store.types.terminals import DisagreementRow, ReceiverRow, SiteRow, TerminalRow, TerminalState

if TYPE_CHECKING:
    from gatepost.store.people.move_preview import WouldMove
    from gatepost.store.people.person import Scope
    from gatepost.store.terminals.terminal_labels import TerminalLabel
    from gatepost.store.versions import Versions

__all__ = ["TerminalStore"]


class TerminalStore(Protocol):
    """See the module and :class:`~gatepost.store.interface.Store`."""

    def ensure_terminals(self, new: Sequence[NewTerminal]) -> list[TerminalRow]:
        """Make those terminals that are not there, in one transaction; return all of them, in order."""

    def create_terminal(self, *, now_ms: int, **values: Any) -> TerminalRow:
        """Make a terminal that has not pushed yet; ``values`` as in :meth:`update_terminal`."""

    def update_terminal(
        self, terminal_id: int, *, versions: Versions = None, **values: Any
    ) -> TerminalRow | None:
        """Set any of ``serial``, ``name``, ``site_id``, ``timezone``, ``state``, ``token_digest``, ``networks``.

        ``None`` if there is no such terminal. Another ``token_digest`` has not been used yet; without any, the
        terminal is not bound to a token any more. Raises ``ChangedMeanwhile`` where it has none of the versions.
        """

    def terminal(self, terminal_id: int) -> TerminalRow | None: ...

    def terminal_by_token(self, digest: bytes) -> TerminalRow | None:
        """Return the terminal whose address has a token with this digest."""

    def use_token(self, digest: bytes, *, now_ms: int) -> TerminalRow | None:
        """Note that a terminal pushed with this token, the first time, and return it; ``None`` if none has it."""

    def tokens(self) -> dict[bytes, int]:
        """Return the terminal of each token, by the token's digest."""

    def terminals(self) -> list[TerminalRow]:
        """Return every terminal, by id."""

    def terminals_page(
        self,
        *,
        state: TerminalState | None = None,
        site_id: int | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[TerminalRow]:
        """Return terminals by id. Raises :class:`~gatepost.store.cursor.BadCursor`."""

    def refusals(self, terminal_id: int) -> dict[str, int]:
        """Return how often pushes of a terminal were refused, by reason."""

    def disagreements(self, terminal_id: int) -> list[DisagreementRow]:
        """Return whose else pushes of a terminal said that they were, the latest first; at most 100."""

    def labels(self, ids: Iterable[int]) -> dict[int, TerminalLabel]:
        """Return what to call these terminals, and where they stand."""

    def all_labels(self) -> list[TerminalLabel]:
        """Return the same of every terminal, by what it is called."""

    def terminals_named(self, terminal: str | int) -> list[int]:
        """Return the terminals that a filter means by a serial, a name or an id."""

    def would_move(self, terminal_id: int, site_id: int, scope: Scope) -> WouldMove:
        """Return what it changes about people to move a terminal to a site."""

    def peers(self) -> dict[tuple[str, int], int]:
        """Return by address and terminal when the terminal last pushed from there by a serial or a token.

        In milliseconds, up to an hour too early.
        """

    def sites(self) -> list[SiteRow]: ...

    def create_site(self, name: str, timezone: str, *, now_ms: int) -> SiteRow: ...

    def update_site(
        self,
        site_id: int,
        *,
        name: str | None = None,
        timezone: str | None = None,
        versions: Versions = None,
    ) -> None:
        """Change what is given. Raises ``Conflict``, and ``ChangedMeanwhile`` where it has none of the versions."""

    def note_receiver(self, journal: bytes, *, host: str, events: int, now_ms: int) -> None:
        """Store that the receiver with this journal is there, and how many of its events are not listed yet."""

    def receivers(self) -> list[ReceiverRow]:
        """Return every receiver of this database, by host."""

    def forget_receiver(self, journal: bytes) -> bool:
        """Delete what is known of a receiver. False if there is none with this journal."""
