"""Ask for terminals, their sites, and receivers."""

from collections.abc import Iterable
from typing import Any

from gatepost.store.people.move_preview import WouldMove, would_move
from gatepost.store.people.person import Scope
from gatepost.store.questions.visible_store import VisibleStore
from gatepost.store.receivers import receivers
from gatepost.store.schema import tables as t
from gatepost.store.terminals import registry, terminal_labels
from gatepost.store.terminals.terminal_labels import TerminalLabel, at_sites
from gatepost.store.types.lists import Page
from gatepost.store.types.terminals import DisagreementRow, ReceiverRow, SiteRow, TerminalRow
from gatepost.store.versions import Versions

__all__ = ["TerminalQuestions"]


class TerminalQuestions(VisibleStore):
    """See :class:`~gatepost.store.interface.Store`."""

    def terminal(self, terminal_id: int) -> TerminalRow | None:
        with self.reading() as db:
            found = registry.terminals(db, t.terminals.c.id == terminal_id, *at_sites(self.visible))
        return found[0] if found else None

    def terminals(self) -> list[TerminalRow]:
        with self.reading() as db:
            return registry.terminals(db, *at_sites(self.visible))

    def terminals_page(self, **asked: Any) -> Page[TerminalRow]:
        with self.reading() as db:
            return registry.terminals_page(db, self.visible, **asked)

    def refusals(self, terminal_id: int) -> dict[str, int]:
        with self.reading() as db:
            return registry.refusals(db, terminal_id) if self._shows(db, terminal_id) else {}

    def disagreements(self, terminal_id: int) -> list[DisagreementRow]:
        with self.reading() as db:
            return registry.disagreements(db, terminal_id) if self._shows(db, terminal_id) else []

    def labels(self, ids: Iterable[int]) -> dict[int, TerminalLabel]:
        with self.reading() as db:
            return terminal_labels.places(db, ids, self.visible)

    def all_labels(self) -> list[TerminalLabel]:
        with self.reading() as db:
            return terminal_labels.all_places(db, self.visible)

    def terminals_named(self, terminal: str | int) -> list[int]:
        with self.reading() as db:
            return terminal_labels.terminals_named(db, terminal, self.visible)

    def would_move(self, terminal_id: int, site_id: int, scope: Scope) -> WouldMove:
        sites = self.visible.sites
        with self.reading() as db:
            if (sites is not None and site_id not in sites) or not self._shows(db, terminal_id):
                return WouldMove()
            return would_move(db, terminal_id, site_id, scope)

    def sites(self) -> list[SiteRow]:
        with self.reading() as db:
            return registry.sites(db, self.visible)

    def create_site(self, name: str, timezone: str, *, now_ms: int) -> SiteRow:
        with self.changing() as db:
            return registry.create_site(db, name, timezone, now_ms=now_ms)

    def update_site(
        self,
        site_id: int,
        *,
        name: str | None = None,
        timezone: str | None = None,
        versions: Versions = None,
    ) -> None:
        with self.changing() as db:
            registry.update_site(db, site_id, name=name, timezone=timezone, versions=versions)

    def receivers(self) -> list[ReceiverRow]:
        if self.visible.sites is not None:
            return []  # receivers are of no site
        with self.reading() as db:
            return receivers.rows(db)

    def forget_receiver(self, journal: bytes) -> bool:
        with self.changing() as db:
            return receivers.forget(db, journal)
