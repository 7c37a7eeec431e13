"""Watching a backlog leave: how many pushes the receiver has answered, from the first to the last."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.programs import BenchmarkError, Program

POLL_SECONDS = 0.02
FIRST_SECONDS = 30.0


@dataclass(frozen=True)
class Drain:
    """What was seen: pushes, pushes a second between the first and the last, seconds until the first, memory, cores."""

    pushed: int
    rate: float
    first_s: float
    peak_mb: float
    cores: float


def watch(
    answered: Callable[[], int],
    program: Program,
    *,
    before: int,
    began: float,
    stop_at: int,
    seconds: float,
) -> Drain:
    """Follow a program that drains until `stop_at` pushes were answered, or for `seconds` after the first one.

    `before`: what `answered()` said before the program was started, which was at `began` (`time.monotonic`).
    Raises BenchmarkError when it ends or has pushed nothing after `FIRST_SECONDS`.
    """
    first = _until_first(answered, program, before)
    first_at = last_at = time.monotonic()
    cpu = program.cpu_seconds()
    last = first
    while last - before < stop_at and time.monotonic() < first_at + seconds:
        time.sleep(POLL_SECONDS)
        now = answered()
        if now != last:
            last, last_at = now, time.monotonic()
    spent = max(last_at - first_at, POLL_SECONDS)
    return Drain(
        pushed=last - before,
        rate=(last - first) / spent,
        first_s=first_at - began,
        peak_mb=program.peak_mb(),
        cores=(program.cpu_seconds() - cpu) / spent,
    )


def _until_first(answered: Callable[[], int], program: Program, before: int) -> int:
    end = time.monotonic() + FIRST_SECONDS
    while time.monotonic() < end and program.process.poll() is None:
        if (now := answered()) != before:
            return now
        time.sleep(POLL_SECONDS / 4)
    raise BenchmarkError(f"{program.name} pushed nothing in {FIRST_SECONDS:g} s:\n{program.tail()}")
