"""Compares what was issued with what there is, and asks whether anything happened at all. Pure.

Rules:

- ``issued and accepted = stored + pending + dead + dropped``; an event whose answer was lost may be on either side.
- Spurious: stored, and never issued, or refused at the door. Corrupted: stored, and not as it was issued. Duplicate:
  stored more than once. Each must be 0.
- A run in which too little happened proves nothing, and fails.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from gatepost.torture.oracle import Fate, Issued
from gatepost.torture.system.processes import Died

__all__ = ["Blackout", "Evidence", "Found", "Judgement", "differs", "judge", "said"]

FEW = 5


class Found(Struct, frozen=True):
    """An event as the receiver has it."""

    name: str
    data: dict[str, Any]
    image: str | None
    """A digest of the JPEG."""


class Evidence(Struct, frozen=True, kw_only=True):
    """All that is known at the end."""

    issued: Mapping[str, Issued]
    fates: Mapping[str, Fate]
    stored: Sequence[Found]
    listed: Sequence[str]
    """The events that the receiver's API lists."""
    quarantined: Sequence[str]
    """What the receiver said of each push that it could only put aside."""
    pending: frozenset[str]
    dead: frozenset[str]
    ledgers: Sequence[Mapping[str, int]]
    """One a terminal: accepted, delivered, pending, dead, dropped."""
    unbalanced: Sequence[str]
    """Moments at which a ledger did not add up."""
    acknowledged: frozenset[str]
    """Events with a success that the proxy passed on."""
    disordered: Sequence[str]
    died: Sequence[Died]
    late: Sequence[str]
    defects: Sequence[str]
    """What went wrong in the kit itself."""
    passed_on: Mapping[str, int]
    """How often the destination took each event."""
    several_ids: frozenset[str]
    """Events that the destination was sent under more than one id."""
    given_up: frozenset[str]
    """Events that are dead letters of the destination."""
    seen: int
    """Events that the destination's ledger has."""
    undrained: Sequence[str]
    """Terminals that still had something to push when everything had been well for long enough."""
    kept: Sequence[str]
    """Events that the destination always refuses, and that were not given up while others of their kind were taken."""
    happened: Mapping[str, int]
    wanted: Mapping[str, int]
    """How often each thing had to happen at least."""


class Judgement(Struct, frozen=True):
    """The verdict: no differences, or which."""

    differences: tuple[str, ...]
    figures: dict[str, int]

    @property
    def ok(self) -> bool:
        return not self.differences


class Blackout(Struct, frozen=True):
    """What came of the cuts at one end."""

    end: str
    operations: int
    syncs: int
    events: int
    cuts: int
    survived: int
    """Events that had been said to be safe and were there afterwards, over all cuts."""
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.differences


def judge(evidence: Evidence) -> Judgement:
    """Compare."""
    accepted = {name for name, fate in evidence.fates.items() if fate is Fate.ACCEPTED}
    refused = {name for name, fate in evidence.fates.items() if fate is Fate.REFUSED}
    unknown = evidence.fates.keys() - accepted - refused
    counts = Counter(found.name for found in evidence.stored)
    stored = counts.keys()
    dropped = sum(ledger["dropped"] for ledger in evidence.ledgers)
    missing = accepted - stored - evidence.pending - evidence.dead
    spurious = {name for name in stored if name not in evidence.issued} | (refused & stored)
    corrupted = {found.name for found in evidence.stored if differs(found, evidence.issued.get(found.name))}
    duplicates = {name for name, count in counts.items() if count > 1}
    broken = evidence.acknowledged - stored
    ledger = sum(each["accepted"] for each in evidence.ledgers)
    differences = [
        said("accepted, and nowhere to be found", missing) if len(missing) > dropped else "",
        said("acknowledged by the receiver, and not stored", broken),
        said("spurious", spurious),
        said("corrupted", corrupted),
        said("stored twice", duplicates),
        said("stored, and not listed", stored - set(evidence.listed)),
        said("listed, and not stored", set(evidence.listed) - stored),
        said("listed twice", {name for name, count in Counter(evidence.listed).items() if count > 1}),
        said("stored, and not passed on", stored - evidence.passed_on.keys() - evidence.given_up),
        said("passed on, and not stored", evidence.passed_on.keys() - stored),
        said("refused always, and never given up", evidence.kept),
        said("passed on under several ids", evidence.several_ids),
        said("steps of an alarm out of order", evidence.disordered),
        said("ledgers that do not add up", evidence.unbalanced),
        said("not drained", evidence.undrained),
        said("did not stop when asked to", evidence.late),
        said("defects of the kit", evidence.defects),
        said("in the quarantine", evidence.quarantined),
        *(f"died: {died.name}, code {died.code}: {' | '.join(died.log[-5:])}" for died in evidence.died),
    ]
    if not len(accepted) <= ledger <= len(accepted) + len(unknown):
        differences.append(
            f"the ledgers have {ledger} accepted; {len(accepted)} were answered so, {len(unknown)} not at all"
        )
    if evidence.seen != len(evidence.stored):
        differences.append(f"the destination's ledger has {evidence.seen} of {len(evidence.stored)} stored")
    for name, least in evidence.wanted.items():
        if evidence.happened.get(name, 0) < least:
            differences.append(
                f"too little happened: {name} {evidence.happened.get(name, 0)}, wanted {least}"
            )
    figures = {
        "issued": len(evidence.issued),
        "accepted": len(accepted),
        "refused": len(refused),
        "unknown": len(unknown),
        "stored": len(evidence.stored),
        "pending": len(evidence.pending),
        "dead": len(evidence.dead),
        "dropped": dropped,
        "missing": len(missing),
        "spurious": len(spurious),
        "corrupted": len(corrupted),
        "duplicates": len(duplicates),
        "passed on": len(evidence.passed_on),
        "passed on again": sum(evidence.passed_on.values()) - len(evidence.passed_on),
        "given up": len(evidence.given_up),
    }
    return Judgement(tuple(difference for difference in differences if difference), figures)


def differs(found: Found, issued: Issued | None) -> bool:
    """Tell whether an event is not as it was issued."""
    return issued is not None and (found.image != issued.image or not _contains(found.data, issued.data))


def _contains(whole: Any, part: Any) -> bool:
    """Tell whether everything in ``part`` is in ``whole``; the ends may add fields."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and _contains(whole[name], value) for name, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list)
            and len(whole) == len(part)
            and all(_contains(*pair) for pair in zip(whole, part, strict=True))
        )
    return type(whole) is type(part) and bool(whole == part)


def said(what: str, names: Any) -> str:
    """Say how many events have that fault, and which; nothing of none."""
    if not len(names):
        return ""
    few = ", ".join(str(name) for name in list(names)[:FEW])
    return f"{len(names)} {what}: {few}{', …' if len(names) > FEW else ''}"
