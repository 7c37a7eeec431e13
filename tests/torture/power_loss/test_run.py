"""Power cuts at either end: nothing that was said to be safe is gone; and defects put in on purpose are noticed."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.torture import mutants

from gatepost.terminal.outbox.outbox import Outbox
from gatepost.torture.judge import PowerCuts
from gatepost.torture.power_loss import run
from gatepost.torture.power_loss.sqlite_vfs import Connection, RecordingFiles

ENDS = {"terminal": run.terminal, "receiver": run.receiver}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("end", ENDS)
def test_nothing_that_was_safe_is_gone_after_a_power_cut(tmp_path: Path, end: str) -> None:
    found = ENDS[end](tmp_path, seed=1, cuts=100)
    assert found.differences == ()
    assert (found.cuts, found.events) == (100, 120)
    assert found.syncs > 50
    assert found.survived > 100 * 20


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_of_them(tmp_path: Path, end: str, seed: int) -> None:
    found = ENDS[end](tmp_path, seed=seed, cuts=1000, events=240)
    assert found.differences == ()


# -- defects put in on purpose


def syncs_less(sql: str) -> str:
    """``synchronous=NORMAL``, and a lie to whoever asks."""
    if re.fullmatch(r"PRAGMA synchronous", sql):
        return "SELECT 2"
    return sql.replace("synchronous = FULL", "synchronous = NORMAL")


def syncs_nothing(sql: str) -> str:
    """``synchronous=OFF``, and a lie to whoever asks."""
    return syncs_less(sql).replace("synchronous = NORMAL", "synchronous = OFF")


@pytest.mark.parametrize("defect", [syncs_less, syncs_nothing])
def test_synchronous_normal_or_off_is_noticed(
    tmp_path: Path, defect: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "rewrite", staticmethod(defect))
    found = run.receiver(tmp_path, seed=1, cuts=30)
    assert not found.ok
    assert defect is syncs_nothing or _noticed(found)


@pytest.mark.parametrize("what", ["sync", "sync_all", "sync_folder"])
def test_a_terminal_that_does_not_sync_is_noticed(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordingFiles, what, lambda self, path: None)
    assert _noticed(run.terminal(tmp_path, seed=1, cuts=60))


def test_a_terminal_that_answers_before_the_commit_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Outbox.put
    running = set()

    async def put(self: Outbox, event: Any) -> int:
        storing = asyncio.ensure_future(true(self, event))
        running.add(storing)
        return 1

    async def close(self: Outbox) -> None:
        await asyncio.gather(*(storing for storing in running if not storing.done()))
        await true_close(self)

    true_close = Outbox.close
    monkeypatch.setattr(Outbox, "put", put)
    monkeypatch.setattr(Outbox, "close", close)
    assert _noticed(run.terminal(tmp_path, seed=1, cuts=60))


@pytest.mark.parametrize(
    ("mutant", "cuts", "said"),
    [
        (mutants.receiver_replies_before_the_sync, 20, "not there"),
        (mutants.positions_before_the_rows, 20, "not there"),
        (mutants.rows_before_the_positions, 20, "counted as a duplicate, and pushed once"),
        (mutants.images_are_not_synced, 20, "has another image"),
        (mutants.damage_stops_the_reader, 90, "not listed to its end"),
        (mutants.damage_ends_the_segment, 90, "not there"),
        (mutants.writers_share_a_segment, 20, "not there"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_defect_of_the_receiver_is_noticed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mutant: Callable[[mutants.Put], None],
    cuts: int,
    said: str,
) -> None:
    """So many cuts that some ten of them, at least, show it."""
    monkeypatch.setattr(mutants, "GATHERS_S", 0.0)
    mutant(monkeypatch.setattr)
    found = run.receiver(tmp_path, seed=1, cuts=cuts)
    assert any(said in difference for difference in found.differences)


def _noticed(found: PowerCuts) -> bool:
    return any("not there" in difference for difference in found.differences)
