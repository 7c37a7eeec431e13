"""What happened to the installation itself, as it is listed."""

import time

import pytest
from tests.receiver.kit import Running, record


async def test_a_terminal_that_falls_silent_and_comes_back_is_told(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = receiver.desk.watcher
    await receiver.push(record())
    receiver.settle()
    watcher.once()
    with monkeypatch.context() as later:
        later.setattr(watcher, "_now", lambda: time.time() + 7200)
        watcher.once()
        watcher.once()
    watcher.once()

    found = (await receiver.get("/api/v1/notices")).json["items"]
    told = [one for one in found if one["kind"] != "terminal.clock_wrong"]  # what is pushed is of long ago

    assert [(one["kind"], one["terminal"]) for one in told] == [
        ("terminal.back", "SN-1"),
        ("terminal.offline", "SN-1"),
        ("terminal.new", "SN-1"),
    ]
    assert 7100 < told[1]["detail"]["silent_s"] <= 7201


async def test_a_page_of_notices_has_a_cursor(receiver: Running) -> None:
    for number in range(3):
        await receiver.push(
            record(uuid=f"u-{number}", deviceSN=f"SN-{number}"), headers={"sn": f"SN-{number}"}
        )
    receiver.settle()
    receiver.desk.watcher.once()
    whole = (await receiver.get("/api/v1/notices")).json["items"]
    first = (await receiver.get("/api/v1/notices?limit=2")).json
    second = (await receiver.get(f"/api/v1/notices?cursor={first['next_cursor']}")).json

    assert len(first["items"]) == 2
    assert first["items"] + second["items"] == whole
    assert second["next_cursor"] is None
