"""Images and thumbnails as a browser gets them."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.receiver.kit import JPEG, Running, alarm, base64, receiving, record


def picture() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((400, 300)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
async def portrait(receiver: Running) -> str:
    """The path of a record's image."""
    await receiver.push(record(rgb_image=base64(picture())))
    (item,) = (await receiver.get("/api/v1/records")).json["items"]
    path: str = item["image"]
    return path


async def test_an_image_is_what_was_pushed_and_nothing_but_a_picture(
    receiver: Running, portrait: str
) -> None:
    answer = await receiver.get(portrait)
    assert answer.body == picture()
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("kind", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("BMP", "bmp")]
)
async def test_an_image_is_sent_as_what_it_is_and_exported_under_that_name(
    receiver: Running, kind: str, suffix: str
) -> None:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((400, 300)).convert("RGB").save(out, kind)
    await receiver.push(record(rgb_image=base64(out.getvalue())))
    receiver.settle()  # an alarm overtakes
    await receiver.push(alarm(alarm_photo=base64(out.getvalue())))
    for path in ("records/1", "alarms/steps/2"):
        answer = await receiver.get(f"/api/v1/{path}/image")
        assert answer.body == out.getvalue()
        assert answer.headers["content-type"] == f"image/{kind.lower()}"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("inline; filename=")
        assert answer.headers["content-disposition"].endswith(f'.{suffix}"')
        small = await receiver.get(f"/api/v1/{path}/thumbnail?size=64")
        assert small.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(small.body)).size == (64, 48)
    for what in ("records", "alarms"):
        with zipfile.ZipFile(
            io.BytesIO((await receiver.get(f"/api/v1/{what}/export?format=zip")).body)
        ) as found:
            (name,) = [name for name in found.namelist() if name.startswith("images/")]
            assert name.endswith(f".{suffix}")
            assert found.read(name) == out.getvalue()


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_browser_may_keep_it_for_a_day_if_it_came_over_tls_and_others_may_not(
    tmp_path: Path, is_trusted: bool
) -> None:
    proxies = ("127.0.0.1",) if is_trusted else ()
    async with receiving(tmp_path / "data", trusted_proxies=proxies) as running:
        await running.push(record(rgb_image=base64(picture())))
        for kind in ("image", "thumbnail"):
            path = f"/api/v1/records/1/{kind}"
            for headers in ({}, {"X-Forwarded-Proto": "http"}, {"X-Forwarded-Proto": "https"}):
                told = (await running.request("GET", path, headers=headers)).headers
                may_keep = is_trusted and "https" in headers.values()
                assert told["cache-control"] == (
                    "private, max-age=86400, immutable" if may_keep else "no-store"
                )
                assert told["cdn-cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (lambda tag: tag, 304),
        (lambda tag: f"W/{tag}", 304),
        (lambda tag: f'"other", {tag}', 304),
        (lambda tag: "*", 304),
        (lambda tag: '"other"', 200),
        (lambda tag: tag.strip('"'), 200),
    ],
)
async def test_it_is_sent_again_only_to_who_has_another_one(
    receiver: Running, portrait: str, asked: Callable[[str], str], status: int
) -> None:
    for path in (portrait, portrait.replace("/image", "/thumbnail")):
        tag = (await receiver.get(path)).headers["etag"]
        answer = await receiver.request("GET", path, headers={"If-None-Match": asked(tag)})
        assert answer.status == status
        assert answer.headers["etag"] == tag
        assert (answer.body == b"") is (status == 304)


async def test_thumbnails_of_different_sizes_are_different_things(receiver: Running, portrait: str) -> None:
    path = portrait.replace("/image", "/thumbnail")
    found = [await receiver.get(f"{path}?size={size}") for size in (64, 128)]
    assert [max(Image.open(io.BytesIO(one.body)).size) for one in found] == [64, 128]
    assert found[0].headers["etag"] != found[1].headers["etag"]


@pytest.mark.parametrize("size", ["31", "321", "x", "-1"])
async def test_a_size_out_of_bounds_is_refused(receiver: Running, portrait: str, size: str) -> None:
    answer = await receiver.get(f"{portrait.replace('/image', '/thumbnail')}?size={size}")
    assert answer.status == 400
    assert answer.json["errors"][0]["where"] == "size"


async def test_what_is_no_picture_has_an_image_but_no_thumbnail(receiver: Running) -> None:
    await receiver.push(record(rgb_image=base64(JPEG)))
    assert (await receiver.get("/api/v1/records/1/image")).body == JPEG
    answer = await receiver.get("/api/v1/records/1/thumbnail")
    assert answer.status == 404
    assert "no picture" in answer.json["detail"]


async def test_a_step_of_an_alarm_has_an_image_and_a_thumbnail(receiver: Running) -> None:
    await receiver.push(alarm(alarm_photo=base64(picture())))
    (item,) = (await receiver.get("/api/v1/alarms")).json["items"]
    path = item["history"][0]["image"]
    assert (await receiver.get(path)).body == picture()
    assert (await receiver.get(path.replace("/image", "/thumbnail"))).status == 200


@pytest.mark.parametrize("kind", ["records", "alarms/steps"])
@pytest.mark.parametrize("what", ["image", "thumbnail"])
@pytest.mark.parametrize("number", ["7", str(1 << 70)])
async def test_there_is_no_image_of_what_is_not_there(
    receiver: Running, kind: str, what: str, number: str
) -> None:
    assert (await receiver.get(f"/api/v1/{kind}/{number}/{what}")).status == 404
