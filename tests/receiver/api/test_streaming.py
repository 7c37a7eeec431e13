import os
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from litestar import Request
from litestar.response import Stream
from msgspec.structs import replace
from tests.receiver.api.listener import Listener
from tests.receiver.kit import JPEG, Running, base64, record, request, until

from gatepost.receiver.api import streaming
from gatepost.receiver.api.events import live
from gatepost.receiver.api.exports import download
from gatepost.store.questions import UserStore


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Stream]:
    """Every response, held on to as a traceback or a circle of objects does: nobody's last reference goes."""
    found: list[Stream] = []

    async def keep(*args: Any, **more: Any) -> Stream:
        found.append(await streaming.streamed(*args, **more))
        return found[-1]

    monkeypatch.setattr(download, "streamed", keep)
    monkeypatch.setattr(live, "streamed", keep)
    return found


def held(folder: Path) -> list[str]:
    """The files in a folder, and those that are open though they have no name any more."""
    # os.walk passes over a folder that is removed meanwhile.
    found = [str(Path(at, name)) for at, folders, files in os.walk(folder) for name in folders + files]
    for handle in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(handle.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return [path for path in found if path.startswith(str(folder))]


def nobody_reads(receiver: Running) -> bool:
    """Whether a response waits for its reader."""
    return any(connection.flow.write_paused for connection in receiver.ingest.guard._open)


@pytest.mark.parametrize(("kind", "waits"), [("zip", True), ("zip", False), ("xlsx", False)])
async def test_who_leaves_in_the_middle_of_an_export_leaves_no_file_behind(
    receiver: Running,
    spool: Path,
    kept: list[Stream],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    waits: bool,
) -> None:
    await receiver.push(record(rgb_image=base64(JPEG + b"x" * 100_000)))
    real = receiver.store.records

    def endless(query: Any) -> Any:
        page = real(replace(query, cursor=None))
        return type(page)(page.items * 100, "again")

    monkeypatch.setattr(UserStore, "records", staticmethod(endless))
    headers = {"Authorization": f"Bearer {receiver.token}"}
    sender = await receiver.connect()
    await sender.write(request("GET", f"/api/v1/records/export?format={kind}", headers=headers))
    assert b"200" in await sender.reader.readline()
    await until(lambda: held(spool) != [] and (nobody_reads(receiver) or not waits))
    sender.writer.transport.abort()
    await until(lambda: held(spool) == [])
    turns = download._turns
    await until(lambda: turns._value == download.AT_ONCE)  # type: ignore[attr-defined]


async def test_who_leaves_the_live_stream_leaves_the_seat_to_others(
    receiver: Running, kept: list[Stream]
) -> None:
    listener = await Listener.open(receiver)
    await receiver.push(record())
    assert await listener.event() is not None
    await listener.close()
    await until(lambda: receiver.desk.live.listeners == 0)
    assert len(kept) == 1


async def test_what_is_wrong_with_the_question_is_said_before_anything_is_sent(receiver: Running) -> None:
    assert (await receiver.get("/api/v1/records/export?columns=none-of-ours")).status == 400
    assert (await receiver.get("/api/v1/records/export")).status == 200


async def test_what_is_still_held_on_to_is_closed_with_the_request() -> None:
    """Cut off while a piece is being sent, and not while one is being made: nothing else would end it then."""
    ended: list[str] = []

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(3):
                yield b"piece"
        finally:
            ended.append("closed")

    for started in (False, True):
        scope: dict[str, Any] = {"type": "http"}
        response = await streaming.streamed(Request(scope), pieces(), media_type="text/csv", headers={})  # type: ignore[arg-type]
        whole = response.iterator
        if started:
            assert await anext(aiter(whole)) == b"piece"  # type: ignore[arg-type]
        await streaming.close(scope)
        await streaming.close(scope)
        assert ended.pop() == "closed"
