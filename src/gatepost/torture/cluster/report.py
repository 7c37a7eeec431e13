"""The outcome of a run on a cell, for people and for programs.

JSON: ``{"seed", "seconds", "acknowledge_after", "faults", "ok", "differences", "figures", "happened", "failovers_s",
"after_promotion_s"}``.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gatepost.cli_text import t
from gatepost.torture.cluster.cell import After
from gatepost.torture.judge import Judgement

__all__ = ["Outcome", "as_json", "as_lines"]


class Outcome(Struct, frozen=True, kw_only=True):
    """The outcome of a run."""

    seed: int
    seconds: float
    acknowledge_after: After
    happened: dict[str, int]
    failovers_s: list[float]
    """After how long pushes were acknowledged again, each time that another node had to lead."""
    after_promotion_s: list[float]
    """The part of each that came after the promotion of that node."""
    judgement: Judgement


def as_json(outcome: Outcome) -> bytes:
    """Write the outcome of a run as JSON."""
    value: Mapping[str, object] = {
        "seed": outcome.seed,
        "seconds": outcome.seconds,
        "acknowledge_after": outcome.acknowledge_after,
        "faults": sum(outcome.happened.values()),
        "ok": outcome.judgement.ok,
        "differences": outcome.judgement.differences,
        "figures": outcome.judgement.figures,
        "happened": outcome.happened,
        "failovers_s": outcome.failovers_s,
        "after_promotion_s": outcome.after_promotion_s,
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def as_lines(outcome: Outcome) -> list[str]:
    """Return the outcome of a run in a few lines, in the language of the person."""
    faults = sum(outcome.happened.values())
    lines = [
        t(
            f"seed {outcome.seed}: {faults} faults in {outcome.seconds:g} s, acknowledged after the "
            f"{outcome.acknowledge_after}",
            f"种子 {outcome.seed}：{outcome.seconds:g} 秒内 {faults} 次故障，"
            f"acknowledge_after = {outcome.acknowledge_after}",
        ),
        "  ".join(f"{name} {count}" for name, count in outcome.judgement.figures.items()),
    ]
    if outcome.failovers_s:
        longest = max(outcome.failovers_s)
        lines.append(
            t(
                f"another node had to lead {len(outcome.failovers_s)} times; pushes were acknowledged again after "
                f"{longest:g} s at most, {max(outcome.after_promotion_s):g} s after its promotion",
                f"主库切换 {len(outcome.failovers_s)} 次；最长 {longest:g} 秒后恢复确认，其中新主库就任后最长 "
                f"{max(outcome.after_promotion_s):g} 秒",
            )
        )
    lines += [t("DIFFERENCE: ", "差异：") + one for one in outcome.judgement.differences]
    lines.append(
        t("nothing was lost", "没有丢失") if outcome.judgement.ok else t("not as it should be", "结果不符")
    )
    return lines
