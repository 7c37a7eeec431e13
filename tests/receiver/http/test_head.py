"""HEAD gets what GET gets, without the body."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.receiver.kit import Running, Sender, receiving, request
from tests.receiver.test_access_matrix import endpoints

from gatepost.console.commands import console_pages

VARIES = {"date", "content-length", "transfer-encoding", "location", "set-cookie", "etag"}
"""Headers that are not the same in two responses, and those about a body."""


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    async with receiving(tmp_path / "data", pages=console_pages) as running:
        yield running


async def test_head_is_get_without_the_body_for_every_route(receiver: Running) -> None:
    paths = [one.path for one in endpoints(receiver) if one.method == "GET"]
    assert len(paths) > 80
    headers = {"Authorization": f"Bearer {receiver.token}", "Accept": "text/html"}
    for path in [*paths, "/healthz", "/readyz", "/nowhere", "/api/v1/nowhere"]:
        got = await _asked(receiver.port, "GET", path, headers)
        head = await _asked(receiver.port, "HEAD", path, headers)
        assert head == got, path


async def _asked(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, set[str]]:
    """Return status and names of the headers; with HEAD nothing may follow them."""
    sender = await Sender.connect(port)
    try:
        await sender.write(request(method, path, b"", {**headers, "Connection": "close"}))
        head = (await sender.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if method == "HEAD":
            assert await sender.ended() == b""
    finally:
        await sender.close()
    status, *lines = head.split("\r\n")
    names = {line.partition(":")[0].lower() for line in lines if line}
    return int(status.split(" ")[1]), names - VARIES - {"connection"}


async def test_the_length_is_that_of_the_body(receiver: Running) -> None:
    got = await receiver.get("/api/openapi.json")
    sender = await Sender.connect(receiver.port)
    await sender.write(request("HEAD", "/api/openapi.json", b"", {"Connection": "close"}))
    head = await sender.reader.readuntil(b"\r\n\r\n")
    assert f"content-length: {len(got.body)}\r\n".encode() in head.lower()
    await sender.close()
