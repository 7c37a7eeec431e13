"""``gatepost torture``: run it, cut the power, print the result. Exit code 1 on any difference.

Rules: the result goes to standard output, progress to standard error if that is a terminal. Modules of the ends are
imported when the command runs.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gatepost.cli_text import how_to_install, t
from gatepost.conformance.signals import until_told
from gatepost.errors import GatepostError
from gatepost.torture import options
from gatepost.torture.options import AcknowledgeAfter, DiskChoice

if TYPE_CHECKING:
    from gatepost.torture.campaign import Settings
    from gatepost.torture.judge import PowerCuts
    from gatepost.torture.report import Outcome
    from gatepost.torture.system.disks import Disks

__all__ = ["register"]

TORTURE = t(
    "Run a receiver and terminals as processes under every kind of fault, then compare. Exit code 1 on any "
    "difference, or if too little happened.",
    "以真实进程运行接收端与终端，制造各种故障，然后核对数量；有任何差异或故障不足时退出码为 1。",
)


class NotEmpty(GatepostError):
    """The folder for a run is not empty."""


class NoRealDisk(GatepostError):
    """``--disks real`` was given, and this machine allows no mounts."""


class NotForCluster(GatepostError):
    """The option does not apply to ``--cluster``."""


class NeedsApsw(GatepostError):
    """Power cuts need a package that is not installed."""


def torture(
    seed: options.Seed = 1,
    minutes: options.Minutes = 10.0,
    report: options.ReportFile = None,
    terminals: options.Terminals = 3,
    rate: options.Rate = 15.0,
    power_cuts: options.PowerCuts = 0,
    disks: options.DisksOption = DiskChoice.AUTO,
    cluster: options.Cluster = False,
    acknowledge_after: options.AcknowledgeAfterOption = AcknowledgeAfter.STORE,
    times: options.Times = 1,
    data: options.Data = None,
) -> None:
    """Run both ends under faults, then compare."""
    if data is not None and data.exists() and any(data.iterdir()):
        raise NotEmpty(f"{data} is not empty; give --data an empty folder, or one that does not exist")
    if cluster:
        if power_cuts:
            raise NotForCluster("--power-cuts is not for --cluster; run it without")
        with _folder(data) as folder:
            _on_a_cell(
                folder / "run", report, seed=seed, minutes=minutes, times=times,
                terminals=terminals, rate=rate, after=acknowledge_after,
            )  # fmt: skip
        return
    from gatepost.torture.campaign import Settings
    from gatepost.torture.report import as_json, as_lines

    settings = Settings(
        seed=seed, seconds=minutes * 60, terminals=terminals, rate=rate, keep=data is not None,
        disks=_chosen(disks, seconds=minutes * 60, terminals=terminals, rate=rate),
    )  # fmt: skip
    with _folder(data) as folder:
        outcome = asyncio.run(until_told(_campaign(folder / "run", settings)))
        power_cut_results = _power_cuts(folder, seed=seed, cuts=power_cuts) if power_cuts else []
    if report is not None:
        report.write_bytes(as_json(outcome, power_cut_results))
    for line in as_lines(outcome, power_cut_results):
        typer.echo(line)
    if not (outcome.judgement.ok and all(cut.ok for cut in power_cut_results)):
        raise typer.Exit(1)


def _on_a_cell(
    folder: Path,
    report: Path | None,
    *,
    seed: int,
    minutes: float,
    times: int,
    terminals: int,
    rate: float,
    after: AcknowledgeAfter,
) -> None:
    from gatepost.torture.cluster.campaign import Campaign, Settings
    from gatepost.torture.cluster.judge import AGAIN_S
    from gatepost.torture.cluster.report import as_json, as_lines
    from gatepost.torture.cluster.servers import programs

    settings = Settings(
        programs=programs.find(os.environ.get("PATH", "")), seed=seed, seconds=minutes * 60, times=times,
        terminals=terminals, rate=rate, after=after.value, again_s=AGAIN_S if after is AcknowledgeAfter.STORE else None,
    )  # fmt: skip
    folder.mkdir(parents=True)
    outcome = asyncio.run(until_told(Campaign(folder, settings, say=_told).run()))
    if report is not None:
        report.write_bytes(as_json(outcome))
    for line in as_lines(outcome):
        typer.echo(line)
    if not outcome.judgement.ok:
        raise typer.Exit(1)


def _chosen(choice: DiskChoice, *, seconds: float, terminals: int, rate: float) -> "Disks":
    from gatepost.torture.system import disks

    if choice is DiskChoice.LIMIT:
        return disks.Disks(False, why=t("asked for", "按要求"))
    chosen = disks.enter(disks.room(seconds=seconds, terminals=terminals, rate=rate))
    if choice is DiskChoice.REAL and not chosen.real:
        raise NoRealDisk(f"no disk can be mounted here: {chosen.why}; --disks limit does without")
    return chosen


async def _campaign(folder: Path, settings: "Settings") -> "Outcome":
    from gatepost.torture.campaign import Campaign

    return await Campaign(folder, settings, say=_told).run()


def _told(what: str) -> None:
    if sys.stderr.isatty():
        typer.echo(what, err=True)


def _power_cuts(folder: Path, *, seed: int, cuts: int) -> "list[PowerCuts]":
    try:
        from gatepost.torture.power_loss import run
    except ModuleNotFoundError as error:
        if error.name != "apsw":
            raise
        fix = how_to_install("all")
        raise NeedsApsw(
            t(
                f"--power-cuts needs apsw, which is not installed: {fix}",
                f"--power-cuts 需要 apsw，但尚未安装：{fix}",
            )
        ) from None
    return [
        run.terminal(folder / "power-terminal", seed=seed, cuts=cuts),
        run.receiver(folder / "power-receiver", seed=seed, cuts=cuts),
    ]


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="gatepost-torture-") as folder:
        yield Path(folder)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("torture", help=TORTURE)(torture)
