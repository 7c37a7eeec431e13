"""The table of roles in the documentation says what the code does."""

import re
from pathlib import Path

import pytest
from litestar import Controller

from gatepost.console.routes import PAGES
from gatepost.receiver.api.access.authorization import needed
from gatepost.receiver.auth.principal import ROLES, Principal, may

ROWS = {
    "see the live page, alarms, and single records with their images": "GET /",
    "see who is inside": "GET /inside",
    "acknowledge alarms": "POST /alarms/{alarm_id}/acknowledge",
    "see card and identity numbers, numbers in the description of an alarm, and the JSON as it was pushed": "numbers",
    "search records; see people, attendance, statistics, terminals and the quarantine": "GET /records",
    "export: CSV, Excel, JSON and ZIP": "GET /records/export",
    "close alarms": "POST /alarms/{alarm_id}/close",
    "add and strike passages; schedules, holidays and assignments (with every site only)": "POST /corrections",
    "mark people, join and part them": "POST /people/{person_id}/join",
    "approve terminals; process the quarantine again": "POST /terminals/{terminal_id}/approve",
    "make, change and retire terminals; discard from the quarantine": "POST /terminals",
    "erase people": "POST /people/{person_id}/erase",
    "users, tokens, sites, settings, audit, receivers, destinations (with every site only)": "GET /settings/users",
}
"""What is in the English table, and an endpoint that stands for it."""

DOCS = Path(__file__).parent.parent / "docs" / "how-to"


def table(page: str) -> list[tuple[str, list[bool]]]:
    """Return the rows of the table of roles: what is done, and which roles may."""
    found = re.findall(
        r"^\| ([^|]+) \| ([✓–]) \| ([✓–]) \| ([✓–]) \| ([✓–]) \|$", (DOCS / page).read_text(), re.M
    )
    return [(what, [mark == "✓" for mark in marks]) for what, *marks in found]


def options(endpoint: str) -> dict[str, object]:
    """Return the options of an endpoint of the console."""
    method, path = endpoint.split(" ")
    for controller in PAGES:
        own = vars(controller)
        for handler in own.values():
            if method in getattr(handler, "http_methods", ()):
                paths = {
                    re.sub(r":\w+", "", own.get("path", "") + one.rstrip("/")) or "/" for one in handler.paths
                }
                if path in paths:
                    return {**own.get("opt", {}), **handler.opt}
    raise LookupError(endpoint)


def allowed(endpoint: str) -> list[bool]:
    if endpoint == "numbers":
        return [Principal("anna", role).visible.numbers for role in ROLES]
    asked = needed(options(endpoint))
    return [may(role, asked.role, also=asked.also) for role in ROLES]


def test_the_table_of_roles_is_what_the_routes_say() -> None:
    rows = table("console.md")
    assert [what for what, _ in rows] == list(ROWS)
    assert dict(rows) == {what: allowed(ROWS[what]) for what in ROWS}


def test_the_table_in_chinese_has_the_same_marks() -> None:
    assert [marks for _, marks in table("console.zh.md")] == [marks for _, marks in table("console.md")]


def test_what_is_for_every_site_only_says_so() -> None:
    assert needed(options("GET /settings/users")).every_site


def test_an_endpoint_that_there_is_not_is_not_taken_for_one() -> None:
    assert issubclass(PAGES[0], Controller)
    with pytest.raises(LookupError):
        options("GET /nowhere")
