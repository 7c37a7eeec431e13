"""Compare the events that were issued with those at the end, and see that enough happened. Pure.

Rules:

- ``issued and accepted = stored + pending + dead + dropped``. An event without a reply may be on either side.
- Spurious: stored, and never issued, or refused by the terminal. Corrupted: stored, and not as it was issued.
  Duplicate: stored more than once. Each must be 0.
- A run in which too little happened proves nothing, and fails.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import Any

from msgspec import Struct

from gatepost.torture.oracle import Fate, Issued
from gatepost.torture.system.processes import Died

__all__ = ["PowerCuts", "Evidence", "Found", "Judgement", "differs", "judge", "said"]

FEW = 5


class Found(Struct, frozen=True):
    """An event as the receiver has it."""

    name: str
    data: dict[str, Any]
    image: str | None
    """A digest of the JPEG."""


class Evidence(Struct, frozen=True, kw_only=True):
    """Everything that is known at the end of a run."""

    issued: Mapping[str, Issued]
    fates: Mapping[str, Fate]
    stored: Sequence[Found]
    listed: Sequence[str]
    """The events that the receiver's API lists."""
    quarantined: Sequence[str]
    """The receiver's reason for each push that it put into the quarantine."""
    pending: frozenset[str]
    dead: frozenset[str]
    ledgers: Sequence[Mapping[str, int]]
    """One per terminal: accepted, delivered, pending, dead, dropped."""
    unbalanced: Sequence[str]
    """Moments at which a ledger did not add up."""
    acknowledged: frozenset[str]
    """Events whose acknowledgement the proxy passed on to the terminal."""
    disordered: Sequence[str]
    died: Sequence[Died]
    late: Sequence[str]
    defects: Sequence[str]
    """What went wrong in the kit itself."""
    passed_on: Mapping[str, int]
    """How often the destination took each event."""
    several_ids: frozenset[str]
    """Events that were sent to the destination under more than one id."""
    given_up: frozenset[str]
    """Events that are dead letters of the destination."""
    seen: int
    """Events that the destination's ledger has."""
    undrained: Sequence[str]
    """Terminals that still had events to push long after the last fault."""
    kept: Sequence[str]
    """Events that the destination always refuses, and that were not given up while it took others of their kind."""
    happened: Mapping[str, int]
    wanted: Mapping[str, int]
    """How often each thing had to happen at least."""


class Judgement(Struct, frozen=True):
    """The verdict: the differences, none if all is well."""

    differences: tuple[str, ...]
    figures: dict[str, int]

    @property
    def ok(self) -> bool:
        return not self.differences


class PowerCuts(Struct, frozen=True):
    """The result of the power cuts at one end."""

    end: str
    operations: int
    syncs: int
    events: int
    cuts: int
    survived: int
    """Events that were acknowledged before a cut and still there after it, over all cuts."""
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.differences


def judge(evidence: Evidence) -> Judgement:
    """Compare what was issued with what is stored, listed, passed on and left at the terminals."""
    sets = _sets(evidence)
    differences = [*_differences(evidence, sets), *_miscounted(evidence, sets), *_too_little(evidence)]
    return Judgement(tuple(filter(None, differences)), _figures(evidence, sets))


class _Sets(Struct, frozen=True, kw_only=True):
    """The names of events, by what became of them."""

    accepted: Set[str]
    refused: Set[str]
    unknown: Set[str]
    """Their reply at the local socket was lost."""
    stored: Set[str]
    missing: Set[str]
    spurious: Set[str]
    corrupted: Set[str]
    duplicates: Set[str]


def _sets(evidence: Evidence) -> _Sets:
    accepted = {name for name, fate in evidence.fates.items() if fate is Fate.ACCEPTED}
    refused = {name for name, fate in evidence.fates.items() if fate is Fate.REFUSED}
    counts = Counter(found.name for found in evidence.stored)
    stored = counts.keys()
    return _Sets(
        accepted=accepted,
        refused=refused,
        unknown=evidence.fates.keys() - accepted - refused,
        stored=stored,
        missing=accepted - stored - evidence.pending - evidence.dead,
        spurious={name for name in stored if name not in evidence.issued} | (refused & stored),
        corrupted={
            found.name for found in evidence.stored if differs(found, evidence.issued.get(found.name))
        },
        duplicates={name for name, count in counts.items() if count > 1},
    )


def _differences(evidence: Evidence, sets: _Sets) -> list[str]:
    stored = sets.stored
    return [
        said("accepted, and nowhere to be found", sets.missing)
        if len(sets.missing) > _dropped(evidence)
        else "",
        said("acknowledged by the receiver, and not stored", evidence.acknowledged - stored),
        said("spurious", sets.spurious),
        said("corrupted", sets.corrupted),
        said("stored twice", sets.duplicates),
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


def _miscounted(evidence: Evidence, sets: _Sets) -> Iterator[str]:
    ledger = sum(each["accepted"] for each in evidence.ledgers)
    if not len(sets.accepted) <= ledger <= len(sets.accepted) + len(sets.unknown):
        yield (
            f"the ledgers have {ledger} accepted; {len(sets.accepted)} were answered so, "
            f"{len(sets.unknown)} not at all"
        )
    if evidence.seen != len(evidence.stored):
        yield f"the destination's ledger has {evidence.seen} of {len(evidence.stored)} stored"


def _too_little(evidence: Evidence) -> Iterator[str]:
    for name, least in evidence.wanted.items():
        count = evidence.happened.get(name, 0)
        if count < least:
            yield f"too little happened: {name} {count}, wanted {least}"


def _figures(evidence: Evidence, sets: _Sets) -> dict[str, int]:
    return {
        "issued": len(evidence.issued),
        "accepted": len(sets.accepted),
        "refused": len(sets.refused),
        "unknown": len(sets.unknown),
        "stored": len(evidence.stored),
        "pending": len(evidence.pending),
        "dead": len(evidence.dead),
        "dropped": _dropped(evidence),
        "missing": len(sets.missing),
        "spurious": len(sets.spurious),
        "corrupted": len(sets.corrupted),
        "duplicates": len(sets.duplicates),
        "passed on": len(evidence.passed_on),
        "passed on again": sum(evidence.passed_on.values()) - len(evidence.passed_on),
        "given up": len(evidence.given_up),
    }


def _dropped(evidence: Evidence) -> int:
    return sum(ledger["dropped"] for ledger in evidence.ledgers)


def differs(found: Found, issued: Issued | None) -> bool:
    """Tell whether an event differs from the one that was issued."""
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


def said(what: str, names: Collection[object]) -> str:
    """Return how many events have that fault, and which; "" for none."""
    if not names:
        return ""
    few = ", ".join(str(name) for name in list(names)[:FEW])
    return f"{len(names)} {what}: {few}{', …' if len(names) > FEW else ''}"
