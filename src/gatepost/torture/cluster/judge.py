"""Compare what was issued with what a cell lists. Pure.

Rules:

- *issued = listed + waiting + dead + dropped*. Listed twice, invented, changed (every field, and the image): 0.
- All receivers list the same.
- Pushes are acknowledged again within the given time after another node has to lead.
- A run in which too little happened proves nothing, and fails.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf

from msgspec import Struct

from gatepost.torture.cluster.servers.database import TTL_S
from gatepost.torture.judge import Found, Judgement, differs, said
from gatepost.torture.oracle import Issued
from gatepost.torture.system.processes import Died

__all__ = ["AGAIN_S", "Evidence", "judge"]

AGAIN_S = TTL_S + 5.0
"""The seconds after which pushes are acknowledged again, on an idle machine."""


class Evidence(Struct, frozen=True, kw_only=True):
    """All that is known at the end."""

    issued: Mapping[str, Issued]
    accepted: frozenset[str]
    """Events of which a terminal said that they are on its disk."""
    listed: Sequence[Found]
    """By one receiver."""
    others: Sequence[Sequence[str]]
    """The names that each other receiver lists."""
    waiting: frozenset[str]
    dead: frozenset[str]
    ledgers: Sequence[Mapping[str, int]]
    """One a terminal: accepted, delivered, pending, dead, dropped."""
    died: Sequence[Died]
    late: Sequence[str]
    undrained: Sequence[str]
    failovers_s: Sequence[float]
    """How long it took each time until a push was acknowledged again."""
    again_s: float | None
    """How long that may be."""
    happened: Mapping[str, int]
    wanted: Mapping[str, int]
    """How often each thing had to happen at least."""


def judge(evidence: Evidence) -> Judgement:
    """Compare."""
    counts = Counter(found.name for found in evidence.listed)
    listed = counts.keys()
    dropped = sum(ledger["dropped"] for ledger in evidence.ledgers)
    missing = evidence.accepted - listed - evidence.waiting - evidence.dead
    spurious = listed - evidence.issued.keys()
    changed = {found.name for found in evidence.listed if differs(found, evidence.issued.get(found.name))}
    duplicates = {name for name, count in counts.items() if count > 1}
    limit_s = evidence.again_s or inf
    slow = [f"{seconds} s" for seconds in evidence.failovers_s if seconds > limit_s]
    found = [
        said("accepted, and nowhere to be found", missing) if len(missing) > dropped else "",
        said("spurious", spurious),
        said("changed", changed),
        said("listed twice", duplicates),
        *(_other(number, counts, names) for number, names in enumerate(evidence.others, 1)),
        said("ledgers that do not add up", [one for one in evidence.ledgers if not _adds_up(one)]),
        said("not drained", evidence.undrained),
        said("did not stop when asked to", evidence.late),
        said(f"times that nothing was acknowledged for over {limit_s:g} s", slow),
        *(f"died: {died.name}, code {died.code}: {' | '.join(died.log[-5:])}" for died in evidence.died),
        *(
            f"too little happened: {name} {evidence.happened.get(name, 0)}, wanted {least}"
            for name, least in evidence.wanted.items()
            if evidence.happened.get(name, 0) < least
        ),
    ]
    figures = {
        "issued": len(evidence.accepted),
        "listed": len(evidence.listed),
        "waiting": len(evidence.waiting),
        "dead": len(evidence.dead),
        "dropped": dropped,
        "missing": len(missing),
        "spurious": len(spurious),
        "changed": len(changed),
        "duplicates": len(duplicates),
        "images": sum(one.image is not None for one in evidence.listed),
    }
    return Judgement(tuple(one for one in found if one), figures)


def _other(number: int, first: Counter[str], names: Sequence[str]) -> str:
    other = Counter(names)
    return said(f"not listed alike by receiver {number} and the first", [*(first - other), *(other - first)])


def _adds_up(ledger: Mapping[str, int]) -> bool:
    return ledger["accepted"] == sum(ledger[part] for part in ("delivered", "pending", "dead", "dropped"))
