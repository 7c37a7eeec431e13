"""Query parameters that a route does not take."""

import re
from typing import Any

from tests.receiver.kit import Running

ENDLESS = "/api/v1/live"


async def operations(receiver: Running) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return each operation of the API: method, path with its placeholders filled, query parameters."""
    paths = (await receiver.get("/api/openapi.json")).json["paths"]
    return [
        (
            method.upper(),
            re.sub(r"\{[^}]*\}", "987654321", path),
            [each for each in operation.get("parameters", ()) if each["in"] == "query"],
        )
        for path, item in paths.items()
        if path.startswith("/api/v1/")
        for method, operation in item.items()
    ]


async def test_every_route_refuses_a_parameter_that_it_does_not_take(receiver: Running) -> None:
    found = await operations(receiver)
    assert len(found) > 40
    for method, path, parameters in found:
        answer = await receiver.request(method, f"{path}?zzz=1", b"{}" if method != "GET" else b"")
        assert answer.status == 400, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["errors"][0]["where"] == "zzz"
        names = sorted(each["name"] for each in parameters)
        assert ("takes none" if not names else f"takes {', '.join(names)}") in answer.json["detail"]


async def test_every_documented_parameter_is_taken(receiver: Running) -> None:
    for method, path, parameters in await operations(receiver):
        if path == ENDLESS:
            continue
        for each in parameters:
            # A value that is wrong is refused, too, but not as unknown.
            answer = await receiver.request(
                method, f"{path}?{each['name']}=1", b"{}" if method != "GET" else b""
            )
            assert "unknown query parameter" not in answer.body.decode(), (method, path, each["name"])


async def test_the_message_names_the_parameter_that_was_probably_meant(receiver: Running) -> None:
    for wrong, meant in (
        ("form", "format"),
        ("untill", "until"),
        ("Terminal", "terminal"),
        ("siteid", "site_id"),
    ):
        path = "records/export" if wrong == "form" else "records"
        answer = await receiver.get(
            f"/api/v1/{path}?{wrong}=1&limit=2" if path == "records" else f"/api/v1/{path}?{wrong}=1"
        )
        assert answer.status == 400
        assert answer.json["detail"].startswith(f"{wrong}: unknown query parameter; did you mean `{meant}`?")
        assert [each["where"] for each in answer.json["errors"]] == [wrong]


async def test_a_parameter_that_is_given_twice_is_refused(receiver: Running) -> None:
    answer = await receiver.get("/api/v1/records?terminal=SN-1&terminal=SN-2")
    assert (answer.status, answer.json["detail"]) == (400, "terminal: give it once")


async def test_who_may_not_ask_is_told_that_first(receiver: Running) -> None:
    answer = await receiver.request("GET", "/api/v1/records?zzz=1", headers={"Authorization": "Bearer none"})
    assert answer.status == 401


async def test_a_wrong_value_is_told_by_the_name_in_the_address(receiver: Running) -> None:
    for path, name in (
        ("alarms?state=opened", "state"),
        ("terminals?state=opened", "state"),
        ("people?type=x", "type"),
    ):
        answer = await receiver.get(f"/api/v1/{path}")
        assert answer.status == 400
        assert answer.json["detail"].startswith(f"{name}: ")
        assert [each["where"] for each in answer.json["errors"]] == [name]
