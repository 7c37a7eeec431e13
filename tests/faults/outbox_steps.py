"""A program for the tests: works on an outbox in children of its own, and kills one at each call to the disk.

What waits for long, what is delivered and what is new lie in the same segments, and there are more bytes than allowed.
So holes, indexes, the state and the mark of deletions are written, and segments deleted, one after the other.
Prints what was found, as JSON: how many calls there were, how many were holes, and what was wrong.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import structlog
from tests.journal.steps import KillingFiles
from tests.terminal.outbox_kit import SUBSCRIPTION, Clock, record

from gatepost.journal.files import Files
from gatepost.retry import Done, RetryAt
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.contents import Contents
from gatepost.terminal.outbox.outbox import State
from gatepost.terminal.outbox.reader import View
from gatepost.terminal.outbox.types import NewEvent

SETTINGS = TerminalSettings(capacity_bytes=200_000, history_events=3)
ROUNDS, NEW, STUCK = 6, 6, 5
"""Rounds of a child, new events of each, and every which one the receiver refuses for long."""
IMAGE = bytes(range(250)) * 25


class CountingFiles(KillingFiles):
    """The disk that kills, and how many holes it has made."""

    holes = 0

    def punch(self, handle: int, offset: int, size: int) -> None:
        super().punch(handle, offset, size)
        self.holes += 1


def open_in(path: Path, files: Files) -> Contents:
    return Contents(path, settings=SETTINGS, files=files, now=Clock())


def put(contents: Contents, count: int) -> list[int]:
    first = contents.status().accepted
    events = [NewEvent.of(record(first + number, image=IMAGE)) for number in range(count)]
    (numbers,) = contents.put([events])
    assert isinstance(numbers, list)
    contents.flush()
    contents.tidy()
    return numbers


def prepare(path: Path) -> None:
    path.mkdir(parents=True)
    contents = open_in(path, Files())
    contents.subscribe(SUBSCRIPTION)
    put(contents, 24)
    contents.close()


def work(path: Path, told: int, fatal: int) -> None:
    """Deliver and record by turns, and tell each step when it is done."""
    files = CountingFiles(fatal)
    contents = open_in(path, files)
    for _ in range(ROUNDS):
        claimed, _ = contents.claim(8, Clock()())
        contents.settle(
            [
                (event.id, RetryAt(3e9, reason="code 500") if event.id % STUCK == 0 else Done())
                for event in claimed
            ]
        )
        contents.flush()
        tell(told, "delivered", *(event.id for event in claimed if event.id % STUCK))
        contents.tidy()
        tell(told, "accepted", *put(contents, NEW))
    contents.close()
    tell(told, "holes", files.holes)


def tell(told: int, what: str, *numbers: int) -> None:
    os.write(told, json.dumps([what, numbers]).encode() + b"\n")


def look(path: Path, fatal: int) -> tuple[bool, int, list[str]]:
    """Return whether the child was killed, the holes that it made, and what is wrong afterwards."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        work(path, writing, fatal)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        said: defaultdict[str, list[int]] = defaultdict(list)
        for what, numbers in map(json.loads, lines):
            said[what] += numbers
    _, status = os.waitpid(child, 0)
    was_killed = os.WIFSIGNALED(status)
    wrong = [] if was_killed or not status else [f"it ended with {status}"]
    contents = open_in(path, Files())
    found, (segments, looks) = contents.status(), contents.copy()
    contents.close()
    if found.accepted != found.delivered + found.pending + found.dead + found.dropped:
        wrong.append("the ledger does not add up")
    if found.dropped:
        wrong.append(f"{found.dropped} are dropped")
    if aside := [file.name for file in path.glob("damaged-*")]:
        wrong.append(f"these are set aside: {aside}")
    waiting = {event.id: event.image for event in View(segments, looks)._some((State.PENDING,), 0, 1000)}
    accepted = {*range(1, 25), *said["accepted"]}
    if lost := {number for number in accepted if number % STUCK == 0} - waiting.keys():
        wrong.append(f"these wait, and are not there: {lost}")
    if again := waiting.keys() & set(said["delivered"]):
        wrong.append(f"these were delivered, and wait: {again}")
    if len(waiting) != found.pending or set(waiting.values()) - {IMAGE}:
        wrong.append("not everything that waits can be read")
    if contents.subscription != SUBSCRIPTION:
        wrong.append("the address is lost")
    return was_killed, sum(said["holes"]), wrong


def main() -> None:
    """Kill at the first call, the second one, and so on until the work comes to its end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    root = Path(sys.argv[1])
    prepare(root / "prepared" / "outbox")
    found: list[str] = []
    fatal = 1
    while True:
        path = root / "work"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(root / "prepared", path)
        was_killed, holes, wrong = look(path / "outbox", fatal)
        found += [f"killed at call {fatal}: {what}" for what in wrong]
        if not was_killed:
            break
        fatal += 1
    print(json.dumps({"calls": fatal, "holes": holes, "wrong": found}))  # noqa: T201 (that is what it is for)


if __name__ == "__main__":
    main()
