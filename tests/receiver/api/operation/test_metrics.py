from pathlib import Path

import pytest
from tests.receiver.kit import SUCCESS, Running, receiving, record, until

from gatepost.errors import StoreUnavailable


async def test_without_a_token_only_named_networks_may_read(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", metrics_networks=("10.0.0.0/8",)) as receiver:
        assert (await receiver.get("/metrics")).status == 401
        token = {"Authorization": f"Bearer {receiver.token}"}
        assert (await receiver.request("GET", "/metrics", headers=token)).status == 200
        forged = {"X-Forwarded-For": "10.1.1.1"}
        assert (await receiver.request("GET", "/metrics", headers=forged)).status == 401


async def test_who_comes_through_a_proxy_that_nobody_trusts_is_not_taken_for_the_proxy(
    receiver: Running, tmp_path: Path
) -> None:
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert (await receiver.request("GET", "/metrics", headers={name: "203.0.113.9"})).status == 401
    async with receiving(
        tmp_path / "behind", trusted_proxies=("127.0.0.1/32",), metrics_networks=("203.0.113.0/24",)
    ) as behind:
        assert (await behind.get("/metrics")).status == 401
        for address, status in (("203.0.113.9", 200), ("198.51.100.1", 401)):
            headers = {"X-Forwarded-For": address}
            assert (await behind.request("GET", "/metrics", headers=headers)).status == status


async def test_the_answer_is_what_prometheus_reads(receiver: Running) -> None:
    answer = await receiver.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE gatepost_events_accepted_total counter" in answer.body


async def test_while_the_store_is_away_its_numbers_are_left_out_and_those_of_the_journal_are_there(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    assert (await receiver.push(record())).json == SUCCESS
    receiver.settle()
    of_the_store = {b"gatepost_store_bytes", b"gatepost_terminals", b"gatepost_open_alarms"}
    with monkeypatch.context() as patch:
        patch.setattr(receiver.store, "terminals", away)
        body = (await receiver.get("/metrics")).body
        assert not any(name in body for name in of_the_store)
        assert b"\ngatepost_journal_events 0.0\n" in body
    with monkeypatch.context() as patch:
        patch.setattr(receiver.store, "write", away)
        assert (await receiver.push(record(uuid="u-2"))).json == SUCCESS
        await until(lambda: receiver.desk.projector.lag().is_away)
        patch.setattr(receiver.store, "sizes", lambda: pytest.fail("a store that hangs is not asked"))
        body = (await receiver.get("/metrics")).body
        assert not any(name in body for name in of_the_store)
        assert b"\ngatepost_journal_events 1.0\n" in body
    await until(lambda: not receiver.desk.projector.lag().is_away)
    body = (await receiver.get("/metrics")).body
    assert all(name in body for name in of_the_store)
