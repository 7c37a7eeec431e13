"""What the API lists is read to the last page; a receiver that does not list is said to be one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conformance.tiny_receiver import Push, TinyReceiver, reply

from gatepost.torture import read_api
from gatepost.torture.read_api import ListingError, listed

RECORDS = {"": (["a", "b"], "n/1"), "n%2F1": (["c"], None)}
BEHIND = iter([2, 1, 0])
ALARMS = [{"trace_id": "t", "history": [{"status": 1}, {"status": 3}]}]


class Api(TinyReceiver):
    """Returns a journal that gets shorter, two pages of records and one of alarms, to the holder of the token."""

    async def head(self, reader) -> dict[str, str] | None:  # type: ignore[no-untyped-def]
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *rest = raw.decode().split("\r\n")
        headers = {line.split(":")[0].lower(): line.partition(":")[2].strip() for line in rest if line}
        return {**headers, "path": first.split(" ")[1]}


def api(push: Push) -> bytes:
    if push.headers.get("authorization") != "Bearer tok":
        return reply(401)
    path = push.headers["path"]
    if path.endswith("/stats"):
        return reply(value={"journal": {"events": next(BEHIND, 0)}})
    if "/alarms" in path:
        return reply(value={"items": ALARMS, "next_cursor": None})
    uuids, cursor = RECORDS[path.partition("&cursor=")[2]]
    return reply(value={"items": [{"uuid": uuid} for uuid in uuids], "next_cursor": cursor})


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda word: monkeypatch.setattr(read_api, "_token", lambda folder: word)


async def test_every_page_of_records_and_every_step_of_alarms_is_listed(
    token: Callable[[str], None], tmp_path: Path
) -> None:
    token("tok")
    async with Api(api) as receiver:
        assert await listed(f"http://127.0.0.1:{receiver.port}", tmp_path) == ["a", "b", "c", "t/1", "t/3"]


async def test_a_receiver_that_does_not_list_is_said_to_be_one(
    token: Callable[[str], None], tmp_path: Path
) -> None:
    token("another")
    async with Api(api) as receiver:
        with pytest.raises(ListingError, match="HTTP 401"):
            await listed(f"http://127.0.0.1:{receiver.port}", tmp_path)


async def test_without_a_store_there_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "gatepost.db").write_bytes(json.dumps("no database").encode() * 10)
    with pytest.raises(ListingError, match="no token could be made"):
        await listed("http://127.0.0.1:1", tmp_path)
