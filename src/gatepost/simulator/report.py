"""What a simulated fleet did, as one value: for the summary, for `--report FILE`, for whoever measures with it.

Times are in milliseconds, rates in events a second. `recorded = acknowledged + backlog + dead + dropped`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from gatepost.simulator.meter import Meter


class Answers(Struct, frozen=True, kw_only=True):
    """How long the receiver took to acknowledge, in milliseconds."""

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class FaultReport(Struct, frozen=True, kw_only=True):
    """How many events of one class of dialect faults were sent, and how many of these were acknowledged."""

    sent: int
    acknowledged: int


class TerminalReport(Struct, frozen=True, kw_only=True):
    """One terminal's tally; see `gatepost.simulator.meter.Count`."""

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
    """One run."""

    url: str
    engine: str
    seed: int
    terminals: int
    seconds: float
    recorded: int
    acknowledged: int
    again: int
    """Of the recorded: the same event a second time. The receiver should hold `acknowledged - again` of this run."""
    backlog: int
    dead: int
    dropped: int
    unheard: int
    attempts: int
    refused: int
    unanswered: int
    rate: float
    answers: Answers
    errors: dict[str, int]
    dialect_faults: dict[str, FaultReport]
    """By class; empty without `--dialect-faults`."""
    by_terminal: tuple[TerminalReport, ...]

    @property
    def complete(self) -> bool:
        """Return whether something was acknowledged, and everything that was recorded was."""
        return self.recorded == self.acknowledged > 0

    def write(self, file: Path) -> None:
        """Write it as JSON, indented, UTF-8."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def make_report(meter: Meter, *, url: str, engine: str, seed: int, seconds: float) -> Report:
    """Sum up what `meter` counted in `seconds`."""
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
        answers=Answers(
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
