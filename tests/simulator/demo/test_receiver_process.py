import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.simulator.demo.inventory import Api, ApiError
from gatepost.simulator.demo.receiver_process import ReceiverFailed, ReceiverProcess


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[ReceiverProcess]:
    receiver = ReceiverProcess(tmp_path)
    yield receiver
    await receiver.stop()


async def test_it_is_at_the_same_address_after_it_was_killed_and_started_again(
    receiver: ReceiverProcess,
) -> None:
    await receiver.start()
    async with Api(receiver.url, token=receiver.make_token) as api:
        assert b"ok" in await api.get("/healthz")
        await receiver.kill()
        with pytest.raises(ApiError):
            await api.get("/healthz")
        await receiver.start()
        assert b"ok" in await api.get("/healthz")


async def test_stopping_twice_is_stopping_once(receiver: ReceiverProcess) -> None:
    await receiver.start()
    async with asyncio.timeout(30):
        await receiver.stop()
        await receiver.stop()


async def test_a_receiver_that_cannot_start_is_told_with_what_it_said(receiver: ReceiverProcess) -> None:
    taken = socket.create_server(("127.0.0.1", receiver.port))
    with taken, pytest.raises(ReceiverFailed, match=r"the receiver ended at its start: .*in use"):
        await receiver.start()


async def test_a_token_that_it_makes_may_read_what_the_receiver_lists(receiver: ReceiverProcess) -> None:
    await receiver.start()
    async with Api(receiver.url, token=receiver.make_token) as api:
        found = await api.inventory()
    assert found.events == ()
    assert found.stats["records"] == 0


async def test_a_token_that_cannot_be_made_is_told_with_the_reason(receiver: ReceiverProcess) -> None:
    receiver.data.write_text("no folder")
    with pytest.raises(ReceiverFailed, match="tokens create"):
        await receiver.make_token()
