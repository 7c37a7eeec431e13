"""A cell with a node that dies: nothing that was recorded is lost, listed twice or changed.

PostgreSQL, Patroni, etcd and SeaweedFS are real ones. How long a failover takes is only judged at full length, on a
machine that does nothing else.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.torture.cluster.kit import PATH

from gatepost.process_tree import members
from gatepost.torture.cluster.campaign import Campaign, Settings
from gatepost.torture.cluster.fault_plan import ALL, JOURNAL, Kind
from gatepost.torture.cluster.report import as_lines
from gatepost.torture.cluster.servers.database import NODES, SHARED_MEMORY_LINE
from gatepost.torture.cluster.servers.programs import find

GATEPOST = Path(sys.executable).with_name("gatepost")
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name of its own is made in it


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory if there is such a thing: no test cuts the power, and each sync of a disk takes a while."""
    with tempfile.TemporaryDirectory(
        prefix="gatepost-cell-", dir=MEMORY if MEMORY.is_dir() else None
    ) as made:
        yield Path(made)


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("cell")
async def test_the_leaders_node_dies_with_its_disk_and_nothing_is_lost(folder: Path) -> None:
    settings = Settings(
        programs=find(PATH), seed=3, seconds=0.0, kinds=[Kind.LOSE_LEADER_NODE], terminals=2, rate=4.0
    )
    outcome = await Campaign(folder, settings).run()
    assert outcome.judgement.ok, as_lines(outcome)
    figures = outcome.judgement.figures
    assert figures["issued"] == figures["listed"] > 20
    assert figures["images"] > 5
    assert len(outcome.failovers_s) == len(outcome.after_promotion_s) == 1
    processes = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in members(os.getpid())[1:]]
    assert not [command for command in processes if str(folder).encode() in command]
    killed = [path.read_text("ascii") for path in folder.glob("node-*/postgres/postmaster.pid")]
    segments = {text.splitlines()[SHARED_MEMORY_LINE].split()[1] for text in killed}
    left = {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text("ascii").splitlines()}
    assert len(segments) == NODES
    assert not segments & left


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize(("after", "kinds"), [("store", ALL), ("journal", JOURNAL)])
def test_over_twenty_faults_of_each_kind_lose_double_and_change_nothing(
    folder: Path, after: str, kinds: tuple[Kind, ...]
) -> None:
    report = folder / "report.json"
    done = subprocess.run(
        [
            GATEPOST, "torture", "--cluster", "--seed", "1", "--minutes", "1", "--times", "21",
            "--acknowledge-after", after, "--report", report, "--data", folder / "data",
        ],
        env={**os.environ, "GATEPOST_LANG": "en", "PATH": PATH}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.exists(), done.stderr
    value = json.loads(report.read_text(encoding="utf-8"))
    assert value["differences"] == []
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "nothing was lost")
    assert value["happened"] == dict.fromkeys(map(str, sorted(kinds)), 21)
    assert value["figures"]["listed"] == value["figures"]["issued"]
