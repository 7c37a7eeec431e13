"""Call the API about forwarding. All of it needs the role admin, of every site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatepost.client.calls import Calls, Filter, parameters_of
from gatepost.items import (
    AttemptItem,
    DeadLetterItem,
    DestinationDetail,
    DestinationItem,
    DoneItem,
    PreviewItem,
    ReplayItem,
    RotatedItem,
    TrialItem,
)

__all__ = ["DestinationCalls"]


class DestinationCalls(Calls):
    """Destinations, their attempts and dead letters."""

    def destinations(self) -> Iterator[DestinationItem]:
        """Return the destinations, by name."""
        return self._pages("destinations", DestinationItem)

    def destination(self, destination_id: int) -> DestinationDetail:
        """Return one destination with its replays."""
        return self._connection.get(f"destinations/{destination_id}", DestinationDetail)

    def create_destination(self, **values: Any) -> DestinationDetail:
        """Make one: ``name``, ``kind``, ``url``, and what of ``filter``, ``shape``, ``order``, ``secret`` … is wanted.

        Without a ``secret`` one is made for a webhook: it is in the answer, and not told again.
        """
        return self._connection.send("POST", "destinations", DestinationDetail, values)

    def change_destination(self, destination_id: int, **values: Any) -> DestinationDetail:
        """Set what is given; ``filter`` is replaced as a whole."""
        return self._connection.send("PATCH", f"destinations/{destination_id}", DestinationDetail, values)

    def delete_destination(self, destination_id: int) -> None:
        """Delete a destination with its replays and dead letters, or one replay."""
        self._connection.body("DELETE", f"destinations/{destination_id}")

    def test_destination(self, destination_id: int) -> TrialItem:
        """Send a made-up event, marked as a test."""
        return self._connection.send("POST", f"destinations/{destination_id}/test", TrialItem, {})

    def preview_destination(self, **values: Any) -> PreviewItem:
        """Return the latest event that a ``filter`` chooses in a ``shape``; nothing is sent."""
        return self._connection.send("POST", "destinations/preview", PreviewItem, values)

    def pause_destination(self, destination_id: int) -> DestinationDetail:
        """Let what arrives wait."""
        return self._connection.send("POST", f"destinations/{destination_id}/pause", DestinationDetail, {})

    def resume_destination(self, destination_id: int) -> DestinationDetail:
        """Go on, also where the destination said that it wants no more."""
        return self._connection.send("POST", f"destinations/{destination_id}/resume", DestinationDetail, {})

    def rotate_destination(self, destination_id: int, **values: Any) -> RotatedItem:
        """Give it another ``secret``, made here if none is given; those before are valid for ``keep_s`` (a day)."""
        return self._connection.send("POST", f"destinations/{destination_id}/rotate", RotatedItem, values)

    def replay_destination(self, destination_id: int, *, since: Filter, **values: Any) -> ReplayItem:
        """Send it what was received from ``since`` to ``until`` again; see ``filter`` and ``rate``, events a second."""
        order = parameters_of({"since": since, **values})
        return self._connection.send("POST", f"destinations/{destination_id}/replay", ReplayItem, order)

    def destination_attempts(self, destination_id: int) -> Iterator[AttemptItem]:
        """Return the latest 1,000 attempts, the latest first."""
        return self._pages(f"destinations/{destination_id}/attempts", AttemptItem)

    def dead_letters(self, destination_id: int) -> Iterator[DeadLetterItem]:
        """Return the events that a destination refused for good."""
        return self._all(f"destinations/{destination_id}/dead", DeadLetterItem, {})

    def retry_dead_letters(self, destination_id: int, events: Sequence[int] | None = None) -> int:
        """Try dead letters again, these or all of them; return how many."""
        return self._decide(destination_id, "retry", events)

    def drop_dead_letters(self, destination_id: int, events: Sequence[int] | None = None) -> int:
        """Give dead letters up, these or all of them; return how many."""
        return self._decide(destination_id, "drop", events)

    def _decide(self, destination_id: int, verb: str, events: Sequence[int] | None) -> int:
        order = {"all": True} if events is None else {"events": list(events)}
        return self._connection.send("POST", f"destinations/{destination_id}/{verb}", DoneItem, order).events
