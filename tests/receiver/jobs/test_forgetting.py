import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Postgres
from tests.receiver.jobs.looked_into import place
from tests.receiver.kit import Sender, alarm, body, opened, record, request
from tests.store.events import RECEIVED_MS

from gatepost.process_tree import members
from gatepost.receiver.auth.issuing import issue_token
from gatepost.receiver.jobs.forgetting import Forgetting
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.sqlite.second_process import accounts_of
from gatepost.store.sqlite.store import SqliteStore

NAME, CARD = "Zaphodine Beeblebroxova", "IC-99887766554433"
"""Nobody else has them, and no program text."""


class Looked:
    """A receiver in a process of its own, and what its objects hold."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, token: str) -> None:
        self._process = process
        self.port = port
        self._token = {"Authorization": f"Bearer {token}"}

    async def holds(self) -> list[str]:
        """Where in the objects of its processes that person stands."""
        question = json.dumps([NAME[::-1], CARD[::-1]]).encode() + b"\n"
        found: list[str] = []
        for child in members(self._process.pid)[1:]:
            asked = socket.socket(socket.AF_UNIX)
            asked.connect(place(child))
            reader, writer = await asyncio.open_unix_connection(sock=asked, limit=1 << 24)
            writer.write(question)
            async with asyncio.timeout(120):
                found += json.loads(await reader.readline())
            writer.close()
            await writer.wait_closed()
        return found

    async def lets_go(self) -> None:
        """Wait until nobody holds anything of that person."""
        async with asyncio.timeout(120):
            while found := await self.holds():
                assert found  # shown if the time is over

    async def ask(self, path: str, method: str = "GET") -> tuple[Sender, Any]:
        """Ask on a connection of its own, which stays open."""
        sender = await Sender.connect(self.port)
        answer = await sender.request(method, path, headers=self._token)
        assert answer.status == 200, answer
        return sender, answer

    async def listen(self) -> Sender:
        """A live stream, which stays open."""
        sender = await Sender.connect(self.port)
        await sender.write(request("GET", "/api/v1/live", headers=self._token))
        await sender.reader.readuntil(b": alive")
        return sender


@contextlib.asynccontextmanager
async def looked_into(folder: Path, database: str = "") -> AsyncIterator[Looked]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("looked_into.py")), str(folder), database,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(120):
            port = int((await process.stdout.readline()).decode().rsplit(":", 1)[1])

        def token() -> str:
            if not database:
                with accounts_of(folder) as accounts:
                    return issue_token(accounts, folder.name, "admin", by="test", now_ms=0)[0]
            with contextlib.closing(PostgresStore.open(database)) as store:
                return issue_token(Accounts(store), folder.name, "admin", by="test", now_ms=0)[0]

        yield Looked(process, port, await asyncio.to_thread(token))
    finally:
        process.terminate()
        await process.communicate()  # to the end of what it says: a pipe must not outlive the test


def user(name: str = NAME, **more: Any) -> dict[str, Any]:
    return {**record()["data"]["user"], "name": name, "user_id": "42", "ic_number": CARD, **more}


async def pass_by(receiver: Looked, *, uuids: str) -> Sender:
    """That person, in whatever way somebody can be pushed; the connection stays open."""
    sender = await Sender.connect(receiver.port)
    for event in (
        record(uuid=f"{uuids}-1", user=user()),
        record(uuid=f"{uuids}-2", user=user(), strange=NAME),
        record(uuid=f"{uuids}-3", user=user(remark="\\")),
        alarm(trace_id=uuids, description=NAME),
        {"type": 9, "uuid": uuids, "data": {"who": NAME, "user_id": "42"}},
        record(uuid=f"{uuids}-4", user=user(name="Somebody Else", user_id="7", ic_number="1")),
    ):
        assert (await sender.request("POST", "/Record", body(event))).status == 200
    return sender


async def seek(receiver: Looked) -> tuple[list[Sender], str]:
    """Look that person up in every way; the connections, which stay open, and the person's id."""
    senders, name = [], NAME.replace(" ", "%20")
    for path in (
        f"records?q={name}",
        f"records/export?q={name}&format=xlsx",
        "alarms",
        "quarantine",
        f"people?q={name}",
    ):
        sender, answer = await receiver.ask(f"/api/v1/{path}")
        senders.append(sender)
    return senders, answer.json["items"][0]["id"]


async def test_who_is_erased_is_in_no_object_of_the_process_that_erased(tmp_path: Path) -> None:
    async with looked_into(tmp_path / "data") as receiver:
        senders = [await receiver.listen(), await pass_by(receiver, uuids="a")]
        more, person = await seek(receiver)
        assert await receiver.holds()
        sender, erased = await receiver.ask(f"/api/v1/people/{person}/erase", "POST")
        assert erased.json["records"] == 3
        await receiver.lets_go()
        for each in (*senders, *more, sender):
            await each.close()


async def test_another_process_on_the_same_database_finds_out_and_forgets_too(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    database = postgres_server.create_with_store()
    async with looked_into(tmp_path / "a", database) as here, looked_into(tmp_path / "b", database) as there:
        senders = [await there.listen(), await pass_by(here, uuids="a"), await pass_by(there, uuids="b")]
        more, person = await seek(here)
        assert await there.holds()
        sender, _ = await here.ask(f"/api/v1/people/{person}/erase", "POST")
        await here.lets_go()
        await there.lets_go()
        for each in (*senders, *more, sender):
            await each.close()


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = opened(tmp_path / "data")
    yield store
    store.close()


def test_it_forgets_once_for_each_erasure_that_it_sees(store: SqliteStore) -> None:
    handed_back: list[bool] = []
    forgetting = Forgetting(store, lambda: handed_back.append(True))
    assert not forgetting.once()
    assert not forgetting.once()
    erase(store, Whom(user_id="1"), now_ms=RECEIVED_MS)
    assert forgetting.once()
    assert not forgetting.once()
    assert handed_back == [True]


def test_what_could_not_be_forgotten_is_tried_again(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetting = Forgetting(store, lambda: None)
    forgetting.once()
    erase(store, Whom(user_id="1"), now_ms=RECEIVED_MS)
    with monkeypatch.context() as patched:
        patched.setattr(store, "forget_people", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            forgetting.once()
    assert forgetting.once()
