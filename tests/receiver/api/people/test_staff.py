from tests.receiver.api.people.test_schedules import call
from tests.receiver.api.roles import least_role
from tests.receiver.api.visits import get, seen
from tests.receiver.kit import Running

FILE = "number,name,department\n5,Anna Meier,Sales\n"


async def test_names_are_checked_imported_and_forgotten(receiver: Running) -> None:
    await seen(receiver, 0)
    said = {"rows": 1, "new": 1, "changed": 0, "same": 0, "faults": []}
    checked = await call(receiver, "POST", "people/import", {"csv": FILE, "check": True})
    assert (checked.status, checked.json) == (200, said | {"stored": False})
    stored = await call(receiver, "POST", "people/import", {"csv": FILE})
    assert stored.json == said | {"stored": True}
    (person,) = (await get(receiver, "people?q=meier"))["items"]
    assert (person["name"], person["groups"][-1]["name"]) == ("Anna Meier", "Sales")
    (item,) = (await get(receiver, "attendance?day=2023-05-29&group=sales"))["items"]
    assert (item["person"]["name"], item["days"][0]["name"]) == ("Anna Meier", "王五")
    wrong = await call(receiver, "POST", "people/import", {"csv": f"{FILE},Bert\n"})
    assert wrong.json["faults"] == [{"line": 3, "why": "has no number"}]
    assert wrong.json["stored"] is False
    assert (await call(receiver, "DELETE", "people/import")).status == 204
    assert (await get(receiver, "people?q=meier"))["items"] == []
    log = (await get(receiver, "audit"))["items"]
    actions = [one["action"] for one in log if one["action"].startswith("people.import")]
    assert actions == ["people.import_forgotten", "people.imported"]
    assert "Anna" not in str(log)


async def test_what_cannot_be_imported_is_said(receiver: Running) -> None:
    for wrong in ({"csv": "5,Anna"}, {"csv": FILE, "site_id": 9}, {}):
        assert (await call(receiver, "POST", "people/import", wrong)).status == 400
    assert (await call(receiver, "DELETE", "people/import?site=nowhere")).status == 400


async def test_operators_import(receiver: Running) -> None:
    assert await least_role(receiver, "POST", "people/import", {"csv": FILE}) == "operator"
    assert await least_role(receiver, "DELETE", "people/import") == "operator"
