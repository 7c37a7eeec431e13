"""Whatever stands in an address, a form or a header: the receiver says what is wrong with it, and never fails."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from litestar.routes import HTTPRoute
from tests.console.kit import Desk
from tests.receiver.kit import Sender, record

DIGITS = "9" * 5000
NO_LATIN = quote("/人员/é", safe="")
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
IN_FORMS = ("back", "next", "name", "days", "site", "networks", "timezone", "serial", "state", "note")
ENDLESS = "/api/v1/live"


def addresses(desk: Desk, value: str) -> Iterator[str]:
    """Every page and every list of the API, with this value in each of its parts and parameters in turn."""
    for route in desk.running.desk.api.routes:
        if not isinstance(route, HTTPRoute) or route.path == ENDLESS:
            continue
        for handler, model in route.route_handler_map.values():
            if "GET" not in handler.http_methods:
                continue
            plain = re.sub(r"\{[^}]*\}", "1", route.path)
            if plain != route.path:
                yield re.sub(r"\{[^}]*\}", value, route.path)
            names = [one.field_alias for one in model.expected_query_params]
            # A page reads its parameters by itself.
            for name in names or [
                "q",
                "cursor",
                "day",
                "month",
                "since",
                "terminal",
                "status",
                "next",
                "show",
            ]:
                yield f"{plain}?{name}={value}"


@pytest.mark.parametrize("value", [DIGITS, NO_LATIN], ids=["digits", "no_latin"])
async def test_no_address_makes_the_receiver_fail(desk: Desk, value: str) -> None:
    await desk.running.push(record())
    cookie = {"Cookie": f"gatepost_session={desk.cookies['admin']}"}
    sender = await Sender.connect(desk.running.port)
    asked = list(addresses(desk, value))
    failed = [path for path in asked if (await sender.request("GET", path, headers=cookie)).status >= 500]
    await sender.close()
    assert len(asked) > 300
    assert failed == []


@pytest.mark.parametrize("value", [DIGITS, NO_LATIN], ids=["digits", "no_latin"])
async def test_no_form_makes_the_receiver_fail(desk: Desk, value: str) -> None:
    await desk.running.push(record())
    desk.running.settle()
    headers = {**FORM, "Cookie": f"gatepost_session={desk.cookies['admin']}"}
    sender = await Sender.connect(desk.running.port)
    failed = []
    for path in (
        "/language",
        "/login",
        "/account/password",
        "/terminals",
        "/terminals/1",
        "/terminals/1/approve",
    ):
        for name in IN_FORMS:
            answer = await sender.request("POST", path, f"{name}={value}".encode(), headers)
            failed += [(path, name)] if answer.status >= 500 else []
    await sender.close()
    assert failed == []


async def test_a_login_leads_to_a_page_whose_address_is_not_latin(desk: Desk) -> None:
    answer = await desk.post(
        "/login", None, name="viewer", password="correct horse battery", next="/people?q=王五"
    )
    assert (answer.status, answer.location) == (303, f"/people?q={quote('王五')}")
    answer = await desk.post("/language", None, language="en", back="/people?q=%E7%8E%8B")
    assert answer.location == "/people?q=%E7%8E%8B"


@pytest.mark.parametrize("place", [DIGITS, "9" * 19, "٣", "-1"])
async def test_a_place_in_the_stream_that_is_none_is_said(desk: Desk, place: str) -> None:
    text = place.encode().decode("latin-1")
    answer = await desk.running.request("GET", "/api/v1/live", headers={"Last-Event-ID": text})
    assert answer.status == 400
    assert "Last-Event-ID" in answer.json["detail"]
