"""The receiving end on the page about forwarding takes what gatepost signs, and nothing else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tests.reader import snippets

from gatepost.forward.admin import new_secret
from gatepost.forward.sinks.webhook import signature, signing_key

PAGE = Path(__file__).parents[2] / "docs/how-to/forward.md"
BODY = b'{"id":"record-17"}'


class Refused(Exception):
    pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, str]], Any]:
    """The program of the page, with a double of Flask that hands it a request."""
    secret = new_secret()
    monkeypatch.setenv("HOOK_SECRET", secret)
    request = SimpleNamespace(headers={}, get_data=lambda: BODY, get_json=lambda force: {"id": "record-17"})

    class Flask:
        def __init__(self, name: str) -> None: ...

        def post(self, path: str) -> Callable[[Any], Any]:
            return lambda function: function

        def run(self, port: int) -> None: ...

    def abort(status: int) -> None:
        raise Refused

    module = ModuleType("flask")
    module.__dict__.update(Flask=Flask, abort=abort, request=request)
    monkeypatch.setitem(sys.modules, "flask", module)
    (program,) = [one.text for one in snippets(PAGE) if one.language == "python"]
    names: dict[str, Any] = {"__name__": "page"}
    exec(program, names)  # noqa: S102 - it is our own page

    def post(signed_with: str, changed: dict[str, str]) -> Any:
        at = int(time.time())
        keys = [signing_key(new_secret()), signing_key(signed_with or secret)]
        request.headers = {
            "webhook-id": "record-17",
            "webhook-timestamp": str(at),
            "webhook-signature": signature(keys, "record-17", at, BODY),
            **changed,
        }
        return names["hook"]()

    return post


def test_what_gatepost_signs_is_taken_also_next_to_another_signature(hook: Callable[..., Any]) -> None:
    assert hook("", {}) == ("", 204)


@pytest.mark.parametrize(
    ("secret", "changed"),
    [
        ("another-secret", {}),
        ("", {"webhook-id": "record-18"}),
        ("", {"webhook-timestamp": "1700000000"}),
        ("", {"webhook-signature": "v1,AAAA"}),
    ],
)
def test_whatever_is_changed_or_old_is_refused(
    hook: Callable[..., Any], secret: str, changed: dict[str, str]
) -> None:
    with pytest.raises(Refused):
        hook(secret, changed)


def test_without_a_secret_it_does_not_start(
    hook: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK_SECRET")
    (program,) = [one.text for one in snippets(PAGE) if one.language == "python"]
    with pytest.raises(KeyError, match="HOOK_SECRET"):
        exec(program, {"__name__": "page"})  # noqa: S102 - it is our own page
