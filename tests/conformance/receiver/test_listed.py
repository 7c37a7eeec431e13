"""What was acknowledged is listed: each rule held against receivers that list something else."""

import asyncio
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.conformance.receiver.kit import BY_ID, PATIENT
from tests.conformance.rules_of import rules_of
from tests.conformance.tiny_receiver import Push, TinyReceiver, reply

from gatepost.conformance.raw_http import Target
from gatepost.conformance.receiver import listed
from gatepost.conformance.receiver.probe import Api, Probe
from gatepost.conformance.rule import Finding, NotTried, Verdict

IDS = sorted(rules_of(listed))
Item = dict[str, Any]


def when(value: str | float) -> str:
    """Read a time in seconds, in microseconds or in ISO 8601."""
    if isinstance(value, str):
        return value
    seconds = value / 1_000_000 if value > 1e12 else value
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


class Listing(TinyReceiver):
    """Stores by ``key`` what is pushed, and lists it."""

    def __init__(self, *, key: Callable[[Item], Any] | None = None, token: str = "") -> None:
        super().__init__(self.store)
        self.key = key or (lambda data: json.dumps(data, sort_keys=True))
        self.token = token
        self.stored: dict[Any, Item] = {}
        self.path = ""

    def store(self, push: Push) -> bytes:
        if self.path.startswith("/api/"):
            if push.headers.get("authorization", "") != (f"Bearer {self.token}" if self.token else ""):
                return reply(401, {})
            what = urlsplit(self.path).path.rpartition("/")[2]
            return reply(200, {"items": getattr(self, what)(), "next_cursor": None})
        if push.event is None:
            return reply(400, {"code": 400, "message": "", "data": {}})
        self.stored.setdefault(self.key(push.data), push.data)
        return reply()

    async def head(self, reader: asyncio.StreamReader) -> dict[str, str] | None:
        try:
            first = await reader.readline()
        except ConnectionError:
            return None
        self.path = first.split()[1].decode() if first.split() else ""
        return await super().head(reader)

    def person(self, user: Item) -> Item:
        number = user.get("user_id", "")
        return {"user_id": str(int(number)) if isinstance(number, float) else number.rstrip("\0")}

    def passed(self, data: Item) -> object:
        return data.get("pass") in (True, "True")

    def records(self) -> list[Item]:
        items = []
        for data in self.stored.values():
            if "trace_id" in data:
                continue
            items.append(
                {
                    "uuid": data.get("uuid"),
                    "person": self.person(data.get("user", {})),
                    "passed": self.passed(data),
                    "recorded_at": when(data["timestamp"]),
                }
            )
        return items

    def alarms(self) -> list[Item]:
        items: list[Item] = []
        for data in self.stored.values():
            if data.get("status") == 1:
                items.append({"trace_id": data["trace_id"], "code": data["code"], "state": "open"})
            elif "status" in data:
                items[-1]["state"] = "cleared"
        return items


class BelievesWords(Listing):
    def passed(self, data: Item) -> object:
        return bool(data.get("pass"))


class KeepsDoubles(Listing):
    def person(self, user: Item) -> Item:
        return {"user_id": str(user.get("user_id"))}


class ListsTwice(Listing):
    def records(self) -> list[Item]:
        return super().records() * 2


async def seen(id: str, receiver: Listing, *, token: str = "", api: bool = True) -> Finding:
    async with receiver:
        base = receiver.url.removesuffix("/Record")
        reading = Api(Target.parse(base), token) if api else None
        probe = Probe(Target.parse(receiver.url), limits=PATIENT, api=reading, rand=random.Random(1))
        return await BY_ID[id].check(probe)


BREAKERS: tuple[tuple[str, str, Callable[[], Listing]], ...] = (
    ("listed-ids", "keeps one of a uuid", lambda: Listing(key=lambda data: data.get("uuid"))),
    ("listed-once", "lists twice", ListsTwice),
    ("listed-alarms", "keeps one step of a trace", lambda: Listing(
        key=lambda data: (data.get("trace_id"), data.get("status")))),
    ("listed-values", "believes words", BelievesWords),
    ("listed-values", "keeps doubles", KeepsDoubles),
)  # fmt: skip


@pytest.mark.parametrize("id", IDS)
async def test_a_receiver_that_lists_what_it_acknowledged_keeps_the_rule(id: str) -> None:
    finding = await seen(id, Listing(token="t"), token="t")
    assert finding.verdict is Verdict.PASS, finding.why


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_receiver_that_lists_something_else_fails(
    id: str, how: str, make: Callable[[], Listing]
) -> None:
    finding = await seen(id, make())
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


def test_every_rule_here_has_a_receiver_that_breaks_it() -> None:
    assert {id for id, _, _ in BREAKERS} == set(IDS)


@pytest.mark.parametrize("id", IDS)
async def test_without_an_api_or_with_a_wrong_token_nothing_is_tried_and_the_option_is_named(id: str) -> None:
    for receiver, api in ((Listing(), False), (Listing(token="t"), True)):
        with pytest.raises(NotTried, match="--api"):
            await seen(id, receiver, token="wrong", api=api)
