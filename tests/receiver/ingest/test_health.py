import errno

import pytest
from tests.receiver.kit import SUCCESS, Running, record, until

from gatepost.errors import StoreUnavailable
from gatepost.journal.streams import Backlog


async def test_a_process_that_runs_says_so_to_anybody(receiver: Running) -> None:
    sender = await receiver.connect()
    for path in ("/healthz", "/readyz"):
        answer = await sender.request("GET", path)
        assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_without_its_store_it_takes_pushes_and_says_how_many_it_does_not_list(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await receiver.push(record())).json == SUCCESS
    receiver.settle()

    def away(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(receiver.store, "write", away)
        for number in range(3):
            assert (await receiver.push(record(uuid=f"u-{number}"))).json == SUCCESS
        await until(lambda: receiver.ingest.listed.is_away)
        answer = await receiver.get("/readyz")
        assert (answer.status, answer.json) == (200, {"status": "store away, 3 events behind"})
    await until(lambda: not receiver.ingest.listed.is_away)
    assert (await receiver.get("/readyz")).json == {"status": "ok"}
    assert len(receiver.records()) == 4


async def test_where_the_journal_cannot_be_written_it_is_not_ready_until_it_can(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await receiver.push(record())).json == SUCCESS
    files = receiver.ingest._journal.files

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", full)
        answer = await receiver.push(record(uuid="u-2"))
        assert (answer.status, answer.json["code"]) == (503, 503)
        assert answer.json["message"] == "the receiver cannot store events now; send it again later"
        answer = await receiver.get("/readyz")
        assert answer.status == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await receiver.get("/healthz")).status == 200
    await until(lambda: not receiver.ingest.group_commit.is_failing)  # without a push: it is tried by itself
    assert (await receiver.get("/readyz")).json == {"status": "ok"}
    assert (await receiver.push(record(uuid="u-2"))).json == SUCCESS
    assert len(receiver.records()) == 2


async def test_where_the_journal_is_full_it_is_not_ready_and_takes_nothing(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = receiver.ingest._journal
    with monkeypatch.context() as patch:
        patch.setattr(folder, "backlog", lambda positions: Backlog(1, 1 << 60))
        await until(lambda: receiver.ingest.group_commit.is_full)
        sender = await receiver.connect()
        answer = await sender.request("GET", "/readyz")
        assert (answer.status, "journal_max_bytes" in answer.json["detail"]) == (503, True)
        assert (await receiver.push(record())).status == 503
    await until(lambda: not receiver.ingest.group_commit.is_full)
    assert (await receiver.push(record())).json == SUCCESS
