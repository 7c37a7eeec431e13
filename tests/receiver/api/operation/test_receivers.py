"""Receivers that share a database: what each tells of the others."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.console.kit import Desk
from tests.receiver.api.roles import least_role
from tests.receiver.kit import Running, receiving, record, serving

from gatepost.console.routes import routes
from gatepost.settings import ReceiverSettings
from gatepost.store.postgres.store import PostgresStore

LONG_AGO_MS = 60_000
GONE = b"\x07" * 16


@asynccontextmanager
async def receiver(url: str) -> AsyncIterator[Running]:
    store = PostgresStore.open(url)
    try:
        async with serving(store, ReceiverSettings(database=url), pages=routes) as running:
            yield running
    finally:
        store.close()


def is_silent(running: Running, *, events: int) -> None:
    """Have a receiver in the database that was killed a minute ago."""
    now_ms = int(time.time() * 1000) - LONG_AGO_MS
    running.store.note_receiver(GONE, host="gate-7", events=events, now_ms=now_ms)


async def test_receivers_of_one_database_know_of_each_other_and_one_that_listed_all_is_forgotten(
    postgres_store_url: str,
) -> None:
    async with AsyncExitStack() as stack, receiver(postgres_store_url) as first:
        second = await stack.enter_async_context(receiver(postgres_store_url))
        await second.push(record())
        items = (await first.get("/api/v1/receivers")).json["items"]
        assert len({item["id"] for item in items}) == 2
        assert [(item["events"], item["silent"]) for item in items] == [(0, False)] * 2
        await stack.aclose()
        (left,) = (await first.get("/api/v1/receivers")).json["items"]
        assert left["id"] == first.desk._journal.id.hex()
        assert len((await first.get("/api/v1/records")).json["items"]) == 1


async def test_a_silent_receiver_with_unread_events_is_told_everywhere_until_it_is_forgotten(
    postgres_store_url: str,
) -> None:
    async with receiver(postgres_store_url) as running:
        is_silent(running, events=1234)
        (gone,) = [item for item in (await running.get("/api/v1/receivers")).json["items"] if item["silent"]]
        assert (gone["id"], gone["host"], gone["events"]) == (GONE.hex(), "gate-7", 1234)
        assert "\ngatepost_receivers_silent 1.0\n" in (await running.get("/metrics")).body.decode()
        desk = await Desk.made(running)
        page = (await desk.get("/records")).words
        assert "Receiver gate-7 has been silent for 1 min" in page
        assert "1,234 events" in page
        assert (await running.request("DELETE", f"/api/v1/receivers/{GONE.hex()}")).status == 204
        assert (await running.request("DELETE", f"/api/v1/receivers/{GONE.hex()}")).status == 404
        assert (await running.request("DELETE", "/api/v1/receivers/none")).status == 404
        assert not [item for item in (await running.get("/api/v1/receivers")).json["items"] if item["silent"]]
        (noted, *_) = (await running.get("/api/v1/audit?action=receiver.forgotten")).json["items"]
        assert noted["subject"] == GONE.hex()


async def test_who_is_not_logged_in_is_told_of_no_receiver(postgres_store_url: str) -> None:
    async with receiver(postgres_store_url) as running:
        is_silent(running, events=1)
        sender = await running.connect()
        await sender.write(b"GET /login HTTP/1.1\r\nHost: receiver\r\n\r\n")
        assert b"gate-7" not in (await sender.answer()).body


async def test_a_receiver_on_sqlite_is_alone(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data") as running:
        assert (await running.get("/api/v1/receivers")).json["items"] == []


async def test_everybody_reads_and_an_administrator_forgets(postgres_store_url: str) -> None:
    async with receiver(postgres_store_url) as running:
        assert await least_role(running, "GET", "receivers") == "viewer"
        is_silent(running, events=0)
        assert await least_role(running, "DELETE", f"receivers/{GONE.hex()}") == "admin"
