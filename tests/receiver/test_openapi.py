"""The API against its own document: no 5xx, no status and no shape that the document does not tell of.

Schemathesis makes requests out of the document, fitting ones and others, and holds every answer against it.
"""

import asyncio
import functools
import json
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from tests.receiver.kit import Running, alarm, base64, receiving, record

from gatepost.receiver.auth.issuing import issue_token


@functools.cache
def checker() -> Any:
    """Import Schemathesis: it takes a second, and only the process that runs this test needs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own dependencies warn at import
        import schemathesis
        import schemathesis.core.failures
        import schemathesis.generation
        import schemathesis.specs.openapi.checks
        from schemathesis.checks import load_all_checks
    load_all_checks()
    return schemathesis


def wanted() -> list[Any]:
    """Return what each reply is held against."""
    checks = checker().specs.openapi.checks
    return [
        checker().checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]


EXAMPLES, MANY = 2, 25
"""Requests of each kind that are made of each operation, in `make test` and in `make soak`."""

ENDLESS = {"/api/v1/live"}
"""Answers that never end; tests/receiver/api/events/test_live.py reads them."""


async def fill(receiver: Running) -> None:
    """Something of everything, so that what is asked for by a small id is there."""
    for number in range(5):
        face = base64(b"\xff\xd8face\xff\xd9") if number % 2 else ""
        await receiver.push(record(uuid=f"u-{number}", rgb_image=face, deviceSN=f"SN-{number % 2}"))
    for status in (1, 2, 3):
        await receiver.push(alarm(status=status, user_id=5))
    for kind in (8, 9):
        await receiver.push({"type": kind})


def hold(receiver: Running, document: dict[str, Any], examples: int) -> tuple[Counter[int], list[str]]:
    """Ask every operation; answer how often there was which status, and what was not as the document says."""
    found: Counter[int] = Counter()
    broken: list[str] = []
    schema = checker().openapi.from_dict(document)
    mode = checker().generation.GenerationMode
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in ENDLESS:
            continue
        # One each: a token may well be asked to withdraw itself.
        token, _ = issue_token(receiver.desk.access.doors.accounts, "x", "admin", by="t", now_ms=0)
        for each in (mode.POSITIVE, mode.NEGATIVE):
            try:
                one(operation.as_strategy(generation_mode=each), receiver.port, token, found, examples)()
            except Unsatisfiable:
                continue  # there is nothing about it that could be wrong
            except checker().core.failures.FailureGroup as failures:
                broken += [f"{operation.method} {operation.path}: {error}" for error in failures.exceptions]
    return found, broken


def one(strategy: Any, port: int, token: str, found: Counter[int], examples: int) -> Callable[[], None]:
    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def ask(case: Any) -> None:
        headers = {**dict(case.headers or {}), "Authorization": f"Bearer {token}"}
        response = case.call(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20)
        if response.headers.get("content-type") == ["application/json"] and response.status_code == 400:
            return  # no HTTP request: the connection refused it, and the API never saw it
        found[response.status_code] += 1
        case.validate_response(response, checks=wanted())

    return ask


@pytest.mark.parametrize("examples", [EXAMPLES, pytest.param(MANY, marks=pytest.mark.soak)])
async def test_the_api_keeps_to_its_document(tmp_path: Path, examples: int) -> None:
    async with receiving(tmp_path / "data") as receiver:
        await fill(receiver)
        document = (await receiver.get("/api/openapi.json")).json
        found, broken = await asyncio.to_thread(hold, receiver, document, examples)
        assert not broken, "\n\n".join(broken)
        assert not [status for status in found if status >= 500]
        # That it was about something: many were let in, and there were answers of every kind.
        assert {200, 400, 404} <= set(found)
        assert found[200] + found[201] + found[204] > 75
        assert found[401] + found[403] < sum(found.values()) / 20


async def test_the_document_is_complete_and_speaks_of_nobody(receiver: Running) -> None:
    made = (await receiver.get("/api/openapi.json")).json
    routes = receiver.desk.api.routes
    served = {route.path_format for route in routes if route.path.startswith("/api/v1/")}
    assert served == set(made["paths"])
    operations = [one for item in made["paths"].values() for one in item.values()]
    assert all(one.get("summary") for one in operations)
    ids = [one["operationId"] for one in operations]
    assert len(ids) == len(set(ids))
    assert len(json.dumps(made)) < 400_000
