from pathlib import Path

import pytest
from tests.receiver.kit import Running, receiving

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


async def test_a_store_that_is_away_is_no_numbers_and_no_zeros(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(receiver.store, "terminals", away)
    answer = await receiver.get("/metrics")
    assert answer.status == 503
    assert b"gatepost_" not in answer.body
