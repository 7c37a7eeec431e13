"""``gatepost views list | show | save | rename | delete``."""

import json

import pytest
from tests.client.conftest import Run
from tests.receiver.kit import Running


async def test_a_view_is_saved_listed_shown_renamed_and_deleted(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    # Shared: the token came from the command line, and no user owns what it saves.
    said = ("views", "save", "records", "Refused", "passed=false", "q=a=b", "--shared", "--json")
    assert await run(*said) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["page"], made["name"], made["filters"]) == (
        "records", "Refused", {"passed": "false", "q": "a=b"}
    )  # fmt: skip
    number = str(made["id"])
    assert await run("views", "list", "--page", "records") == 0
    assert "Refused  q=a=b  passed=false" in capsys.readouterr().out
    assert await run("views", "list", "--page", "alarms") == 0
    assert capsys.readouterr().out == ""
    assert await run("views", "rename", number, "Not let in") == 0
    assert "Not let in" in capsys.readouterr().out
    assert await run("views", "show", number) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert "Not let in" in first
    assert rest == ["q=a=b", "passed=false", f"/views/{number}"]
    assert await run("views", "delete", number) == 0
    assert await run("views", "show", number) == 1
    assert f"there is no view {number}" in capsys.readouterr().err


async def test_what_is_no_filter_and_no_page_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("views", "save", "records", "x", "passed") == 2
    assert "name=value" in capsys.readouterr().err
    assert await run("views", "save", "nowhere", "x", "--shared") == 1
    assert "page" in capsys.readouterr().err
