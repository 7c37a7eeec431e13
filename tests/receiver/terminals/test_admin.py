from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.receiver.kit import opened
from tests.terminals import ensured

from gatepost.receiver.terminals.admin import Registrar
from gatepost.receiver.terminals.sources import token_digest
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import TerminalRow
from gatepost.store.local_days import UnknownZone
from gatepost.store.sqlite.store import SqliteStore
from gatepost.store.terminals.registry import Conflict


class Desk:
    """A registrar, its store, and how often the directory was fed again."""

    def __init__(self, store: SqliteStore, **settings: Any) -> None:
        self.store = store
        self.refreshed = 0
        self.registrar = Registrar(store, ReceiverSettings(**settings), self._refresh)

    async def _refresh(self) -> None:
        self.refreshed += 1

    async def create(self, **values: Any) -> tuple[TerminalRow, str]:
        row, token = await self.registrar.create(self.store, values, with_token=True, now_ms=1000)
        assert token is not None
        return row, token


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = opened(tmp_path / "data")
    yield Desk(store)
    store.close()


async def test_a_new_terminal_is_approved_and_found_by_its_token(desk: Desk) -> None:
    row, token = await desk.create(name="Gate")
    assert (row.state, row.name, row.has_token) == ("approved", "Gate", True)
    assert desk.store.terminal_by_token(token_digest(token)) == row
    assert desk.refreshed == 1


async def test_a_terminal_may_be_made_without_a_token(desk: Desk) -> None:
    row, token = await desk.registrar.create(desk.store, {"serial": "SN-1"}, with_token=False, now_ms=1000)
    assert (row.serial, row.has_token, token) == ("SN-1", False, None)


async def test_an_address_is_where_terminals_reach_the_receiver(desk: Desk) -> None:
    assert desk.registrar.address("T", asked_at="http://10.0.0.1:8080/") == "http://10.0.0.1:8080/Record/T"
    other = Desk(desk.store, ingest_url="https://gate.example/", ingest_paths=("/in/", "/Record"))
    assert other.registrar.address("T", asked_at="http://10.0.0.1:8080/") == "https://gate.example/in/T"


async def test_another_token_takes_the_first_ones_place(desk: Desk) -> None:
    row, token = await desk.create()
    made = await desk.registrar.rotate_token(desk.store, row.id)
    assert made is not None
    assert made[1] != token
    assert desk.store.terminal_by_token(token_digest(token)) is None
    assert desk.store.terminal_by_token(token_digest(made[1])) == made[0]
    assert desk.refreshed == 2


async def test_a_retired_terminal_has_no_token_and_gets_none(desk: Desk) -> None:
    row, token = await desk.create()
    retired = await desk.registrar.change(desk.store, row.id, {"state": "retired"})
    assert retired is not None
    assert (retired.state, retired.has_token) == ("retired", False)
    assert desk.store.terminal_by_token(token_digest(token)) is None
    with pytest.raises(Conflict, match="retired"):
        await desk.registrar.rotate_token(desk.store, row.id)
    with pytest.raises(Conflict, match="administrator"):
        await desk.registrar.approve(desk.store, row.id)


async def test_a_held_terminal_is_approved(desk: Desk) -> None:
    held = ensured(desk.store, "SN-1", now_ms=0, state="held")
    row = await desk.registrar.approve(desk.store, held.id)
    assert row is not None
    assert row.state == "approved"


async def test_what_is_not_there_is_not_changed(desk: Desk) -> None:
    assert await desk.registrar.change(desk.store, 9, {"name": "x"}) is None
    assert await desk.registrar.approve(desk.store, 9) is None
    assert await desk.registrar.rotate_token(desk.store, 9) is None


@pytest.mark.parametrize(
    ("values", "error", "named"),
    [
        ({"timezone": "Mars/Olympus"}, UnknownZone, "Mars/Olympus"),
        ({"networks": ["10.0.0.0/33"]}, ValueError, "networks"),
        ({"site_id": 7}, ValueError, "no site 7"),
        ({"serial": "SN-2"}, Conflict, "SN-2|serial"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    desk: Desk, values: dict[str, Any], error: type[Exception], named: str
) -> None:
    desk.store.create_terminal(now_ms=0, serial="SN-2")
    row, _ = await desk.create(name="Gate")
    for attempt in (
        desk.registrar.change(desk.store, row.id, values),
        desk.registrar.create(desk.store, values, with_token=True, now_ms=0),
    ):
        with pytest.raises(error, match=named):
            await attempt
    assert desk.store.terminal(row.id) == row
    assert len(desk.store.terminals()) == 2


async def test_where_pushes_have_a_socket_of_their_own_the_address_is_that_ones(desk: Desk) -> None:
    own = Desk(desk.store, ingest_listen="0.0.0.0:8090", certificate_file="chain.pem", ingest_tls=False)
    assert own.registrar.address("T", asked_at="https://10.0.0.1:8443/") == "http://10.0.0.1:8090/Record/T"
    ipv6 = Desk(desk.store, ingest_listen="[::]:8090", certificate_file="chain.pem")
    assert ipv6.registrar.address("T", asked_at="https://[fd00::1]/") == "https://[fd00::1]:8090/Record/T"
    told = Desk(desk.store, ingest_listen="0.0.0.0:8090", ingest_url="https://gate.example")
    assert told.registrar.address("T", asked_at="http://10.0.0.1/") == "https://gate.example/Record/T"


async def test_a_process_beside_us_pushes_to_our_socket_itself(desk: Desk) -> None:
    here = ("127.0.0.1", 8080)
    assert desk.registrar.own_address("T", server=here) == "http://127.0.0.1:8080/Record/T"
    tls = Desk(desk.store, certificate_file="chain.pem", ingest_url="https://gate.example")
    assert tls.registrar.own_address("T", server=("::1", 8443)) == "https://[::1]:8443/Record/T"
    own = Desk(desk.store, certificate_file="chain.pem", ingest_listen="0.0.0.0:8090", ingest_tls=False)
    assert own.registrar.own_address("T", server=here) == "http://127.0.0.1:8090/Record/T"
    bound = Desk(desk.store, ingest_listen="[::]:8090")
    assert bound.registrar.own_address("T", server=here) == "http://[::1]:8090/Record/T"
