"""A receiver that ends in whatever state its terminals are goes on from there; of several receivers one looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.fleet.double import ADMIN, Double
from tests.fleet.kit import House, house
from tests.receiver.kit import until
from tests.store.conftest import Opener

from gatepost.fleet.adoption import Order
from gatepost.store.base import BaseStore
from gatepost.store.terminals.adopted import AdoptedRow, Looked
from gatepost.store.terminals.fleet import Adopted

OURS = "http://127.0.0.1:19/Record"


@asynccontextmanager
async def terminal(folder: Path, serial: str = "SN-7") -> AsyncIterator[Double]:
    double = await Double(folder / serial, serial).open()
    try:
        yield double
    finally:
        await double.close()


async def adopted(desk: House, double: Double) -> AdoptedRow:
    """Adopt, and do nothing else."""
    order = Order(
        address=double.address, username=ADMIN.username, password=ADMIN.password, ours=OURS, by="anna"
    )
    return await desk.fleet.adopt(order)


async def becomes(desk: House, which: int, state: str) -> dict[str, Any]:
    """Wait until a terminal is in a state, by the job alone."""
    async with asyncio.timeout(30):
        while (found := await desk.show(which))["state"] != state:
            await desk.fleet.tender.once()
            await desk.fleet.tender.settle()
    return found


def age(store: BaseStore, which: int, **values: Any) -> None:
    """Put a terminal into a state, as a process left it that ended."""
    adopted = Adopted(store)
    row = adopted.one(which)
    assert row is not None
    fields = {name: getattr(row, name) for name in ("terminal_id", "revision", "state", "reason", "failures")}
    fields |= {"due_ms": 0, "sets": row.sets, "must_set": row.must_set, "shows": row.shows}
    adopted.keep([Looked(**{**fields, "looked_at_ms": 1, "found": "away", **values})])


@pytest.mark.parametrize(
    ("left", "then"),
    [
        ({"must_set": True}, "ours"),
        ({"must_set": True, "sets": (1.0,)}, "ours"),
        ({"state": "ours"}, "ours"),
        ({"state": "away", "failures": 7}, "ours"),
        ({"state": "contested", "reason": "another tool", "sets": (1.0, 2.0, 3.0)}, "ours"),
        ({"state": "stopped", "reason": "its password is wrong"}, "stopped"),
    ],
    ids=["to be set", "set, or not", "ours", "away", "contested", "stopped"],
)
async def test_it_goes_on_from_every_state(
    open_store: Opener, tmp_path: Path, left: dict[str, Any], then: str
) -> None:
    async with terminal(tmp_path) as double:
        async with house(open_store, tmp_path) as desk:
            which = (await adopted(desk, double)).terminal_id
            store = desk.receiver.store
        assert isinstance(store, BaseStore)
        age(store, which, **left)
        store.close()

        async with house(open_store, tmp_path) as desk:
            found = await becomes(desk, which, then)
            if then == "stopped":
                await desk.verify(which)
                assert await double.terminal.subscription() is None
            else:
                async with asyncio.timeout(30):
                    while (told := await double.terminal.subscription()) is None:
                        await desk.fleet.tender.once()
                assert told.event_dest.startswith(f"{OURS}/")

        assert found["reason"] == ("its password is wrong" if then == "stopped" else "")


async def test_a_receiver_that_ends_in_an_hour_of_quarrel_sets_it_no_oftener(
    open_store: Opener, tmp_path: Path
) -> None:
    async with terminal(tmp_path) as double:
        sets = 0
        for _ in range(5):
            async with house(open_store, tmp_path) as desk:
                if not sets:
                    which = (await adopted(desk, double)).terminal_id
                await desk.fleet.tender.close()
                await double.happens("contested")
                found = await desk.verify(which)
                told = await double.terminal.subscription()
                assert told is not None
                sets += told.event_dest.startswith(OURS)
                store = desk.receiver.store
            assert isinstance(store, BaseStore)
            store.close()

    assert (sets, found["state"]) == (3, "contested")


async def test_of_two_receivers_one_looks_and_the_other_takes_over(
    open_postgres: Opener, tmp_path: Path
) -> None:
    server = {"database": "postgresql://elsewhere"}  # the store is handed in; this says that it is shared
    async with (
        terminal(tmp_path) as double,
        house(open_postgres, tmp_path / "a", **server) as one,
        house(open_postgres, tmp_path / "b", **server) as other,
    ):
        await until(lambda: one.fleet.tender._fence is not None or other.fleet.tender._fence is not None)
        first, second = (one, other) if one.fleet.tender._fence is not None else (other, one)
        row = await adopted(first, double)
        await becomes(first, row.terminal_id, "ours")
        assert await second.fleet.tender.once() == 0
        assert second.fleet.tender.looks == {}

        await first.stop()
        second.fleet.adopted.came_back([row.terminal_id], now_ms=1)

        async with asyncio.timeout(40):
            while not second.fleet.tender.looks.get("ours"):
                await second.fleet.tender.once()
                await second.fleet.tender.settle()
