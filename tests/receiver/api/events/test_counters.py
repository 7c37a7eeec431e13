from tests.receiver.api.roles import least_role
from tests.receiver.kit import Running, alarm, record


async def test_everything_is_counted_once(receiver: Running) -> None:
    for push in (
        record(uuid="1"),
        record(uuid="1"),
        record(uuid="2"),
        alarm(),
        alarm(status=3),
        {"type": 9},
        b"{",
    ):
        await receiver.push(push)
    await receiver.flush()
    told = (await receiver.get("/api/v1/stats")).json
    counted = {
        name: told[name]
        for name in ("records", "alarms", "duplicates", "quarantined", "refused", "terminals")
    }
    assert counted == {
        "records": 2, "alarms": 1, "duplicates": 1, "quarantined": 1, "refused": 1, "terminals": 1,
    }  # fmt: skip
    assert told["refusals"] == {"no JSON": 1}
    assert told["process"]["committed"] == 6


async def test_a_viewer_may_see_it(receiver: Running) -> None:
    assert await least_role(receiver, "GET", "stats") == "viewer"
