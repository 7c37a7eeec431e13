"""Without its token, nothing changes what is stored of a terminal that has used it, on both databases."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import asdict
from tests.receiver.kit import Running, alarm, body, record, serving, until
from tests.store.conftest import (  # noqa: F401 - fixtures
    empty_folder,
    open_postgres,
    open_sqlite,
)

from gatepost.receiver.terminals.claims import Known
from gatepost.receiver.terminals.sources import token_digest
from gatepost.settings import ReceiverSettings
from gatepost.store.base import BaseStore
from gatepost.store.interface import TerminalRow
from gatepost.store.terminals.registry import disagreements

TOKEN = "the-token-of-the-terminal-A-1234567"
FUTURE = {"uuid": "7b0d3c1a-0000-4000-8000-000000000002", "timestamp": 1_685_343_900}
"""Of an event that the terminal has yet to push."""
PROXY = "127.0.0.1"
SETTINGS: list[dict[str, Any]] = [
    {},
    {"unknown_terminals": "hold"},
    {"unknown_terminals": "refuse"},
    {"require_token": "always"},
    {"require_token": "always", "unknown_terminals": "hold"},
    {"unknown_terminals": "hold", "trusted_proxies": (PROXY,)},
    {"trusted_proxies": (PROXY,)},
]


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest) -> BaseStore:
    opener: Callable[[], BaseStore] = request.getfixturevalue(f"open_{request.param}")
    return opener()


@asynccontextmanager
async def used(store: BaseStore, **settings: Any) -> AsyncIterator[Running]:
    """Run a receiver that has a record and an open alarm of the terminal A, pushed with its token."""
    store.create_terminal(now_ms=0, serial="A", token_digest=token_digest(TOKEN))
    store.create_terminal(now_ms=0, serial="B")
    async with serving(store, ReceiverSettings(**settings)) as running:
        for event in (record(deviceSN="A", uuid="7b0d3c1a-0000-4000-8000-000000000001"), alarm()):
            assert (
                await running.push(event, f"/Record/{TOKEN}", {"X-Forwarded-For": "10.0.0.1"})
            ).status == 200
        yield running


def ways() -> list[tuple[str, dict[str, str], bytes]]:
    """Return path, headers and body of every way to push in the terminal's name without its token."""
    passage = {"deviceSN": "A", **FUTURE}
    events: list[Any] = [
        record(**passage),
        record(**passage, **{"pass": False}),
        record(deviceSN=None, **FUTURE),
        record(deviceSN="A", uuid="7b0d3c1a-0000-4000-8000-000000000001"),
        record(deviceSN="B", **FUTURE),
        alarm(),
        alarm(status=3),
        alarm(status=3, deviceSN="A"),
        {**alarm(status=2), "deviceSN": "A"},
        alarm(trace_id="another-trace", code=20003),
        {"type": 7, "data": {"deviceSN": "A"}},
        {"type": 0, "data": {"deviceSN": "A"}},
        {**record(**passage), "terminal_id": 1, "token": "guess"},
        [record(deviceSN="B", uuid="7b0d3c1a-0000-4000-8000-00000000000b"), record(**passage)],
        [alarm(status=3), record(**passage)],
    ]
    bodies = [body(event) for event in events]
    bodies.append(bodies[0] + b"\n" + bodies[5])
    bodies.append(b'{"type": 0, "data": {"deviceSN": "A"')
    heads: list[tuple[str, dict[str, str]]] = [
        ("/Record", {}),
        ("/Record", {"sn": "A"}),
        ("/Record", {"SN": " A "}),
        ("/Record", {"sn": "B"}),
        ("/Record", {"sn": "A", "X-Forwarded-For": "10.0.0.1"}),
        ("/Record", {"X-Forwarded-For": "10.0.0.1:4711"}),
        ("/Record", {"sn": "A", "X-Forwarded-For": "10.0.0.1, 10.9.9.9"}),
        ("/Record", {"sn": "A", "X-Gatepost-Token": ""}),
        ("/Record", {"sn": "A", "X-Gatepost-Token": "guess"}),
        ("/Record", {"sn": "A", "X-Gatepost-Token": TOKEN[:-1]}),
        ("/Record", {"sn": "A", "X-Gatepost-Token": TOKEN.upper()}),
        ("/Record/", {"sn": "A"}),
        ("/Record/1", {"sn": "A"}),
        ("/Record/A", {}),
        (f"/Record/{TOKEN[:-1]}", {"sn": "A"}),
        (f"/Record/{token_digest(TOKEN).hex()}", {"sn": "A"}),
        (f"/Record?token={TOKEN}", {"sn": "A"}),
    ]
    return [(path, headers, sent) for path, headers in heads for sent in bodies]


WAYS = ways()

SHOWN = ("refused",)
"""What a forger changes, and is to: that its pushes were refused is shown at the terminal."""


async def state(running: Running) -> Any:
    """Everything that is told of the terminal A, but that pushes in its name were refused."""
    await running.flush()
    row = running.store.terminal(1)
    assert row is not None
    with running.store.reading() as db:
        disagreed = disagreements(db, 1)
    return (
        {name: value for name, value in asdict(row).items() if name not in SHOWN},
        disagreed,
        running.records(terminal=1, include_held=True),
        running.alarms(terminal=1, include_held=True),
    )


@pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())) or "default"
)
async def test_nothing_without_its_token_changes_what_is_stored_of_a_terminal(
    opened: BaseStore, settings: dict[str, Any]
) -> None:
    async with used(opened, **settings) as running:
        before = await state(running)
        strict = settings.get("require_token") == "always"
        hides = strict or settings.get("unknown_terminals", "accept") != "accept"
        people = (await running.get("/api/v1/people")).json["items"]
        attendance = "/api/v1/attendance?day=2023-05-29"
        present = (await running.get(attendance)).json["items"]
        sender = await running.connect()
        for path, headers, sent in WAYS:
            answer = await sender.request("POST", path, sent, headers)
            assert not strict or answer.status >= 400, (path, headers, sent)
            if headers.get("sn") == "A" and b'"type"' in sent and sent.endswith(b"}"):
                assert answer.status in (400, 403, 404), (path, headers, sent)
        assert await state(running) == before
        if hides and not any(row.state == "approved" and row.records for row in opened.terminals()[1:]):
            assert (await running.get("/api/v1/people")).json["items"] == people
            assert (await running.get(attendance)).json["items"] == present
        real = record(deviceSN="A", **FUTURE)
        for _ in range(2):
            assert (await running.push(real, "/Record", {"X-Gatepost-Token": TOKEN})).status == 200
        assert (await running.push(alarm(status=3), f"/Record/{TOKEN}")).status == 200
        assert next(row.uuid for row in running.records(terminal=1)) == FUTURE["uuid"]
        (one,) = running.alarms(terminal=1)
        assert (one.state, [step.status for step in one.history]) == ("cleared", [1, 3])
        now = opened.terminal(1)
        assert now is not None
        assert (now.records, now.alarms, now.duplicates, now.disagreements) == (2, 2, 1, 0)


async def test_a_push_without_the_token_is_refused_and_shown_at_the_terminal(opened: BaseStore) -> None:
    async with used(opened) as running:
        answer = await running.push(record(deviceSN="A", **FUTURE))
        assert (answer.status, answer.json["code"]) == (403, 403)
        assert "require_token" in answer.json["message"]
        await running.flush()
        shown = (await running.get("/api/v1/terminals/1")).json
        assert (shown["refused"], shown["refusals"]) == (1, {"token missing": 1})


async def test_a_token_that_was_used_binds_the_terminal_after_a_restart_too(opened: BaseStore) -> None:
    async with used(opened):
        pass
    async with serving(opened) as again:
        assert (await again.push(record(deviceSN="A", **FUTURE))).status == 403


async def test_an_ingest_that_takes_anothers_place_knows_which_tokens_were_used(opened: BaseStore) -> None:
    async with used(opened) as running:
        welcome = running.desk.table.welcome()
        (known,) = [one for one in welcome.table.terminals if one.serial == "A"]
        assert (known.token_used, known.token_required) == (True, True)
        line, before = running.ingest._desk, running.ingest._desk._link
        running.desk.ingests.close()
        await until(lambda: line._link not in (None, before))
        assert (await running.push(record(deviceSN="A", **FUTURE))).status == 403


async def test_what_was_read_before_a_token_was_used_does_not_undo_it(
    opened: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.create_terminal(now_ms=0, serial="A", token_digest=token_digest(TOKEN))
    async with serving(opened) as running:
        reading, go_on, terminals = threading.Event(), threading.Event(), opened.terminals

        def slow() -> list[TerminalRow]:
            found = terminals()
            reading.set()
            assert go_on.wait(20)
            return found

        with monkeypatch.context() as patched:
            patched.setattr(opened, "terminals", slow)
            refreshing = asyncio.create_task(running.desk.table.refresh())
            await until(reading.is_set)
            assert (await running.push(record(deviceSN="A"), f"/Record/{TOKEN}")).status == 200
            go_on.set()
            await asyncio.wait_for(refreshing, 20)
        assert (await running.push(record(deviceSN="A", **FUTURE))).status == 403


async def test_a_token_that_is_taken_away_while_its_first_use_is_stored_opens_nothing_more(
    opened: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.create_terminal(now_ms=0, serial="A", token_digest=token_digest(TOKEN))
    async with serving(opened) as running:
        line = running.ingest._desk
        stored, go_on, use = asyncio.Event(), asyncio.Event(), line.use

        async def slow(digest: bytes, *, at_ms: int) -> Known | None:
            known = await use(digest, at_ms=at_ms)
            stored.set()
            await go_on.wait()
            return known

        monkeypatch.setattr(line, "use", slow)
        first = asyncio.create_task(running.push(record(deviceSN="A"), f"/Record/{TOKEN}"))
        await asyncio.wait_for(stored.wait(), 20)
        assert (await running.request("POST", "/api/v1/terminals/1/retire")).status == 200
        go_on.set()
        assert (await first).status in (200, 403, 404)
        assert (await running.push(record(deviceSN="A", **FUTURE), f"/Record/{TOKEN}")).status in (403, 404)


async def test_the_token_is_said_once_or_twice_the_same(opened: BaseStore) -> None:
    async with used(opened) as running:
        real = record(deviceSN="A", **FUTURE)
        for path, headers, status in (
            ("/Record", {"X-Gatepost-Token": TOKEN}, 200),
            (f"/Record/{TOKEN}", {"X-Gatepost-Token": TOKEN}, 200),
            (f"/Record/{TOKEN}", {"X-Gatepost-Token": "another"}, 403),
            ("/Record/another", {"X-Gatepost-Token": TOKEN}, 403),
            ("/Record", {"X-Gatepost-Token": "another"}, 403),
            ("/Record/another", {}, 404),
        ):
            assert (await running.push(real, path, headers)).status == status, (path, headers)
        await running.flush()
        shown = b"".join(
            [(await running.get(f"/api/v1/{what}")).body for what in ("misdirected", "terminals/1")]
        )
        assert TOKEN.encode() not in shown
        assert opened.stats().refusals == {"token wrong": 4}


async def test_a_terminal_with_a_token_is_nobody_elses_before_its_first_push_where_strangers_are_not_listed(
    opened: BaseStore,
) -> None:
    opened.create_terminal(now_ms=0, serial="A", token_digest=token_digest(TOKEN))
    for unknowns, status in (("refuse", 403), ("hold", 200)):
        async with serving(opened, ReceiverSettings(unknown_terminals=unknowns)) as running:
            for headers in ({}, {"sn": "A"}):
                assert (await running.push(record(deviceSN="A", **FUTURE), headers=headers)).status == status
            assert (running.records(), opened.terminals()[0].records) == ([], 0)


async def test_an_alarm_that_names_its_terminal_is_of_it_whatever_its_address_stands_for(
    opened: BaseStore,
) -> None:
    async with serving(opened) as running:
        await running.push(record(deviceSN="A"))
        beside = {**alarm(trace_id="trace-beside"), "deviceSN": "C"}
        for number, event in enumerate((alarm(trace_id="trace-within", deviceSN="B"), beside)):
            assert (await running.push(event)).status == 200, number
        assert {row.serial for row in running.alarms()} == {"B", "C"}
        assert [step.problems for row in running.alarms() for step in row.history] == [(), ()]


async def test_of_several_terminals_behind_one_address_none_is_told_by_it(opened: BaseStore) -> None:
    async with serving(opened, ReceiverSettings(trusted_proxies=(PROXY,))) as running:
        nat, alone = {"X-Forwarded-For": "203.0.113.5:50123"}, {"X-Forwarded-For": "[2001:db8::7]:443"}
        await running.push(record(deviceSN="NAT-1", uuid="uuid-number-1"), headers=nat)
        await running.push(record(deviceSN="NAT-2", uuid="uuid-number-2"), headers=nat)
        await running.push(record(deviceSN="ALONE", uuid="uuid-number-3"), headers=alone)
        await running.push(alarm(trace_id="of-one-of-two"), headers=nat)
        await running.push(alarm(trace_id="of-the-only-one"), headers=alone)
        told = {row.trace_id: (row.serial, row.history[0].problems) for row in running.alarms()}
        assert told["of-one-of-two"][0] is None
        assert told["of-the-only-one"][0] == "ALONE"
        assert [problems[0].where for _, problems in told.values()] == ["peer address", "peer address"]
        assert {row.anonymous_peer for row in opened.terminals()} == {None, "203.0.113.5"}
    async with serving(opened, ReceiverSettings(trusted_proxies=(PROXY,))) as again:
        await again.push(alarm(trace_id="after-a-restart"), headers=nat)
        assert {row.serial for row in again.alarms() if row.trace_id == "after-a-restart"} == {None}
