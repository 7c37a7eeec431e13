import pytest
from tests.receiver.api.roles import least_role
from tests.receiver.api.visits import get, seen
from tests.receiver.kit import Running


async def test_a_day_is_counted_in_the_time_of_the_one_who_asks(receiver: Running) -> None:
    for number in range(3):
        await seen(receiver, number, **{"pass": number != 2})
    found = await get(receiver, "statistics?day=2023-05-29")
    counts = {"records": 3, "passed": 2, "refused": 1, "unsaid": 0, "strangers": 0}
    assert found["total"] == counts
    assert found["days"] == [{"day": "2023-05-29", "counts": counts}]
    assert [hour["hour"] for hour in found["hours"] if hour["counts"]["records"]] == [7]
    assert found["recognition_types"] == [{"code": 1, "count": 3}]
    assert [(one["serial"], one["counts"]) for one in found["terminals"]] == [("SN-1", counts)]
    assert [bar["count"] for bar in found["scores"] if bar["count"]] == [3]
    tokyo = await get(receiver, "statistics?day=2023-05-29&timezone=Asia/Tokyo")
    assert [hour["hour"] for hour in tokyo["hours"] if hour["counts"]["records"]] == [16]
    assert (tokyo["timezone"], tokyo["begins_at"]) == ("Asia/Tokyo", "2023-05-28T15:00:00Z")


async def test_a_month_a_site_and_a_terminal_are_counted(receiver: Running) -> None:
    await seen(receiver, 1)
    for query, count in (("", 1), ("&site_id=1", 1), ("&site_id=2", 0), ("&terminal_id=1", 1)):
        found = await get(receiver, f"statistics?month=2023-05{query}")
        assert (found["total"]["records"], len(found["days"])) == (count, 31)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "month=2024-05"),
        ("day=yesterday", "'yesterday'"),
        ("day=2023-05-29&timezone=Mars/Olympus", "Mars/Olympus"),
        ("day=2023-05-29&timezone=%00", "time zone"),
        ("day=2023-05-29&terminal_id=0", "terminal_id"),
        ("first=2020-01-01&last=2023-05-29", "at most 400"),
    ],
)
async def test_what_is_asked_wrongly_is_named(receiver: Running, query: str, named: str) -> None:
    answer = await receiver.get(f"/api/v1/statistics?{query}")
    assert answer.status == 400
    assert named in answer.json["detail"]


async def test_a_viewer_may_see_statistics(receiver: Running) -> None:
    assert await least_role(receiver, "GET", "statistics?day=2023-05-29") == "viewer"
