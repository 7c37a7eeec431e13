from tests.receiver.api.roles import least_role
from tests.receiver.kit import Running, record


async def test_what_went_to_a_wrong_path_is_listed_with_whose_it_was_and_how_often(receiver: Running) -> None:
    for path in ("/record", "/record", "/Record/a-token-that-nobody-has"):
        assert (await receiver.push(record(), path)).status == 404
    await receiver.receiver.flush()
    answer = await receiver.get("/api/v1/misdirected")
    items = {item["path"]: item for item in answer.json["items"]}
    assert sorted(items) == ["/Record/a-to…", "/record"]
    assert items["/record"]["count"] == 2
    assert items["/record"]["serial"] == "SN-1"
    assert items["/record"]["peer"] == "127.0.0.1"
    assert items["/record"]["first_at"] <= items["/record"]["last_at"]
    assert answer.json["next_cursor"] is None


async def test_a_viewer_may_see_it(receiver: Running) -> None:
    assert await least_role(receiver, "GET", "misdirected") == "viewer"
