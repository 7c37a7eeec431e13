"""Power cuts at either end: nothing that was said to be safe is gone; and defects put in on purpose are noticed."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatepost.conformance.torture import blackout
from gatepost.conformance.torture.judge import Blackout
from gatepost.conformance.torture.lossy import Connection
from gatepost.store.images import DayFiles
from gatepost.store.sqlite import SqliteStore
from gatepost.terminal.outbox.outbox import Outbox

ENDS = {"terminal": blackout.terminal, "receiver": blackout.receiver}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("end", ENDS)
def test_nothing_that_was_safe_is_gone_after_a_power_cut(tmp_path: Path, end: str) -> None:
    found = ENDS[end](tmp_path, seed=1, cuts=250)
    assert found.differences == ()
    assert (found.cuts, found.events) == (250, 120)
    assert found.syncs > 50
    assert found.survived > 250 * 20


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


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("defect", [syncs_less, syncs_nothing])
def test_synchronous_normal_or_off_is_noticed(
    tmp_path: Path, end: str, defect: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "rewrite", staticmethod(defect))
    found = ENDS[end](tmp_path, seed=1, cuts=60)
    assert not found.ok
    assert defect is syncs_nothing or _noticed(found)


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
    assert _noticed(blackout.terminal(tmp_path, seed=1, cuts=60))


def test_a_receiver_that_commits_events_before_their_images_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images are written when the events are committed already."""
    true_add, true_write = DayFiles.add, SqliteStore.write
    held: list[Any] = []

    def write(self: SqliteStore, batch: Any) -> Any:
        stored = true_write(self, batch)
        for files, rows in held:
            true_add(files, rows)
        held.clear()
        return stored

    monkeypatch.setattr(DayFiles, "add", lambda files, rows: held.append((files, rows)))
    monkeypatch.setattr(SqliteStore, "write", write)
    found = blackout.receiver(tmp_path, seed=1, cuts=60)
    assert any("has another image" in difference for difference in found.differences)


def test_a_receiver_that_answers_before_the_commit_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is only committed with the next one."""
    true = SqliteStore.write
    held: list[Any] = []

    def write(self: SqliteStore, batch: Any) -> Any:
        late, held[:] = list(held), batch
        return true(self, late) if late else []

    monkeypatch.setattr(SqliteStore, "write", write)
    assert _noticed(blackout.receiver(tmp_path, seed=1, cuts=60))


def _noticed(found: Blackout) -> bool:
    return any("not there" in difference for difference in found.differences)
