"""The result of a run, for people and for programs.

JSON: ``{"seed", "seconds", "faults", "ok", "disks", "differences", "figures", "happened", "power_cuts"}``. ``disks``
tells whether full and read-only disks were ``real``, and if not ``why``. ``figures`` are the judge's counts.
``happened`` tells how often each fault was done (``kill-terminal``), met something (``met refuse``) or had a
consequence (``resends``). ``power_cuts`` has one entry per end.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from gatepost.cli_text import t
from gatepost.torture.judge import Judgement, PowerCuts
from gatepost.torture.system.disks import Disks

__all__ = ["Outcome", "as_json", "as_lines"]


class Outcome(Struct, frozen=True):
    """The result of a run."""

    seed: int
    seconds: float
    faults: int
    happened: dict[str, int]
    judgement: Judgement
    disks: Disks


def as_json(outcome: Outcome, power_cuts: Sequence[PowerCuts] = ()) -> bytes:
    """Return the result of a run and of power cuts as JSON."""
    value = {
        "seed": outcome.seed,
        "seconds": outcome.seconds,
        "faults": outcome.faults,
        "ok": outcome.judgement.ok and all(cut.ok for cut in power_cuts),
        "disks": {"real": outcome.disks.real, "why": outcome.disks.why},
        "differences": outcome.judgement.differences,
        "figures": outcome.judgement.figures,
        "happened": dict(sorted(outcome.happened.items())),
        "power_cuts": list(power_cuts),
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def as_lines(outcome: Outcome, power_cuts: Sequence[PowerCuts] = ()) -> list[str]:
    """Return the result of a run and of power cuts in a few lines, in the language of the environment."""
    pushes, again = outcome.happened.get("pushes", 0), outcome.happened.get("resends", 0)
    lines = [
        t(
            f"seed {outcome.seed}: {outcome.faults} faults in {outcome.seconds:g} s, "
            f"{pushes} pushes, {again} of them again",
            f"种子 {outcome.seed}：{outcome.seconds:g} 秒内 {outcome.faults} 次故障，"
            f"推送 {pushes} 次，其中重推 {again} 次",
        ),
        _disks(outcome.disks),
        "  ".join(f"{name} {count}" for name, count in outcome.judgement.figures.items()),
    ]
    lines += [
        t(
            f"{cut.end}: {cut.cuts} power cuts, {cut.survived} events that had to be there looked for",
            f"{cut.end}：{cut.cuts} 次断电，逐一查找必须存在的事件 {cut.survived} 条次",
        )
        for cut in power_cuts
    ]
    differences = list(outcome.judgement.differences)
    differences += [f"{cut.end}, {what}" for cut in power_cuts for what in cut.differences]
    lines += [t("DIFFERENCE: ", "差异：") + difference for difference in differences]
    lines.append(t("not as it should be", "结果不符") if differences else t("nothing was lost", "没有丢失"))
    return lines


def _disks(disks: Disks) -> str:
    if disks.real:
        return t(
            "full and read-only disks were real ones (tmpfs): ENOSPC, EROFS",
            "磁盘满与只读是真实的（tmpfs）：ENOSPC、EROFS",
        )
    return t(
        f"a limit on the process (RLIMIT_FSIZE, EFBIG) stood for full and read-only disks: {disks.why}",
        f"磁盘满与只读以进程限制（RLIMIT_FSIZE，EFBIG）代替：{disks.why}",
    )
