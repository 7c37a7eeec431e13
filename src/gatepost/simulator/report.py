"""The result of a simulated fleet, for the summary, for `--report FILE` and for benchmarks.

Times are in milliseconds, rates in events per second. `recorded = acknowledged + backlog + dead + dropped`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from gatepost.simulator.meter import Meter


class ReplyTimes(Struct, frozen=True, kw_only=True):
    """How long the receiver took to acknowledge, in milliseconds."""

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class FaultReport(Struct, frozen=True, kw_only=True):
    """How many events of one class of dialect faults were sent, and how many were acknowledged."""

    sent: int
    acknowledged: int


class TerminalReport(Struct, frozen=True, kw_only=True):
    """The counts of one terminal; see `gatepost.simulator.meter.Count`."""

    serial: str
    place: str
    firmware: str
    recorded: int
    acknowledged: int
    again: int
    backlog: int
    dead: int
    dropped: int
    attempts: int
    refused: int
    unanswered: int


class Report(Struct, frozen=True, kw_only=True):
    """The result of one run."""

    url: str
    engine: str
    seed: int
    terminals: int
    seconds: float
    recorded: int
    acknowledged: int
    again: int
    """Recorded events that are the same a second time. The receiver should list `acknowledged - again` events."""
    backlog: int
    dead: int
    dropped: int
    unheard: int
    attempts: int
    refused: int
    unanswered: int
    rate: float
    answers: ReplyTimes
    errors: dict[str, int]
    dialect_faults: dict[str, FaultReport]
    """Reports by class; empty without `--dialect-faults`."""
    by_terminal: tuple[TerminalReport, ...]

    @property
    def complete(self) -> bool:
        """Return whether something was acknowledged, and all that was recorded."""
        return self.recorded == self.acknowledged > 0

    def write(self, file: Path) -> None:
        """Write it as JSON, indented, in UTF-8."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def make_report(meter: Meter, *, url: str, engine: str, seed: int, seconds: float) -> Report:
    """Return the report on what `meter` counted in `seconds`."""
    counts, latency = meter.counts, meter.latency
    return Report(
        url=url,
        engine=engine,
        seed=seed,
        terminals=len(counts),
        seconds=round(seconds, 3),
        recorded=meter.recorded,
        acknowledged=meter.acknowledged,
        again=sum(count.again for count in counts),
        backlog=meter.backlog,
        dead=sum(count.dead for count in counts),
        dropped=sum(count.dropped for count in counts),
        unheard=sum(count.unheard for count in counts),
        attempts=sum(count.attempts for count in counts),
        refused=sum(count.refused for count in counts),
        unanswered=sum(count.unanswered for count in counts),
        rate=round(meter.acknowledged / seconds, 1),
        answers=ReplyTimes(
            count=latency.count,
            mean_ms=_milliseconds(latency.total / latency.count if latency.count else 0.0),
            p50_ms=_milliseconds(latency.percentile(0.50)),
            p95_ms=_milliseconds(latency.percentile(0.95)),
            p99_ms=_milliseconds(latency.percentile(0.99)),
            max_ms=_milliseconds(latency.longest),
        ),
        errors=dict(meter.errors.most_common()),
        dialect_faults={
            name: FaultReport(sent=found.sent, acknowledged=found.acknowledged)
            for name, found in sorted(meter.faults.items())
        },
        by_terminal=tuple(
            TerminalReport(
                serial=count.serial,
                place=count.place,
                firmware=count.firmware,
                recorded=count.recorded,
                acknowledged=count.acknowledged,
                again=count.again,
                backlog=count.backlog,
                dead=count.dead,
                dropped=count.dropped,
                attempts=count.attempts,
                refused=count.refused,
                unanswered=count.unanswered,
            )
            for count in counts
        ),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
