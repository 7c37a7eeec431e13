"""Call the API about terminals: who pushes here, and who may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gatepost.client.calls import Calls, Filter, parameters_of
from gatepost.items import (
    Listing,
    NameItem,
    RefusalItem,
    RemovedItem,
    SampleItem,
    TerminalDetail,
    TerminalItem,
    WhyItem,
)

__all__ = ["TerminalCalls"]


class TerminalCalls(Calls):
    """Terminals, and what was refused of them."""

    def terminals(self, **filters: Filter) -> Iterator[TerminalItem]:
        """In the order in which they appeared; ``state``, ``site`` and ``site_id`` filter."""
        return self._all("terminals", TerminalItem, parameters_of(filters))

    def terminal(self, terminal_id: int) -> TerminalDetail:
        return self._connection.get(f"terminals/{terminal_id}", TerminalDetail)

    def create_terminal(self, **values: Any) -> TerminalItem:
        """Make one before it pushes: ``serial``, ``name``, ``site_id``, ``timezone``, ``networks``, ``token``.

        ``address`` of the answer is what to set as its ``event_dest``; it is not told again. Needs the role admin.
        """
        return self._connection.send("POST", "terminals", TerminalItem, values)

    def change_terminal(self, terminal_id: int, **values: Any) -> TerminalItem:
        """Set any of ``serial``, ``name``, ``site_id``, ``timezone``, ``networks``, ``state``. Needs the role admin."""
        return self._connection.send("PATCH", f"terminals/{terminal_id}", TerminalItem, values)

    def approve_terminal(self, terminal_id: int) -> TerminalItem:
        """List what it sent while it was held, and what it will send. Needs the role operator."""
        return self._connection.send("POST", f"terminals/{terminal_id}/approve", TerminalItem, {})

    def retire_terminal(self, terminal_id: int) -> TerminalItem:
        """Refuse what it pushes from now on. Needs the role admin."""
        return self._connection.send("POST", f"terminals/{terminal_id}/retire", TerminalItem, {})

    def approve_terminals(self, terminals: Sequence[int]) -> list[TerminalItem]:
        """Approve several, all or none. Needs the role operator."""
        return self._connection.send(
            "POST", "terminals/approve", Listing[TerminalItem], {"terminals": terminals}
        ).items

    def change_terminals(self, changes: Mapping[int, Mapping[str, object]]) -> list[TerminalItem]:
        """Change several, by id, as :meth:`change_terminal` does; all or none. Needs the role admin."""
        told = [{"id": which, **values} for which, values in changes.items()]
        return self._connection.send("PATCH", "terminals", Listing[TerminalItem], {"terminals": told}).items

    def name_terminals(self, content: bytes, *, save: bool) -> list[NameItem]:
        """Check a CSV list of serials and names; ``save``: name the terminals. Needs the role admin."""
        body = self._connection.body("POST", "terminals/names", {"save": save}, content)
        return self._connection.decoded(body, Listing[NameItem]).items

    def delete_terminals(self, terminals: Sequence[int]) -> RemovedItem:
        """Delete several that are retired, with everything that they sent; all or none. Needs the role admin."""
        return self._patient.send("POST", "terminals/delete", RemovedItem, {"terminals": terminals})

    def rotate_token(self, terminal_id: int) -> TerminalItem:
        """Give it another ``address``, told once; the one before counts no more. Needs the role admin."""
        return self._connection.send("POST", f"terminals/{terminal_id}/token", TerminalItem, {})

    def refusals(self, **filters: Filter) -> Iterator[RefusalItem]:
        """Return the refused pushes, newest first; ``status``, ``peer`` and ``serial`` filter."""
        return iter(self._connection.get("refusals", Listing[RefusalItem], parameters_of(filters)).items)

    def refusal_sample(self, sample_id: int) -> SampleItem:
        """Return the beginning of a refused body. Needs the role admin."""
        return self._connection.get(f"refusals/samples/{sample_id}", SampleItem)

    def why(self, *, terminal: str | None = None, address: str | None = None) -> WhyItem:
        """Return why nothing arrives of a terminal, or from an address, and what to do next."""
        return self._connection.get(
            "fleet/why", WhyItem, parameters_of({"terminal": terminal, "address": address})
        )
