"""The lists of each receiver of a cell, through its API, with images.

Rules: an image that a receiver does not have, because its pack is still at another one, is asked for there.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from msgspec import Struct

from gatepost.conformance.raw_http import Connection, NoResponse, Target, request
from gatepost.torture.judge import Found
from gatepost.torture.oracle import digest, name_of
from gatepost.torture.read_api import ListingError, items, settle

__all__ = ["everything", "names"]

AT_ONCE = 4
REPLY_S = 60.0


class _Item(Struct, frozen=True):
    """An event, and the path of its image."""

    data: dict[str, Any]
    image: str | None


async def names(address: str, token: str) -> list[str]:
    """Return the name of every event that a receiver lists. Raises ListingError."""
    return [name_of(item.data) async for item in _items(address, token)]


async def everything(addresses: Sequence[str], token: str) -> list[Found]:
    """Return every event that the first receiver lists, with its image. Raises ListingError."""
    for address in addresses:
        await settle(address, token)
    listed = [item async for item in _items(addresses[0], token)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def found(item: _Item) -> Found:
        async with gate:
            image = None if item.image is None else await _image(addresses, item.image, token)
            return Found(name_of(item.data), item.data, image)

    return await asyncio.gather(*(found(item) for item in listed))


async def _items(address: str, token: str) -> AsyncIterator[_Item]:
    async for record in items(address, "records?include=original", token):
        yield _item(record)
    async for alarm in items(address, "alarms?include=original", token):
        for step in alarm["history"]:
            yield _item(step)


def _item(value: dict[str, Any]) -> _Item:
    return _Item(json.loads(value["original"])["data"], value["image"])


async def _image(addresses: Sequence[str], path: str, token: str) -> str:
    """Return a digest of the image, or why no receiver has it."""
    said = []
    for address in addresses:
        target = Target.parse(f"{address}{path}")
        head, body = request(target, b"", (("Authorization", f"Bearer {token}"),), method="GET")
        try:
            async with Connection.open(target, timeout_s=REPLY_S) as connection:
                await connection.send(head, body)
                answer = await connection.read()
        except OSError as error:
            raise ListingError(f"{path} cannot be asked for: {error}") from None
        if not isinstance(answer, NoResponse) and answer.status == 200:
            return digest(answer.body)
        said.append(answer.why if isinstance(answer, NoResponse) else f"HTTP {answer.status}")
    return f"no receiver has it: {', '.join(said)}"
