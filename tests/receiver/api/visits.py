"""People at the door, for tests of what the API makes of them."""

from typing import Any

from tests.receiver.kit import Running, record

FIRST = 1_685_343_715  # 2023-05-29 07:01:55 UTC


def person(user_id: str = "5", **fields: Any) -> dict[str, Any]:
    return {**record()["data"]["user"], "user_id": user_id, **fields}


async def seen(receiver: Running, number: int, **fields: Any) -> None:
    values = {"uuid": f"u-{number}", "timestamp": FIRST + 60 * number, "user": person(), **fields}
    assert (await receiver.push(record(**values))).status == 200


async def get(receiver: Running, path: str) -> Any:
    answer = await receiver.get(f"/api/v1/{path}")
    assert answer.status == 200, answer.body
    return answer.json
