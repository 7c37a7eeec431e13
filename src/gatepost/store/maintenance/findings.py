"""Hold what a check of a store found."""

from msgspec import Struct, field

__all__ = [
    "EXAMPLES",
    "Finding",
    "Report",
]

EXAMPLES = 5
"""So many of each kind are named."""


class Finding(Struct, kw_only=True):
    """One kind of thing that is wrong."""

    kind: str
    advice: str
    """What to do about it, in a sentence."""
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


class Report(Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found."""

    where: str
    events: int
    """Images and long texts that events have."""
    images: int
    """Of these, the ones that are here and whole."""
    findings: tuple[Finding, ...]
    repaired: int = 0
    """Images that were removed, events that are listed without, and rows of people that were moved to their site."""

    @property
    def ok(self) -> bool:
        return not self.findings
