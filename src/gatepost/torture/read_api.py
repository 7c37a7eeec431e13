"""The events that the receiver lists, read through its API.

Flow: a token that may read → ``/api/v1/records`` and ``/api/v1/alarms``, page by page → names.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gatepost.conformance.raw_http import Connection, NoResponse, Target, request
from gatepost.errors import GatepostError

__all__ = ["ListingError", "get", "items", "listed", "settle"]

PAGE = 100
REPLY_S = 60.0


class ListingError(GatepostError):
    """The receiver does not list its events."""


async def listed(address: str, folder: Path) -> list[str]:
    """Return the name of every event that the receiver lists. ``folder``: its data folder.

    Raises ListingError.
    """
    token = await asyncio.to_thread(_token, folder)
    await settle(address, token)
    names = [str(item["uuid"]) async for item in items(address, "records", token)]
    async for item in items(address, "alarms", token):
        names += [f"{item['trace_id']}/{step['status']}" for step in item["history"]]
    return names


def _token(folder: Path) -> str:
    words = ("tokens", "create", "--data", str(folder), "--role", "viewer", "--name", "torture")
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "gatepost.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise ListingError(f"no token could be made: {done.stderr.strip()}")
    return done.stdout.split()[-1]


async def settle(address: str, token: str) -> None:
    """Wait until the receiver has listed everything that it acknowledged. Raises ListingError."""
    try:
        async with asyncio.timeout(REPLY_S):
            while (await get(address, "stats", token))["journal"]["events"]:  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise ListingError(f"the journal was not listed within {REPLY_S:.0f} s") from None


async def get(address: str, what: str, token: str) -> Any:
    """Return a resource of the API. Raises ListingError."""
    target = Target.parse(f"{address}/api/v1/{what}")
    head, body = request(target, b"", (("Authorization", f"Bearer {token}"),), method="GET")
    async with Connection.open(target, timeout_s=REPLY_S) as connection:
        await connection.send(head, body)
        answer = await connection.read()
    if isinstance(answer, NoResponse) or answer.status != 200:
        why = answer.why if isinstance(answer, NoResponse) else f"HTTP {answer.status}"
        raise ListingError(f"{target.path} was not answered: {why}")
    return json.loads(answer.body)


async def items(address: str, what: str, token: str) -> AsyncIterator[dict[str, Any]]:
    """Return all items of a resource, page by page; ``what`` may have parameters. Raises ListingError."""
    mark = "&" if "?" in what else "?"
    cursor = ""
    while True:
        page = await get(address, f"{what}{mark}limit={PAGE}{cursor}", token)
        for item in page["items"]:
            yield item
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={quote(page['next_cursor'], safe='')}"
