from typing import Any

import pytest
import structlog
from litestar import Litestar, get
from litestar.testing import TestClient
from structlog.testing import capture_logs
from tests.receiver.kit import Answer, Running

from gatepost.errors import SettingsError, StoreCorrupt, StoreUnavailable
from gatepost.receiver.api import problem_details
from gatepost.store.terminals.registry import Conflict

MEMBERS = {"type", "title", "status", "detail", "instance"}


def is_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json
    assert set(told) - {"errors"} == MEMBERS
    assert told["status"] == status
    return told


async def test_a_wrong_parameter_is_named_and_so_is_every_further_one(receiver: Running) -> None:
    told = is_problem(await receiver.get("/api/v1/records?has_image=perhaps&passed=maybe"), 400)
    assert {error["where"] for error in told["errors"]} == {"has_image", "passed"}
    assert "passed: " in told["detail"]


async def test_a_wrong_field_of_the_body_is_named(receiver: Running) -> None:
    told = is_problem(await receiver.request("POST", "/api/v1/session", b'{"name": 1, "password": "x"}'), 400)
    assert [error["where"] for error in told["errors"]] == ["name"]


async def test_a_body_that_is_no_json_is_a_problem_too(receiver: Running) -> None:
    is_problem(await receiver.request("POST", "/api/v1/tokens", b"{"), 400)


async def test_the_instance_tells_the_path_and_nothing_that_was_searched_for(receiver: Running) -> None:
    answer = await receiver.get("/api/v1/records?name=Zhang&limit=0")
    assert is_problem(answer, 400)["instance"] == "/api/v1/records"
    assert b"Zhang" not in answer.body


async def test_what_is_not_there_and_what_is_not_allowed_say_what_to_do(receiver: Running) -> None:
    assert "openapi.json" in is_problem(await receiver.get("/nowhere"), 404)["detail"]
    other = await receiver.request("PUT", "/api/v1/records")
    assert "Allow" in is_problem(other, 405)["detail"]
    assert "GET" in other.headers["allow"]


async def test_nobody_is_told_how_to_say_who_they_are(receiver: Running) -> None:
    answer = await receiver.request("GET", "/api/v1/records", headers={"Authorization": "Bearer wrong"})
    assert "Authorization: Bearer" in is_problem(answer, 401)["detail"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


def failing(error: Exception) -> TestClient[Litestar]:
    @get("/fails", sync_to_thread=False)
    def fails() -> None:
        raise error

    return TestClient(
        Litestar(
            [fails], exception_handlers=problem_details.HANDLERS, openapi_config=None, logging_config=None
        ),
        raise_server_exceptions=False,
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreUnavailable("the disk is full"), 503),
        (Conflict("there is already one"), 409),
        (SettingsError("password", "is too short"), 400),
        (StoreCorrupt("the file is damaged"), 500),
    ],
)
def test_what_we_raise_on_purpose_is_told_in_its_words(error: Exception, status: int) -> None:
    with failing(error) as client:
        answer = client.get("/fails")
    assert answer.status_code == status
    assert answer.headers["content-type"] == problem_details.MEDIA_TYPE
    assert str(getattr(error, "why", error)) in answer.json()["detail"]
    assert ("retry-after" in answer.headers) == (status == 503)


def test_what_a_driver_says_is_told_to_no_one_who_asks() -> None:
    error = StoreUnavailable("the store cannot be used now: db.example, port 5432 refused")
    error.__cause__ = OSError("refused")
    with failing(error) as client:
        answer = client.get("/fails")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (
        answer.json()["detail"]
        == "the database cannot be used now; try again, and see the log of the receiver"
    )


def test_what_nobody_expected_is_told_to_nobody_and_logged_without_its_words() -> None:
    structlog.reset_defaults()
    with capture_logs() as logged, failing(ValueError("duplicate key: 王五 110101199003070000")) as client:
        answer = client.get("/fails?name=王五")
    assert answer.status_code == 500
    assert "王五" not in answer.text
    assert [entry["event"] for entry in logged] == ["api.failed"]
    assert logged[0]["kind"] == "ValueError"
    assert "fails" in logged[0]["where"][-1]
    assert "王五" not in repr(logged)


async def test_the_document_says_which_problems_a_route_has(receiver: Running) -> None:
    made = (await receiver.get("/api/openapi.json")).json
    assert made["openapi"].startswith("3.1")
    records = made["paths"]["/api/v1/records"]["get"]["responses"]
    assert set(records) == {"200", "400", "401", "403", "503"}
    assert records["400"] == {"$ref": "#/components/responses/Problem400"}
    login = made["paths"]["/api/v1/session"]["post"]
    assert {"200", "400", "401", "403", "429"} <= set(login["responses"])
    assert "security" not in login
    content = made["components"]["responses"]["Problem400"]["content"]
    assert content == {problem_details.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert set(made["components"]["schemas"]["Problem"]["required"]) == MEMBERS
