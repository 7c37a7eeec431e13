"""Many terminals are adopted in one go, each once, over a restart, and nowhere does a password remain."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.fleet.double import ADMIN, Double
from tests.fleet.kit import House, account, house
from tests.store.conftest import Opener

from gatepost.fleet.adoption import Order, adopt
from gatepost.fleet.many import INTERRUPTED
from gatepost.fleet.surroundings import Surroundings
from gatepost.store.base import BaseStore
from gatepost.store.maintenance.backup import backup
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.store import SqliteStore
from gatepost.store.terminals.adoptions import Adoptions, ToAdopt
from gatepost.store.terminals.fleet import AdoptedRow


async def ended(desk: House, which: int) -> dict[str, Any]:
    """Wait until an adoption is over."""
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] = (await desk.call("GET", f"/adoptions/{which}")).json
            if found["finished_at"] is not None:
                return found
            await desk.fleet.many.once()
            await desk.fleet.many.settle()


async def test_each_is_tried_once_and_says_how_it_went(desk: House) -> None:
    doubles = [await desk.double(f"SN-{number}") for number in range(3)]
    await doubles[2].close()
    orders = [account(double) for double in doubles]
    orders[0] |= {"name": "Front door"}
    orders[1] |= {"password": "wrong"}

    made = (await desk.call("POST", "/adoptions", {"terminals": orders})).json
    assert (made["total"], made["finished_at"]) == (3, None)
    found = await ended(desk, made["id"])

    assert (found["adopted"], found["failed"], found["waiting"]) == (1, 2, 0)
    rows = (await desk.call("GET", f"/adoptions/{made['id']}/rows")).json["items"]
    assert [(row["state"], row["serial"]) for row in rows] == [
        ("adopted", "SN-0"),
        ("failed", None),
        ("failed", None),
    ]
    assert "password is wrong" in rows[1]["reason"]
    assert "cannot be reached" in rows[2]["reason"]
    (managed,) = (await desk.call("GET")).json["items"]
    assert (managed["serial"], managed["name"]) == ("SN-0", "Front door")
    assert [row["id"] for row in (await desk.call("GET", "/adoptions")).json["items"]] == [made["id"]]


async def test_what_fits_no_terminal_is_refused_as_a_whole(desk: House) -> None:
    double = await desk.double()
    wrong = {"terminals": [account(double), account(double) | {"address": "ftp://x"}]}

    reply = await desk.call("POST", "/adoptions", wrong)

    assert (reply.status, "terminals.1.address" in reply.json["detail"]) == (400, True)
    assert (await desk.call("GET", "/adoptions")).json["items"] == []


async def test_a_receiver_that_terminals_cannot_reach_says_which_setting_is_missing(desk: House) -> None:
    elsewhere = {"address": "192.0.2.7", "username": "admin", "password": "a long password"}
    for path, order in (("/adopt", elsewhere), ("/adoptions", {"terminals": [elsewhere]})):
        reply = await desk.call("POST", path, order)
        assert (reply.status, "ingest_url" in reply.json["detail"]) == (400, True)


async def test_after_a_restart_it_goes_on_and_tries_no_password_twice(
    open_store: Opener, tmp_path: Path
) -> None:
    double = await Double(tmp_path / "door", "SN-7").open()
    with closing(open_store()) as store:
        order = ToAdopt(address=double.address, username=ADMIN.username, password=ADMIN.password)
        made = Adoptions(store).create([order, order], ours="http://127.0.0.1:9/Record", by="anna", now_ms=0)
        assert len(Adoptions(store).begin(1)) == 1  # and the process ends, with the password sent or not

    async with house(open_store, tmp_path) as desk:
        await ended(desk, made.id)
        rows = desk.fleet.many.adoptions.rows(made.id)

    assert [(row.state, row.reason) for row in rows] == [("failed", INTERRUPTED), ("adopted", "")]
    await double.close()


async def test_of_two_receivers_one_adopts_each_terminal(
    open_postgres: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: Counter[str] = Counter()

    async def counted(order: Order, around: Surroundings) -> AdoptedRow:
        tried[order.address] += 1
        return await adopt(order, around)

    monkeypatch.setattr("gatepost.fleet.many.adopt", counted)
    server = {"database": "postgresql://elsewhere"}  # the store is handed in; this says that it is shared
    async with (
        house(open_postgres, tmp_path / "a", **server) as one,
        house(open_postgres, tmp_path / "b", **server) as other,
    ):
        doubles = [await one.double(f"SN-{number}") for number in range(3)]
        made = (await one.call("POST", "/adoptions", {"terminals": [account(each) for each in doubles]})).json
        found = await ended(other, made["id"])

    # On a slow machine the lease may pass on, and what was being tried then is not tried again.
    assert found["adopted"] + found["failed"] == found["total"] == 3
    assert tried == {double.address: 1 for double in doubles}


async def test_no_password_is_in_a_log_a_reply_an_audit_line_or_a_backup(
    open_store: Opener, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    async with house(open_store, tmp_path) as desk:
        double = await desk.double()
        made = await desk.adopt(double)
        subscription = await double.terminal.subscription()
        assert subscription is not None
        token = subscription.event_dest.rpartition("/")[2]
        wrong = "a-wrong-password"
        orders = [account(double), account(double) | {"password": wrong}]
        many = (await desk.call("POST", "/adoptions", {"terminals": orders})).json
        await ended(desk, many["id"])
        await desk.verify(made["terminal_id"])
        await double.happens("contested")
        await desk.verify(made["terminal_id"])
        refused = [
            await desk.call("POST", "/adopt", account(double) | {"password": wrong}),
            await desk.call("POST", "/adopt", account(double) | {"password": [wrong]}),
            await desk.call("POST", "/adopt", account(double) | {"name": 7}),
        ]
        paths = ("", f"/{made['terminal_id']}", "/adoptions", f"/adoptions/{many['id']}/rows")
        told += [str((await desk.call("GET", path)).json) for path in paths]
        told += [str(reply.json) for reply in refused]
        for path in ("audit", "notices", "terminals", f"terminals/{made['terminal_id']}"):
            told.append(str((await desk.receiver.get(f"/api/v1/{path}")).json))
        assert "fleet.adopted" in told[-4]
        assert "fleet.address_set" in told[-4]
        store = desk.receiver.store
        assert isinstance(store, BaseStore)
        where = _place(store, tmp_path)
    backup(tmp_path / "backup.tar", **where, now=0.0)
    said = [*told, caplog.text, *capsys.readouterr()]

    for secret in (ADMIN.password, wrong, token):
        assert not [text for text in said if secret in text]
        assert secret.encode() not in (tmp_path / "backup.tar").read_bytes()


def _place(store: BaseStore, folder: Path) -> dict[str, Any]:
    if isinstance(store, PostgresStore):
        parts = conninfo_to_dict(store._server.conninfo)
        url = f"postgresql:///{parts['dbname']}?user={parts['user']}&host={parts['host']}"
        return {"folder": folder / "elsewhere", "database": url}
    assert isinstance(store, SqliteStore)
    return {"folder": store.folder}
