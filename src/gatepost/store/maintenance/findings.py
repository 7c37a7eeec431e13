"""Hold what a check of a store found."""

from msgspec import Struct, field

__all__ = [
    "EXAMPLES",
    "Finding",
    "Findings",
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


def _of(kind: str, advice: str) -> Finding:
    return field(default_factory=lambda: Finding(kind=kind, advice=advice))


class Findings(Struct, kw_only=True):
    """Everything that may be wrong, in the order in which it is told."""

    damaged: Finding = _of(
        kind="damaged file",
        advice="restore the last backup into an empty folder; keep this one until then",
    )
    lost: Finding = _of(
        kind="event whose image is lost",
        advice="put the pack back from a backup, if there is one; `gatepost check-store --repair` lists the event"
        " without",
    )
    elsewhere: Finding = _of(
        kind="pack that is not here",
        advice="it is in the data folder of another receiver of this database, or lost; look there as well",
    )
    orphans: Finding = _of(
        kind="image without event",
        advice="harmless: its event was stored before, or never acknowledged; `gatepost check-store --repair` gives"
        " the room back",
    )
    unused: Finding = _of(
        kind="pack in the archive that no event has",
        advice="the receiver that wrote it deletes it once its journal is listed; if that receiver is gone for"
        " good, it goes with its day's retention, or delete it there",
    )
    no_image: Finding = _of(
        kind="image that is no JPEG, PNG, WebP or BMP",
        advice="the record stands; its image cannot be shown, and it is what the terminal sent",
    )
    misplaced: Finding = _of(
        kind="record of a person at another site than its terminal",
        advice="a terminal was moved and its people have not gone along yet: a running receiver completes it,"
        " and so does `gatepost check-store --repair`",
    )
    unlisted: Finding = _of(
        kind="event that is not listed",
        advice="neither list nor quarantine took it, and `projector.set_aside` in the log says why; the next start"
        " of the receiver tries again. It goes when the time of the quarantine is over",
    )
    gap: Finding = _of(
        kind="damaged place in the journal",
        advice="acknowledged events may be lost there: check the disk. A file has the bytes that were there, and"
        " goes when the time of the quarantine is over",
    )
    gone: Finding = _of(
        kind="part of the journal that is gone",
        advice="acknowledged events may be lost with it, and no bytes are left: find out what deleted it, and look"
        " into the last backup. The empty file in its place goes when the time of the quarantine is over",
    )
    waiting: Finding = _of(
        kind="part of the journal that cannot be read now",
        advice="nothing of it is lost, and it is listed when the cause is gone",
    )


class Report(Struct, frozen=True, kw_only=True):
    """Hold what was checked, and what was found."""

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
