"""Receivers with images in a bucket: what a 200 means, and what happens while it is away. A real server for S3."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.bucket import BUCKET, SeaweedFS, seaweedfs
from tests.postgres import Postgres
from tests.receiver.kit import Running, alarm, base64, record, serving, until

from gatepost.receiver.ingest.commit.until_listed import PATIENCE_S
from gatepost.receiver.opening import open_store
from gatepost.settings import ReceiverSettings
from gatepost.store.images.bucket import Bucket

FACE = b"\xff\xd8" + bytes(range(256)) * 20 + b"\xff\xd9"


@pytest.fixture(scope="module")
def server() -> Iterator[SeaweedFS]:
    with seaweedfs() as server:
        yield server


@pytest.fixture
def url(server: SeaweedFS, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{request.node.name}"


@contextlib.asynccontextmanager
async def receiver_of(
    folder: Path, database: str, url: str, acknowledge_after: str = "journal"
) -> AsyncIterator[Running]:
    settings = ReceiverSettings(
        database=database,
        packs=url,
        acknowledge_after=acknowledge_after,  # type: ignore[arg-type]
    )
    folder.mkdir(exist_ok=True)
    with contextlib.closing(open_store(settings, folder)) as store:
        async with serving(store, settings, journal=folder / "journal") as receiver:
            yield receiver


async def test_what_was_acknowledged_is_whole_when_the_machine_is_lost_with_its_disk(
    tmp_path: Path, postgres_server: Postgres, url: str
) -> None:
    database = postgres_server.create_with_store()
    async with receiver_of(tmp_path / "a", database, url, "store") as receiver:
        pushes = [
            receiver.push(record(uuid=f"before-the-loss-{n}", rgb_image=base64(FACE + bytes([n]))))
            for n in range(10)
        ]
        replies = await asyncio.gather(*pushes, receiver.push(alarm(snapshot=base64(FACE))))
        assert {reply.status for reply in replies} == {200}
        assert list((tmp_path / "a" / "journal" / "packs").iterdir()) == []
        assert 2 <= len(Bucket(url).all()) <= 11
    shutil.rmtree(tmp_path / "a")
    async with receiver_of(tmp_path / "b", database, url) as other:
        found = other.records()
        assert len(found) == 10
        images = [(await other.get(f"/api/v1/records/{row.id}/image")).body for row in found]
        assert sorted(images) == [FACE + bytes([n]) for n in range(10)]


async def test_with_journal_pushes_are_taken_while_the_bucket_is_away_and_with_store_they_are_not(
    tmp_path: Path, server: SeaweedFS, postgres_server: Postgres, url: str
) -> None:
    database = postgres_server.create_with_store()
    async with (
        receiver_of(tmp_path / "a", database, url) as one,
        receiver_of(tmp_path / "b", database, url, "store") as two,
    ):
        with server.away():
            push = record(uuid="while-it-is-away", rgb_image=base64(FACE))
            assert (await one.push(push)).status == 200
            one.settle()
            (row,) = one.records()
            assert (await one.get(f"/api/v1/records/{row.id}/image")).body == FACE
            pushing = asyncio.create_task(two.push(record(uuid="not-yet-in-it", rgb_image=base64(FACE))))
            await until(lambda: two.ingest.group_commit.unanswered == 1 and two.desk.projector.is_away)
            two.clock.at += PATIENCE_S
            reply = await pushing
            assert (reply.status, reply.json["code"]) == (503, 503)
            assert [row.uuid for row in two.records()] == ["while-it-is-away"]
        await asyncio.to_thread(two.desk.projector.catch_up)
        found = {row.uuid: row.id for row in two.records()}
        assert found.keys() == {"while-it-is-away", "not-yet-in-it"}
        path = f"/api/v1/records/{found['not-yet-in-it']}/image"
        assert (await two.get(path)).body == (await one.get(path)).body == FACE


async def test_packs_that_wait_for_their_bucket_count_in_the_bound_of_the_journal(
    tmp_path: Path, server: SeaweedFS, url: str
) -> None:
    settings = ReceiverSettings(packs=url, journal_max_bytes=1_100_000)
    large = base64(bytes(range(256)) * 1200)
    with contextlib.closing(open_store(settings, tmp_path)) as store:
        async with serving(store, settings, journal=tmp_path / "journal") as receiver:
            replies = []
            with server.away():
                for n in range(8):
                    replies.append((await receiver.push(record(uuid=f"one-of-{n}", rgb_image=large))).status)
                    receiver.settle()
                    await _measured(receiver)
            taken = replies.count(200)
            assert 0 < taken < 8
            assert replies == [200] * taken + [503] * (8 - taken)
            assert len(receiver.records()) == taken
            receiver.ingest.group_commit.tend(finish=True)


async def _measured(receiver: Running) -> None:
    """Have the room looked at, as each second does."""
    group_commit = receiver.ingest.group_commit
    before = group_commit._space.measured_at
    receiver.clock.at += 1.0
    group_commit.tend()
    await until(lambda: group_commit._space.measured_at > before)
