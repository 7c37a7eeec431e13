"""Plan what is done to a cell, from a seed. Pure.

Rules: faults come one after another, for a cell of three bears one that is gone. Each round has every kind once, in an
order drawn from the seed.
"""

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

__all__ = ["ALL", "FAILOVERS", "JOURNAL", "LOSSES", "OUTSIDE", "Fault", "Kind", "plan"]


class Kind(StrEnum):
    """A fault of a cell. To kill is SIGKILL."""

    KILL_RECEIVER = "kill-receiver"
    KILL_INGEST = "kill-ingest"
    """One process of a receiver."""
    KILL_DESK = "kill-desk"
    TERM_RECEIVER = "term-receiver"
    KILL_POSTGRES = "kill-postgres"
    """Of the leader: Patroni there starts it again."""
    KILL_PATRONI = "kill-patroni"
    KILL_ETCD = "kill-etcd"
    KILL_BUCKET = "kill-bucket"
    CUT_BUCKET = "cut-bucket"
    KILL_STANDBY_NODE = "kill-standby-node"
    KILL_LEADER_NODE = "kill-leader-node"
    CUT_LEADER = "cut-leader"
    """Its network falls silent."""
    LOSE_STANDBY_NODE = "lose-standby-node"
    """Killed, and its disk is deleted."""
    LOSE_LEADER_NODE = "lose-leader-node"


FAILOVERS = (Kind.KILL_LEADER_NODE, Kind.CUT_LEADER, Kind.LOSE_LEADER_NODE)
"""After these another node leads."""
LOSSES = (Kind.LOSE_STANDBY_NODE, Kind.LOSE_LEADER_NODE)
OUTSIDE = (
    Kind.KILL_RECEIVER, Kind.KILL_INGEST, Kind.KILL_DESK, Kind.TERM_RECEIVER, Kind.KILL_BUCKET, Kind.CUT_BUCKET,
)  # fmt: skip
"""These leave PostgreSQL, Patroni and etcd alone."""
ALL = tuple(Kind)
JOURNAL = tuple(kind for kind in Kind if kind not in LOSSES)
"""Without those that delete a journal, which with ``acknowledge_after = "journal"`` holds what nobody else has."""

LONGEST_S = 2.0
LONGEST_PAUSE_S = 1.5


class Fault(Struct, frozen=True):
    """One fault."""

    kind: Kind
    target: int
    """The number of a node, where the kind does not choose it."""
    pause: float
    """Seconds of peace before it."""
    seconds: float
    """How long what was ended stays away."""


def plan(seed: int, kinds: Sequence[Kind], *, nodes: int) -> Iterator[Fault]:
    """Return faults, without an end."""
    rand = random.Random(f"{seed}/cell")  # noqa: S311 (a plan, no secret)
    while True:
        for kind in rand.sample(kinds, len(kinds)):
            yield Fault(
                kind,
                rand.randrange(nodes),
                rand.uniform(0.5, LONGEST_PAUSE_S),
                rand.uniform(0.5, LONGEST_S),
            )
