"""Settings over the API: what is in force, where it is set, and changes that need no restart."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.receiver.api.roles import least_role
from tests.receiver.kit import Answer, Running, receiving, record, serving, until

from gatepost.settings import Origin, ReceiverSettings
from gatepost.store.postgres.store import PostgresStore


async def change(receiver: Running, **values: Any) -> Answer:
    return await receiver.request("PATCH", "/api/v1/settings", json.dumps(values).encode())


async def setting(receiver: Running, name: str) -> dict[str, Any]:
    items = (await receiver.get("/api/v1/settings")).json["items"]
    (found,) = [item for item in items if item["name"] == name]
    assert isinstance(found, dict)
    return found


async def test_a_change_takes_effect_at_once_and_is_taken_back(receiver: Running) -> None:
    assert (await receiver.push(record())).json["code"] == 200
    answer = await change(receiver, unknown_terminals="refuse", repeat_s=0, retention_records_days=30)
    assert answer.status == 200
    assert {item["name"]: item["value"] for item in answer.json["items"]} == {
        "unknown_terminals": "refuse",
        "repeat_s": 0.0,
        "retention_records_days": 30,
    }
    refused = await receiver.push(record(deviceSN="SN-2", uuid="u-2"))
    assert refused.json["code"] == 403
    kept = {item["part"]: item["days"] for item in (await receiver.get("/api/v1/retention")).json["items"]}
    assert (kept["records"], kept["images"], kept["audit"]) == (30, 30, 1095)
    one = await setting(receiver, "unknown_terminals")
    assert (one["set_by"], one["changed_by"], one["changeable"]) == ("console", "token:test", True)
    assert (await change(receiver, unknown_terminals=None)).json["items"][0]["value"] == "accept"
    assert (await receiver.push(record(deviceSN="SN-2", uuid="u-2"))).json["code"] == 200
    assert (await setting(receiver, "unknown_terminals"))["set_by"] == "default"


async def test_every_change_is_audited_from_what_to_what(receiver: Running) -> None:
    await change(receiver, repeat_s=30, max_terminals=5)
    await change(receiver, repeat_s=None, max_terminals=5)
    lines = (await receiver.get("/api/v1/audit?action=setting.changed")).json["items"]
    assert [(one["subject"], one["detail"]["was"], one["detail"]["now"]) for one in lines] == [
        ("repeat_s", 30.0, 10.0),
        ("max_terminals", 20_000, 5),
        ("repeat_s", 10.0, 30.0),
    ]


async def test_what_cannot_be_is_refused_and_nothing_is_changed(receiver: Running) -> None:
    for values, said in (
        ({"repeat_s": -1}, "repeat_s"),
        ({"unknown_terminals": "maybe"}, "unknown_terminals"),
        ({"listen": "0.0.0.0:80"}, "listen: cannot be changed while the receiver runs"),
        ({"nothing": 1}, "nothing"),
        ({"repeat_s": [1]}, "repeat_s: give a number or a text"),
        ({"max_terminals": True}, "max_terminals: give a number or a text"),
        ({"max_terminals": 7, "repeat_s": "x"}, "repeat_s"),
    ):
        answer = await change(receiver, **values)
        assert answer.status == 400, values
        assert said in answer.json["detail"], values
    assert (await setting(receiver, "max_terminals"))["value"] == 20_000


async def test_what_is_set_elsewhere_is_locked(tmp_path: Any) -> None:
    origins = {
        "repeat_s": Origin("file", "/etc/gatepost.toml"),
        "database": Origin("environment", "GATEPOST_DATABASE"),
    }
    async with receiving(tmp_path, repeat_s=5, origins=origins) as running:
        answer = await change(running, repeat_s=7)
        assert answer.status == 409
        assert "set by the file, /etc/gatepost.toml" in answer.json["detail"]
        one = await setting(running, "repeat_s")
        assert (one["value"], one["set_by"], one["place"], one["changeable"]) == (
            5.0,
            "file",
            "/etc/gatepost.toml",
            False,
        )
        assert (await setting(running, "database"))["set_by"] == "environment"


async def test_a_change_outlives_a_restart_and_yields_to_the_file(tmp_path: Any) -> None:
    async with receiving(tmp_path) as running:
        await change(running, unknown_terminals="refuse", retention_audit_days=7)
    async with receiving(tmp_path) as running:
        assert (await running.push(record())).json["code"] == 403
        assert running.desk.keeper.limits.audit_days == 7
    origins = {"unknown_terminals": Origin("file", "/etc/gatepost.toml")}
    async with receiving(tmp_path, unknown_terminals="accept", origins=origins) as running:
        assert (await running.push(record())).json["code"] == 200


async def test_another_receiver_of_the_database_learns_of_it(postgres_store_url: str) -> None:
    @asynccontextmanager
    async def receiver() -> AsyncIterator[Running]:
        store = PostgresStore.open(postgres_store_url)
        try:
            async with serving(store, ReceiverSettings(database=postgres_store_url)) as running:
                yield running
        finally:
            store.close()

    async with receiver() as first, receiver() as second:
        assert (await change(first, unknown_terminals="refuse", unapproved_events_per_day=1)).status == 200
        await until(lambda: second.desk.in_force.current.unknown_terminals == "refuse", timeout=60)
        await until(lambda: second.ingest.pushes._options.amounts.events_per_day == 1, timeout=60)
        assert (await second.push(record())).json["code"] == 403
        assert (await setting(second, "unknown_terminals"))["changed_by"] == "token:test"


async def test_a_quota_is_changed_with_what_was_counted(receiver: Running) -> None:
    await change(receiver, unapproved_events_per_day=2, unapproved_terminals_per_address=1)
    codes = [(await receiver.push(record(uuid=f"u-{n}"))).json["code"] for n in range(3)]
    assert codes == [200, 200, 503]
    await change(receiver, unapproved_events_per_day=3)
    codes = [(await receiver.push(record(uuid=f"v-{n}"))).json["code"] for n in range(2)]
    assert codes == [200, 503]


async def test_settings_are_for_administrators_of_every_site(receiver: Running) -> None:
    for method in ("GET", "PATCH"):
        assert await least_role(receiver, method, "settings", {}) == "admin"
