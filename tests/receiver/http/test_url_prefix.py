from pathlib import Path

import pytest
from tests.receiver.kit import Running, base64, body, receiving, record

from gatepost.errors import SettingsError
from gatepost.receiver.http.url_prefix import checked_prefix

JPEG = base64(b"\xff\xd8face\xff\xd9")


@pytest.mark.parametrize(("given", "used"), [("", ""), ("/", ""), ("/gate", "/gate"), ("/a/b/", "/a/b")])
def test_a_prefix_is_a_plain_path(given: str, used: str) -> None:
    assert checked_prefix(given) == used


@pytest.mark.parametrize(
    "given", ["gate", "/a//b", "/a b", "/ä", "/a?b", "/a/../b", "/a%2f", 'x"y', "//evil.example"]
)
def test_what_is_no_plain_path_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="path_prefix"):
        checked_prefix(given)


async def links(receiver: Running, path: str) -> list[str]:
    answer = await receiver.request("GET", path, headers={"Authorization": f"Bearer {receiver.token}"})
    assert answer.status == 200
    return [item["image"] for item in answer.json["items"]]


async def test_behind_a_proxy_every_address_begins_with_its_prefix_whether_it_leaves_it_or_not(
    tmp_path: Path,
) -> None:
    async with receiving(tmp_path / "data", path_prefix="/gate") as receiver:
        for path, number in (("/Record", 1), ("/gate/Record", 2)):
            push = await receiver.push(record(uuid=f"u-{number}", rgb_image=JPEG), path)
            assert push.status == 200
        for path in ("/api/v1/records", "/gate/api/v1/records"):
            assert await links(receiver, path) == [f"/gate/api/v1/records/{n}/image" for n in (2, 1)]
        image = (await links(receiver, "/api/v1/records"))[0]
        assert (
            await receiver.request("GET", image, headers={"Authorization": f"Bearer {receiver.token}"})
        ).status == 200
        assert (await receiver.get("/gate/api/v1/nowhere")).json["instance"] == "/gate/api/v1/nowhere"
        assert (await receiver.get("/gate/api/v1/records/99")).json["instance"] == "/gate/api/v1/records/99"
        assert (await receiver.get("/gate/healthz")).status == 200
        assert (await receiver.get("/gatepost/healthz")).status == 404


async def test_the_cookie_is_for_the_prefix_only(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", path_prefix="/gate") as receiver:
        doors = receiver.desk.access.doors
        doors.accounts.create("anna", "viewer", doors.hash("correct horse"), now_ms=0)
        answer = await receiver.request(
            "POST", "/gate/api/v1/session", body({"name": "anna", "password": "correct horse"})
        )
        assert "Path=/gate/;" in answer.headers["set-cookie"] + ";"


async def test_without_a_prefix_addresses_begin_at_the_top(receiver: Running) -> None:
    await receiver.push(record(rgb_image=JPEG))
    assert await links(receiver, "/api/v1/records") == ["/api/v1/records/1/image"]
