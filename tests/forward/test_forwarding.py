"""All destinations of a receiver: who sends, and what a change of one does."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from tests.forward.kit import Hook, Told, hooked
from tests.postgres import Postgres
from tests.receiver.kit import until
from tests.store.conftest import Opener
from tests.store.events import RECEIVED_MS, arrival, record
from tests.store.forwarding.test_destinations import Owner, exception
from tests.terminals import ensured

from gatepost.egress import Egress
from gatepost.forward import forwarding as module
from gatepost.forward.check import check
from gatepost.forward.forwarder import forwarder as forwarder_module
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.image_links import ImageLinks
from gatepost.forward.options.destination import decode, encode
from gatepost.receiver.people_rules import Meaning, rules_of
from gatepost.settings import ReceiverSettings
from gatepost.store.base import BaseStore
from gatepost.store.forwarding.destinations import Destinations, Step
from gatepost.store.postgres.store import PostgresStore


class Receiver:
    """What of a receiver sends to destinations."""

    def __init__(self, store: BaseStore, owner: str = "", *, public_url: str = "") -> None:
        self.store = store
        self.destinations = Destinations(store)
        self.forwarding = Forwarding(
            store,
            self.destinations,
            Meaning(store, rules_of(ReceiverSettings())).people,
            Egress(["127.0.0.0/8"]),
            source=lambda: "test",
            links=ImageLinks(public_url, lambda: b""),
            owner=owner,
            poll_s=0.02,
        )
        self.task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Receiver]:
        self.task = asyncio.create_task(self.forwarding.run())
        try:
            yield self
        finally:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def create(self, url: str, name: str = "one", **told: Any) -> int:
        config = encode(decode({"kind": "webhook", "url": url, **told}))
        return self.destinations.create(name, "webhook", config, b"{}", now_ms=RECEIVED_MS).id

    def passages(self, *numbers: int) -> set[str]:
        stored = self.store.write([arrival(record(number)) for number in numbers])
        return {f"record-{one.id}" for one in stored}

    def has(self, which: int, **counts: int) -> Callable[[], bool]:
        def look() -> bool:
            row = self.destinations.one(which)
            assert row is not None
            return all(getattr(row.ledger, name) == count for name, count in counts.items())

        return look


def ids(hook: Hook) -> set[str]:
    return {headers["webhook-id"] for headers, _ in hook.requests}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, so that a test need not wait."""
    monkeypatch.setattr(module, "LOOK_S", 0.05)


@pytest.fixture
def receiver(open_store: Opener) -> Receiver:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    return Receiver(store)


async def test_a_destination_that_is_made_changed_and_deleted_while_it_runs(receiver: Receiver) -> None:
    async with hooked() as first, hooked() as second, receiver.running():
        which = receiver.create(first.url)
        await receiver.forwarding.refresh()
        before = receiver.passages(1, 2, 3)
        await until(receiver.has(which, delivered=3))

        config = encode(decode({"kind": "webhook", "url": second.url}))
        receiver.destinations.change(which, now_ms=0, config=config)
        await receiver.forwarding.refresh()
        after = receiver.passages(4, 5)
        await until(receiver.has(which, delivered=5))

        receiver.destinations.delete(which)
        await receiver.forwarding.refresh()
        receiver.passages(6)
        assert receiver.forwarding.sends_to() == set()
    assert (ids(first), ids(second)) == (before, after)


async def test_what_is_paused_waits_and_goes_on(receiver: Receiver) -> None:
    async with hooked() as hook, receiver.running():
        which = receiver.create(hook.url)
        receiver.destinations.change(which, now_ms=1, paused=True)
        await receiver.forwarding.refresh()
        numbers = receiver.passages(1, 2, 3)
        await until(receiver.has(which, waiting=3))
        receiver.destinations.change(which, now_ms=2, paused=False)
        await receiver.forwarding.refresh()
        await until(receiver.has(which, delivered=3))
    assert ids(hook) == numbers


async def test_a_destination_that_cannot_be_begun_is_said_to_be_and_stops_no_other(
    receiver: Receiver,
) -> None:
    async with hooked() as hook, receiver.running():
        broken = receiver.create(hook.url, "broken", ca_file="/nowhere")
        which = receiver.create(hook.url)
        receiver.passages(1)
        await until(receiver.has(which, delivered=1))
        await until(lambda: broken in receiver.forwarding.troubles)
    assert "ca_file" in receiver.forwarding.troubles[broken]


async def test_a_restored_webhook_sends_nothing_unsigned(receiver: Receiver) -> None:
    """A backup has no secrets, and whoever takes events without a signature takes them from anyone."""
    async with hooked() as hook, receiver.running():
        config = encode(decode({"kind": "webhook", "url": hook.url}))
        which = receiver.destinations.create("one", "webhook", config, b"", now_ms=RECEIVED_MS).id
        await until(lambda: which in receiver.forwarding.troubles)
        assert "rotate it" in receiver.forwarding.troubles[which]
        receiver.passages(1)

        row = receiver.destinations.one(which)
        assert row is not None
        receiver.forwarding.admin.rotate(row)
        await receiver.forwarding.refresh()
        await until(receiver.has(which, delivered=1))
    assert all("webhook-signature" in headers for headers, _ in hook.requests)


async def test_dead_letters_that_people_retry_are_sent_without_a_wait(receiver: Receiver) -> None:
    async with hooked() as hook:
        which = receiver.create(hook.url)
        (number,) = (int(one.removeprefix("record-")) for one in receiver.passages(1))
        owner = Owner(receiver.destinations, which)
        step = Step(seen=1, put={number: exception(number)}, places={"record": (number, number, 0)})
        assert owner.commit(step) == "done"
        receiver.destinations.let_go("first")
        async with receiver.running():
            await until(lambda: which in receiver.forwarding.sends_to())
            receiver.destinations.retry_dead(which)
            await until(receiver.has(which, delivered=1, dead=0))
    assert ids(hook) == {f"record-{number}"}


async def test_another_receiver_takes_over_from_one_that_is_stopped(
    postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the first one commits when it goes on changes nothing."""
    monkeypatch.setattr(module, "LEASE_S", 1.0)
    url = postgres_server.create_with_store()
    async with hooked() as hook, AsyncExitStack() as stack:
        stack.callback(postgres_server.drop, url)
        second = Receiver(stack.enter_context(closing(PostgresStore.open(url))), "second")
        ensured(second.store, "SN-1", now_ms=RECEIVED_MS)
        which = second.create(hook.url, timeout_s=300)
        first = await stack.enter_async_context(_sender(url))
        numbers = second.passages(*range(5))
        await until(second.has(which, delivered=5))

        hook.replies.clear()
        numbers |= second.passages(*range(5, 10))
        await until(lambda: ids(hook) == numbers)
        first.send_signal(signal.SIGSTOP)
        hook.replies.set()
        async with second.running():
            await until(second.has(which, delivered=10))
            assert which in second.forwarding.sends_to()
            first.send_signal(signal.SIGCONT)
            assert first.stdout is not None
            said = await first.stdout.readuntil(b"lost\n")  # what it logs before it, too
            assert said.splitlines()[-1] == b"lost"
            numbers |= second.passages(*range(10, 15))
            await until(second.has(which, delivered=15))
        assert check(second.destinations, which).problems == []
    assert ids(hook) == numbers


@asynccontextmanager
async def _sender(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start another process that sends, and end it."""
    command = [sys.executable, "-m", "tests.forward.sender", url, str(module.LEASE_S)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def test_what_one_receiver_cannot_send_another_sends_and_no_trouble_is_left(
    open_postgres: Opener,
) -> None:
    first = Receiver(open_postgres(), "first")
    second = Receiver(open_postgres(), "second", public_url="https://gatepost.example.com")
    ensured(first.store, "SN-1", now_ms=RECEIVED_MS)
    async with hooked() as hook, first.running():
        which = first.create(hook.url, images="link")
        await until(lambda: which in first.forwarding.troubles)
        assert "public_url" in first.forwarding.troubles[which]
        async with second.running():
            first.passages(1)
            await until(first.has(which, delivered=1))
            await until(lambda: which not in first.forwarding.troubles)
            assert second.forwarding.sends_to() == {which}
            first.destinations.delete(which)
            await until(lambda: not second.forwarding.sends_to())


async def test_a_trouble_is_forgotten_with_its_destination(receiver: Receiver) -> None:
    async with hooked() as hook, receiver.running():
        broken = receiver.create(hook.url, ca_file="/nowhere")
        await until(lambda: broken in receiver.forwarding.troubles)
        receiver.destinations.delete(broken)
        await until(lambda: broken not in receiver.forwarding.troubles)


@pytest.mark.parametrize("state", ["running", "waiting", "paused", "closed", "broken", "finished"])
async def test_a_restart_finds_a_destination_in_its_state_and_goes_on(
    receiver: Receiver, tmp_path: Path, state: str
) -> None:
    authority = tmp_path / "ca.pem"
    says = {"waiting": 503, "closed": 410}.get(state, 204)
    async with hooked() as hook:
        hook.reply = lambda _: web.Response(status=says)
        more = {"ca_file": str(authority)} if state == "broken" else {}
        which = receiver.create(hook.url, **more)
        numbers = receiver.passages(1, 2, 3)
        if state == "paused":
            receiver.forwarding.admin.pause(which)
        if state == "finished":
            row = receiver.destinations.one(which)
            assert row is not None
            span = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
            which = receiver.forwarding.admin.replay(row, *span).id

        for again in (receiver, Receiver(receiver.store)):
            async with again.running():
                await until(lambda again=again: is_in(again, which, state))  # type: ignore[misc]
                if state in ("running", "finished"):
                    await until(again.has(which, delivered=3))
                assert check(again.destinations, which).problems == []
        if state in ("paused", "broken"):
            assert hook.requests == []

        says = 204
        authority.write_bytes(trustme.CA().cert_pem.bytes())
        last = Receiver(receiver.store)
        last.forwarding.admin.resume(which)
        async with last.running():
            await until(last.has(which, delivered=3, waiting=0))
    assert ids(hook) == numbers


def is_in(receiver: Receiver, which: int, state: str) -> bool:
    row = receiver.destinations.one(which)
    assert row is not None
    return receiver.forwarding.standing(row).state == state


async def test_a_stop_that_the_database_holds_up_closes_every_connection(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.2)
    sinks: list[Told] = []
    monkeypatch.setattr(module, "open_sink", lambda *_: sinks.append(Told()) or sinks[-1])
    goes_on, is_held = threading.Event(), threading.Event()

    def held(*_: object, **__: object) -> str:
        is_held.set()
        goes_on.wait(60)
        return "lost"

    for name in ("one", "two"):
        receiver.create("http://127.0.0.1:9/", name)
    try:
        async with receiver.running():
            await until(lambda: len(receiver.forwarding.sends_to()) == 2)
            monkeypatch.setattr(receiver.destinations, "commit", held)
            receiver.passages(1)
            await until(is_held.is_set)
        assert [sink.is_open for sink in sinks] == [False, False]
    finally:
        goes_on.set()


async def test_in_a_burst_events_leave_more_slowly(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn waits first; what was acknowledged needs the processor."""
    asked: list[bool] = []
    is_behind = True
    monkeypatch.setattr(receiver.forwarding, "_behind", lambda: [asked.append(is_behind), is_behind][1])
    monkeypatch.setattr(module, "BEHIND_S", 0.0)
    monkeypatch.setattr(forwarder_module, "YIELD_S", 0.05)
    async with hooked() as hook, receiver.running():
        which = receiver.create(hook.url)
        receiver.passages(1, 2, 3)
        await until(receiver.has(which, delivered=3))
        assert any(asked)
        is_behind = False
        await until(lambda: not receiver.forwarding._is_behind())
        receiver.passages(4)
        await until(receiver.has(which, delivered=4))


async def test_idle_destinations_ask_nothing_of_their_own(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look is for all of them; what others write to the database wakes none."""
    looks: list[int] = []
    turns: list[int] = []
    latest, horizon = receiver.destinations.latest, receiver.destinations.horizon
    monkeypatch.setattr(receiver.destinations, "latest", lambda: [looks.append(1), latest()][1])
    monkeypatch.setattr(receiver.destinations, "horizon", lambda: [turns.append(1), horizon()][1])
    async with hooked() as hook, receiver.running():
        made = [receiver.create(hook.url, str(number)) for number in range(20)]
        await until(lambda: len(receiver.forwarding.sends_to()) == len(made))
        # Each begins with a turn, and is woken by the first look.
        await until(lambda: len(looks) >= 5 and len(turns) >= len(made))
        await asyncio.sleep(0)
        before, turned = len(looks), len(turns)
        ensured(receiver.store, "SN-2", now_ms=RECEIVED_MS)
        await until(lambda: len(looks) >= before + 10)
        assert len(turns) - turned <= len(made)

        receiver.passages(1)
        await until(receiver.has(made[-1], delivered=1))
