import pytest
from tests.receiver.kit import Running

from gatepost.errors import StoreCorrupt, StoreUnavailable


async def test_a_process_that_runs_says_so_to_anybody(receiver: Running) -> None:
    sender = await receiver.connect()
    for path in ("/healthz", "/readyz"):
        answer = await sender.request("GET", path)
        assert (answer.status, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("error", [StoreUnavailable("the disk is full"), StoreCorrupt("the disk is full")])
async def test_without_its_store_it_is_alive_and_not_ready(
    receiver: Running, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def away() -> None:
        raise error

    monkeypatch.setattr(receiver.store, "peers", away)
    answer = await receiver.get("/readyz")
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await receiver.get("/healthz")).status == 200
    monkeypatch.undo()
    assert (await receiver.get("/readyz")).status == 200
