import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from gatepost import wire
from gatepost.errors import OutboxUnavailable
from gatepost.terminal.http_api.auth import Accounts
from gatepost.terminal.http_api.login_throttle import LoginThrottle
from gatepost.terminal.http_api.routes import Inside, Service
from gatepost.terminal.outbox.types import RECORDS, HistoryPage, HistoryQuery, State, Stored

NOW = 1_700_000_000.5
RECORD = wire.Record(
    serial="GP0001",
    uuid="u1",
    recorded_at=datetime(2024, 5, 1, tzinfo=UTC),
    image=b"\xff\xd8jpeg",
    user=wire.User(user_id="5", name="王五", pin="1234", groups=(wire.Group(id="3", name="g"),)),
)


class House:
    """What stands behind the service, in memory."""

    def __init__(self) -> None:
        self.subscription: wire.Subscription | None = None
        self.error: Exception | None = None
        self.queries: list[HistoryQuery] = []
        self.waits: list[float] = []

    async def get(self) -> wire.Subscription | None:
        return self.subscription

    async def subscribe(self, subscription: wire.Subscription) -> None:
        if self.error is not None:
            raise self.error
        self.subscription = subscription

    async def history(self, query: HistoryQuery) -> HistoryPage:
        self.queries.append(query)
        head, tail = wire.encode_parts(RECORD)
        stored = Stored(1, State.DELIVERED, RECORDS, head, RECORD.image, tail, 1, 0, NOW, int(NOW), NOW, "")
        return HistoryPage(260, (stored, stored))

    async def status(self) -> Mapping[str, object]:
        if self.error is not None:
            raise self.error
        return {"accepted": 3, "pending": 3} | (
            {"subscription": self.subscription} if self.subscription else {}
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


class Client:
    """One terminal's service and somebody who asks it over a real socket."""

    def __init__(self, house: House, service: Service, session: aiohttp.ClientSession) -> None:
        self.house = house
        self.base = f"http://127.0.0.1:{service.port}"
        self.session = session
        self.headers: Mapping[str, str] = {}

    async def __call__(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, self.base + path, data=data, headers=sent) as reply:
            self.headers = reply.headers
            return reply.status, json.loads(await reply.read())


Make = Callable[..., Any]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    services: list[Service] = []
    async with aiohttp.ClientSession() as session:

        async def start(passwords: Mapping[str, str], **options: float) -> Client:
            house = House()
            throttle = LoginThrottle(now=lambda: 0.0, sleep=house.sleep)
            service = Service(
                Inside(
                    subscription=house.get,
                    subscribe=house.subscribe,
                    history=house.history,
                    status=house.status,
                ),
                accounts=Accounts(passwords, throttle=throttle, now=lambda: NOW),
                identity={"sn": "GP0001", "model": "M1"},
                now=lambda: NOW,
                monotonic=asyncio.get_running_loop().time,
                **options,
            )
            await service.open("127.0.0.1", 0)
            services.append(service)
            return Client(house, service, session)

        yield start
        for service in services:
            await service.close()


@pytest.fixture
async def client(make: Make) -> Client:
    return await make({})


@pytest.fixture
async def guarded(make: Make) -> Client:
    return await make({"admin": "pass word"})


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


OK = {"code": 200, "msg": "OK", "data": None}


async def test_before_any_configuration_the_subscription_is_null(client: Client) -> None:
    assert await client("GET", "/v1/event/subscribe") == (200, OK)


async def test_what_was_posted_is_what_get_answers(client: Client) -> None:
    wanted = {"event_dest": "https://192.0.2.1:8443/Record", "enabled": False}
    assert await client("POST", "/v1/event/subscribe", wanted) == (200, OK)
    assert await client("GET", "/v1/event/subscribe") == (200, {**OK, "data": wanted})


async def test_an_address_is_shown_without_what_may_be_secret_in_it(client: Client) -> None:
    whole = "https://anna:s3cret@192.0.2.1:8443/Record/t0ken?key=s3cret"
    client.house.subscription = wire.Subscription(whole, enabled=True)
    for path in ("/v1/event/subscribe", "/status"):
        told = (await client("GET", path))[1]["data"]
        shown = told.get("subscription", told)
        assert shown["event_dest"] == "https://***@192.0.2.1:8443/Record/***?key=***"
    assert client.house.subscription.event_dest == whole


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"not json", "JSON"),
        (b"", "JSON"),
        (b"[]", "message"),
        ({"enabled": True}, "event_dest"),
        ({"event_dest": "http://h/Record"}, "enabled"),
        ({"event_dest": 5, "enabled": True}, "event_dest"),
        ({"event_dest": "http://h/Record", "enabled": "true"}, "enabled"),
        ({"event_dest": "http://h/Record", "enabled": 1}, "enabled"),
        ({"event_dest": "http://h/" + "x" * 1016, "enabled": True}, "event_dest"),
        ({"event_dest": "http:///Record", "enabled": True}, "event_dest"),
        ({"event_dest": "ftp://h/Record", "enabled": True}, "event_dest"),
        ({"event_dest": "", "enabled": True}, "event_dest"),
    ],
)
async def test_a_bad_subscription_is_400_names_the_field_and_changes_nothing(
    client: Client, body: object, field: str
) -> None:
    stored = {"event_dest": "http://192.0.2.1/Record", "enabled": True}
    await client("POST", "/v1/event/subscribe", stored)
    status, reply = await client("POST", "/v1/event/subscribe", body)
    assert (status, reply["code"], reply["data"]) == (400, 400, None)
    assert field in reply["msg"]
    assert (await client("GET", "/v1/event/subscribe"))[1]["data"] == stored


async def test_an_address_of_1024_characters_of_any_kind_is_taken(client: Client) -> None:
    address = "http://h/" + "门" * 1015
    assert await client("POST", "/v1/event/subscribe", {"event_dest": address, "enabled": True}) == (200, OK)


async def test_a_disk_that_is_full_is_503_and_not_a_success(client: Client) -> None:
    client.house.error = OutboxUnavailable("the disk is full; make room")
    wanted = {"event_dest": "http://h/Record", "enabled": True}
    status, reply = await client("POST", "/v1/event/subscribe", wanted)
    assert (status, reply["code"], reply["msg"]) == (503, 503, "the disk is full; make room")


async def test_a_body_beyond_the_limit_is_413(client: Client) -> None:
    status, reply = await client("POST", "/v1/event/subscribe", b" " * 20_000)
    assert (status, reply["code"]) == (413, 413)


async def test_a_body_that_does_not_come_is_408_and_the_service_goes_on(make: Make) -> None:
    client = await make({}, body_s=0.05)
    host, _, port = client.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/event/subscribe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{")
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert await client("GET", "/v2/datasync/ping") == (200, OK)


async def test_every_answer_carries_the_headers_of_the_family(client: Client) -> None:
    for path in ("/v2/datasync/ping", "/nowhere"):
        await client("GET", path)
        assert client.headers["sn"] == "GP0001"
        assert client.headers["model"] == "M1"
        assert client.headers["timestamp"] == "1700000000500"
        assert client.headers["account"] == ""


async def test_an_unknown_path_is_404_and_a_wrong_method_405_in_the_envelope(client: Client) -> None:
    assert await client("GET", "/nowhere") == (404, {"code": 404, "msg": "Not Found", "data": None})
    status, reply = await client("PUT", "/v1/event/subscribe")
    assert (status, reply) == (405, {"code": 405, "msg": "Method Not Allowed", "data": None})
    assert set(client.headers["Allow"].split(",")) >= {"GET", "POST"}


async def test_a_defect_is_500_without_details(client: Client) -> None:
    client.house.error = RuntimeError("secret detail")
    assert await client("GET", "/status") == (
        500,
        {"code": 500, "msg": "Internal Server Error", "data": None},
    )


async def test_the_error_table_is_the_documented_one(client: Client) -> None:
    _, reply = await client("GET", "/v1/auth/errors")
    assert [(row["code"], row["msg"]) for row in reply["data"]] == [
        (200, "OK"),
        (401, "Unauthorized"),
        (404, "Not Found"),
        (500, "Internal Server Error"),
        (1000, "Account Not Exist"),
        (1001, "Password Wrong"),
    ]


async def test_the_status_is_open_to_the_same_machine(client: Client, guarded: Client) -> None:
    for one in (client, guarded):
        assert await one("GET", "/status") == (200, {**OK, "data": {"accepted": 3, "pending": 3}})


async def test_the_status_tells_the_address_only_to_the_account(guarded: Client) -> None:
    guarded.house.subscription = wire.Subscription("http://192.0.2.1/Record/token", enabled=True)
    assert "subscription" not in (await guarded("GET", "/status"))[1]["data"]
    _, reply = await guarded("GET", "/status", Authorization=basic("admin", "pass word"))
    assert reply["data"]["subscription"]["event_dest"] == "http://192.0.2.1/Record/***"


async def test_the_status_is_not_open_through_a_proxy_on_the_same_machine(guarded: Client) -> None:
    assert (await guarded("GET", "/status", X_Forwarded_For="192.0.2.1"))[0] == 401
    assert (await guarded("GET", "/status", Authorization=basic("admin", "pass word")))[0] == 200


async def test_the_heartbeat_needs_no_account(guarded: Client) -> None:
    assert await guarded("GET", "/v2/datasync/ping") == (200, OK)


async def test_a_login_opens_what_is_closed(guarded: Client) -> None:
    assert (await guarded("GET", "/v1/event/subscribe"))[1]["code"] == 401
    status, reply = await guarded("POST", "/v1/auth/login", {"username": "admin", "password": "pass word"})
    assert (status, reply["code"], list(reply["data"])) == (200, 200, ["token"])
    assert guarded.headers["account"] == "admin"
    bearer = f"Bearer {reply['data']['token']}"
    assert await guarded("GET", "/v1/event/subscribe", Authorization=bearer) == (200, OK)


@pytest.mark.parametrize(("minutes", "seconds"), [(None, 300), (1, 60), (1440, 86_400)])
async def test_valid_time_is_in_minutes(guarded: Client, minutes: int | None, seconds: int) -> None:
    body: dict[str, object] = {"username": "admin", "password": "pass word"}
    _, reply = await guarded(
        "POST", "/v1/auth/login", body | ({} if minutes is None else {"validTime": minutes})
    )
    middle = reply["data"]["token"].split(".")[1]
    claims = json.loads(b64decode(middle + "=" * (-len(middle) % 4), altchars=b"-_"))
    assert claims["exp"] - claims["iat"] == seconds


@pytest.mark.parametrize("minutes", [0, 1441, "5", 1.5, True])
async def test_valid_time_outside_its_range_is_400_and_named(guarded: Client, minutes: object) -> None:
    body = {"username": "admin", "password": "pass word", "validTime": minutes}
    status, reply = await guarded("POST", "/v1/auth/login", body)
    assert (status, reply["code"]) == (400, 400)
    assert "validTime" in reply["msg"]


async def test_a_wrong_account_is_1000_and_a_wrong_password_1001(guarded: Client) -> None:
    wrong_account = {"username": "root", "password": "x"}
    assert await guarded("POST", "/v1/auth/login", wrong_account) == (
        401,
        {"code": 1000, "msg": "Account Not Exist", "data": None},
    )
    wrong_password = {"username": "admin", "password": "x"}
    assert await guarded("POST", "/v1/auth/login", wrong_password) == (
        401,
        {"code": 1001, "msg": "Password Wrong", "data": None},
    )
    assert (await guarded("GET", "/v1/event/subscribe", Authorization=basic("admin", "x")))[1]["code"] == 1001


async def test_guessing_is_slowed(guarded: Client) -> None:
    for _ in range(5):
        await guarded("POST", "/v1/auth/login", {"username": "admin", "password": "guess"})
    assert guarded.house.waits == [1, 2]


async def test_a_bad_token_is_401(guarded: Client) -> None:
    status, reply = await guarded("GET", "/v1/event/subscribe", Authorization="Bearer x.y.z")
    assert (status, reply["code"]) == (401, 401)
    assert "WWW-Authenticate" in guarded.headers


async def test_a_web_page_of_another_site_cannot_redirect_the_events(client: Client) -> None:
    wanted = {"event_dest": "http://attacker.example/", "enabled": True}
    status, reply = await client("POST", "/v1/event/subscribe", wanted, Origin="http://attacker.example")
    assert (status, reply["code"]) == (403, 403)
    status, _ = await client("POST", "/v1/event/subscribe", wanted, Host="attacker.example:8000")
    assert status == 403
    assert client.house.subscription is None


async def test_history_answers_items_with_groups_beside_the_user_and_no_pin(client: Client) -> None:
    status, reply = await client("POST", "/v1/event/records", {"offset": 3, "limit": 2})
    data = reply["data"]
    assert (status, reply["code"], reply["msg"]) == (200, 200, "OK")
    assert {name: data[name] for name in ("offset", "limit", "count", "total")} == {
        "offset": 3,
        "limit": 2,
        "count": 2,
        "total": 260,
    }
    item = data["items"][0]
    assert item["deviceSN"] == "GP0001"
    assert b64decode(item["rgb_image"]) == RECORD.image
    assert item["groups"] == [{"id": "3", "name": "g"}]
    assert item["user"]["name"] == "王五"
    assert not {"groups", "pin"} & item["user"].keys()


async def test_history_without_a_question_is_the_first_hundred_ascending(client: Client) -> None:
    await client("POST", "/v1/event/records")
    assert client.house.queries == [HistoryQuery()]


async def test_a_bad_question_is_400_and_named(client: Client) -> None:
    status, reply = await client("POST", "/v1/event/records", {"limit": 201})
    assert (status, reply["code"]) == (400, 400)
    assert "limit" in reply["msg"]
