"""How long an outbox keeps settled events: delivered records by number and age, dead letters by number."""

from __future__ import annotations

from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.segments.segments import Segments
from gatepost.terminal.outbox.state.operations import FORGOTTEN
from gatepost.terminal.outbox.state.state import State

__all__ = ["DAY_S", "MAX_DEAD", "keep_dead_within_bound", "trim_history"]

MAX_DEAD = 10_000
"""Dead letters that are kept."""

DAY_S = 86_400.0


def keep_dead_within_bound(state: State, segments: Segments, *, now: float) -> None:
    """Drop the oldest of too many dead letters, records before alarms."""
    surplus = len(state.cursor.dead) - MAX_DEAD
    if surplus > 0:
        facts = {number: segments.facts(number) for number in state.cursor.dead}
        order = sorted(facts, key=lambda number: (-(found.lane if (found := facts[number]) else 0), number))
        for number in order[:surplus]:
            state.drop(number, "dead-letters", now)


def trim_history(state: State, settings: TerminalSettings, *, now: float, at_most: int) -> None:
    """Forget delivered records beyond the limits, ``at_most`` of them."""
    surplus = len(state.history) - settings.history_events
    oldest = now - settings.history_days * DAY_S
    numbers: list[int] = []
    for number, at in state.history.items():
        if len(numbers) == at_most or (len(numbers) >= surplus and at >= oldest):
            break
        numbers.append(number)
    if numbers:
        state.do(FORGOTTEN, numbers)
