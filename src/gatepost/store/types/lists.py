"""Hold what is the same of every list: who may see what of it, its pages, and its counts."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from msgspec import Struct, field

__all__ = ["Visible", "EVERYTHING", "Page", "Counted", "ToAcknowledge", "AlarmCounts", "Stats"]

T = TypeVar("T")


class Visible(Struct, frozen=True):
    """Say what a user may see of a store."""

    sites: frozenset[int] | None = None
    """Only what the terminals of these sites sent; ``None``: of every site."""
    terminals: frozenset[int] | None = None
    """Only what these terminals sent, where a page is narrowed to them; ``None``: all of the sites."""
    numbers: bool = True
    """With card and identity numbers, and with the JSON as it was pushed, which has them, too."""
    held: bool = True
    """With the records and alarms of terminals that are held, where they are asked for by id, and their quarantined
    pushes."""

    @property
    def every_terminal(self) -> bool:
        """Return whether no terminal is left out, save held ones."""
        return self.sites is None and self.terminals is None


EVERYTHING = Visible()


class Page(Struct, Generic[T], frozen=True):
    """A stretch of a list, and where the next one begins."""

    items: tuple[T, ...]
    next_cursor: str | None


class Counted(Struct, frozen=True):
    """Tell how many items a filter leaves."""

    n: int
    more: bool = False
    """There are more: counting ended here."""


class ToAcknowledge(Struct, frozen=True):
    """Tell how many alarms would be acknowledged at once."""

    alarms: int
    up_to: int
    """The highest id among them: what arrives later is not acknowledged with them."""
    too_many: bool
    """There are more than may be acknowledged at once."""


class AlarmCounts(Struct, frozen=True):
    """How many alarms are open, those of held terminals left out."""

    open: int
    unacknowledged: int
    """Open, and not acknowledged."""


class Stats(Struct, frozen=True, kw_only=True):
    """Everything that was ever counted."""

    records: int
    alarms: int
    """Alarms, not their steps."""
    open_alarms: int
    """Not cleared; those of held terminals do not count."""
    unacknowledged_alarms: int
    """Open, and not acknowledged."""
    duplicates: int
    quarantined: int
    refused: int
    terminals: int
    refusals: Mapping[str, int] = field(default_factory=dict)
    """By reason."""
