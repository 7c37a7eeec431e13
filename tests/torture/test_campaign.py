"""A run with real processes, and what it says of ends that have a defect. Whole runs: see test_commands."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gatepost.torture.campaign import Campaign, Settings
from gatepost.torture.fault_plan import LINE, PROCESSES, TRACKS, Kind
from gatepost.torture.report import Outcome, as_lines
from gatepost.torture.wanted import wanted

MUTANTS = Path(__file__).with_name("mutants.py")
KILLS = (Kind.KILL_TERMINAL, Kind.KILL_RECEIVER)


async def tortured(folder: Path, **settings: object) -> Outcome:
    return await Campaign(folder, Settings(**settings)).run()  # type: ignore[arg-type]


async def mutated(
    folder: Path, name: str, *, track: tuple[Kind, ...], times: int = 4, **more: int
) -> Outcome:
    """A short run until each kind of fault was done some times, however slow the machine is."""
    return await tortured(
        folder,
        seed=5,
        seconds=4.0,
        longer=240.0,
        terminals=1,
        rate=40.0,
        tracks=(track,),
        launcher=(sys.executable, str(MUTANTS), name),
        wanted={**dict.fromkeys(map(str, track), times), **more},
    )


@pytest.mark.timeout(480)
async def test_without_a_defect_the_run_that_finds_the_mutants_finds_nothing(tmp_path: Path) -> None:
    outcome = await mutated(tmp_path, "nothing", track=(*KILLS, Kind.IMPOSTOR, Kind.LOSE_REPLY), times=2)
    assert outcome.judgement.differences == ()
    assert {kind for kind in KILLS if outcome.happened[kind]} == set(KILLS)


@pytest.mark.timeout(480)
@pytest.mark.parametrize(
    ("name", "track", "said"),
    [
        ("terminal_answers_before_the_commit", (Kind.KILL_TERMINAL,), "accepted"),
        # In `make test` a power cut shows this one, see power_loss/test_run.py.
        pytest.param(
            "receiver_replies_before_the_sync", (Kind.KILL_RECEIVER,), "not stored", marks=pytest.mark.soak
        ),
        ("a_lost_connection_is_delivered", (Kind.DESTINATION_REFUSE,), "not passed on"),
        ("any_2xx_is_delivered", (Kind.IMPOSTOR,), "nowhere to be found"),
        ("receiver_forgets_what_it_knows", (Kind.LOSE_REPLY, Kind.DUPLICATE), "stored twice"),
    ],
)
async def test_a_defect_put_in_on_purpose_is_noticed(
    tmp_path: Path, name: str, track: tuple[Kind, ...], said: str
) -> None:
    outcome = await mutated(tmp_path, name, track=track)
    assert any(said in difference for difference in outcome.judgement.differences), as_lines(outcome)


@pytest.mark.timeout(480)
async def test_a_receiver_that_gives_no_refused_event_up_is_noticed(tmp_path: Path) -> None:
    name = "what_is_refused_is_never_given_up"
    outcome = await mutated(tmp_path, name, track=(Kind.DESTINATION_BUSY,), times=1, **{"refused always": 1})
    assert any("never given up" in found for found in outcome.judgement.differences), as_lines(outcome)


@pytest.mark.timeout(240)
async def test_a_run_in_which_nothing_happened_fails(tmp_path: Path) -> None:
    outcome = await tortured(tmp_path, seconds=0.0, terminals=1)
    assert not outcome.judgement.ok
    assert all("too little happened" in difference for difference in outcome.judgement.differences)


def test_everything_that_the_tracks_have_is_wanted() -> None:
    least = wanted(TRACKS)
    assert all(least[kind] == 1 for track in TRACKS for kind in track)
    assert {"resends", "duplicates recognised", "interruptions", "refused outbox-unavailable"} <= least.keys()
    assert "interruptions" not in wanted((LINE,))
    assert "resends" not in wanted((PROCESSES,))
    assert "EROFS" not in least
    assert {"ENOSPC", "EROFS", "refused to start", "met receiver-disk-full"} <= wanted(
        TRACKS, real=True
    ).keys()
    assert wanted((LINE,), real=True) == wanted((LINE,))


@pytest.mark.timeout(240)
async def test_an_interrupted_run_leaves_no_process_behind(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, Settings(seconds=600, terminals=1))
    running = asyncio.create_task(campaign.run())
    async with asyncio.timeout(180):
        while campaign.traffic.pushes == 0:  # noqa: ASYNC110 (a counter has no event)
            await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    assert not [command for command in commands if str(tmp_path).encode() in command]
