"""Several receivers on one database: what each of them does, and what all of them know."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.receiver.kit import SUCCESS, Answer, Running, record, serving, until

from gatepost.errors import SettingsError
from gatepost.journal.folder import Folder
from gatepost.receiver.auth.issuing import first_administrator
from gatepost.receiver.ingest.app import check
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.images.archives import packs_of
from gatepost.store.postgres.store import PostgresStore

PASSWORD = "a password of the tests"


@contextlib.asynccontextmanager
async def receiver_of(url: str, **settings: str) -> AsyncIterator[Running]:
    with contextlib.closing(PostgresStore.open(url)) as store:
        if not Accounts(store).accounts():
            first_administrator(Accounts(store), password=PASSWORD, now_ms=0)
        async with serving(store, ReceiverSettings(database=url, **settings)) as running:  # type: ignore[arg-type]  # all are texts
            yield running


async def ask(
    receiver: Running, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> Answer:
    """Ask without the token of the tests."""
    return await (await receiver.connect()).request(method, path, body, headers)


async def log_in(receiver: Running, password: str = PASSWORD) -> tuple[int, str]:
    """Return the status, and the cookies."""
    body = json.dumps({"name": "admin", "password": password}).encode()
    headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    answer = await ask(receiver, "POST", "/api/v1/session", headers, body)
    return answer.status, "; ".join(f"{name}={value}" for name, value in answer.cookies.items())


@pytest.mark.parametrize("_round", range(3))
def test_receivers_that_start_at_once_on_an_empty_database_all_come_up(
    postgres_url: str, tmp_path: Path, _round: int
) -> None:
    archive = tmp_path / "images"
    archive.mkdir()
    gate = threading.Barrier(3)

    def start(place: int) -> str | None:
        gate.wait()
        with contextlib.closing(PostgresStore.open(postgres_url)) as store:
            packs_of(store, Folder.open(tmp_path / f"journal-{place}"), str(archive)).close()
            return first_administrator(Accounts(store), password=None, now_ms=0)

    with ThreadPoolExecutor(3) as threads:
        passwords = list(threads.map(start, range(3)))
    assert sum(password is not None for password in passwords) == 1
    assert len(list(archive.iterdir())) == 1


async def test_one_takes_pushes_and_lists_them_and_the_other_shows_them(postgres_store_url: str) -> None:
    async with (
        receiver_of(postgres_store_url, role="ingest") as ingest,
        receiver_of(postgres_store_url, role="desk") as desk,
    ):
        assert (await ingest.push(record(uuid="u-1"))).json == SUCCESS
        ingest.settle()
        assert [row.uuid for row in desk.records()] == ["u-1"]
        # A proxy that is set up wrongly costs no event: the terminal keeps it.
        refused = await desk.push(record(uuid="u-2"))
        assert (refused.status, refused.json["code"]) == (503, 503)
        assert "role desk" in refused.json["message"]
        for each in (ingest, desk):
            assert (await each.get("/healthz")).status == 200
            assert (await each.get("/readyz")).status == 200
            assert b"gatepost_events_accepted_total" in (await each.get("/metrics")).body
        for path in ("/api/v1/records", "/login", "/"):
            assert (await ask(ingest, "GET", path)).status == 404
        assert (await ask(ingest, "POST", "/api/v1/session", body=b"{}")).status == 404
        assert (await ask(desk, "GET", "/api/v1/records")).status == 401
        assert (await log_in(desk))[0] in (200, 201)


async def test_a_session_of_one_is_one_of_all_and_ends_on_all(postgres_store_url: str) -> None:
    async with receiver_of(postgres_store_url) as one, receiver_of(postgres_store_url) as other:
        _, cookies = await log_in(one)
        mine = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
        for each in (one, other):
            assert (await ask(each, "GET", "/api/v1/records", mine)).status == 200
        assert (await ask(other, "DELETE", "/api/v1/session", mine)).status in (200, 204)
        for each in (one, other):
            assert (await ask(each, "GET", "/api/v1/records", mine)).status == 401


async def test_a_terminal_is_online_on_all_and_refused_on_all(postgres_store_url: str) -> None:
    async with receiver_of(postgres_store_url) as one, receiver_of(postgres_store_url) as other:
        await one.push(record(deviceSN="SN-1", uuid="u-1"))
        one.settle()
        seen = [each.store.terminals()[0].last_seen for each in (one, other)]
        assert seen[0] == seen[1] is not None
        await one.desk.table.refresh()
        one.store.update_terminal(one.store.terminals()[0].id, state="retired")
        await other.desk.housekeeping.keep()  # as it does every few seconds
        assert (await other.push(record(deviceSN="SN-1", uuid="u-2"))).status == 403


def test_receivers_share_the_work_of_a_server_only() -> None:
    with pytest.raises(SettingsError, match="set database"):
        check(ReceiverSettings(role="ingest"))


async def test_what_a_desk_does_not_do_for_all_an_ingest_does_for_itself(postgres_store_url: str) -> None:
    async with receiver_of(postgres_store_url, role="ingest") as ingest:
        names = {task.get_coro().__qualname__ for task in ingest.desk._tasks}  # type: ignore[union-attr]  # they run
        assert {"Housekeeping.run", "RetentionJob.run", "Watcher.run"} <= names
        assert not {"Forwarding.run", "Fleet.run", "Histories.run", "Mover.run", "Live.run"} & names
        await until(lambda: ingest.ingest.has_desk)
