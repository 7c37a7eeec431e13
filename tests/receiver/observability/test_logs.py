import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from tests.receiver.kit import Process, alarm, base64, body, record

from gatepost.receiver.observability import logs

FACE = b"\xff\xd8" + b"the face of wang wu" * 40 + b"\xff\xd9"


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def open_door(name: str) -> None:
    raise ValueError(f"no door for {name}")


def test_a_log_is_one_line_of_fields_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()
    structlog.get_logger("x").warning("retention.deleted", records=5)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"timestamp=\S+Z level=warning event=retention.deleted records=5\n", err)


def test_a_line_that_cannot_be_written_is_lost_and_raises_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.to_stderr()
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 - to close it is to write once more
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", full)
        structlog.get_logger("x").error("journal.append_failed", events=1)
        logging.getLogger("library").error("lost too")
    with pytest.raises(OSError, match="No space"):
        full.close()
    structlog.get_logger("x").warning("later")
    assert capsys.readouterr().err.endswith("event=later\n")


def test_a_log_can_be_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr("json")
    structlog.get_logger("x").info("ingest.stopped", drained=True)
    told = json.loads(capsys.readouterr().err)
    assert list(told) == ["timestamp", "level", "event", "drained"]
    assert (told["level"], told["event"], told["drained"]) == ("info", "ingest.stopped", True)


def test_what_is_below_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr(level="error")
    structlog.get_logger("x").warning("no")
    logging.getLogger("library").warning("no")
    assert capsys.readouterr().err == ""


def test_an_error_is_its_kind_and_its_places_and_never_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr("json")
    try:
        open_door("王五")
    except ValueError as error:
        structlog.get_logger("x").exception("defect")
        structlog.get_logger("x").error("defect", exc_info=error)
        logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=error)
        logging.getLogger("asyncio").error("it failed for %s", "王五")
    err = capsys.readouterr().err
    assert "王五" not in err
    told = [json.loads(line) for line in err.splitlines()]
    assert [entry.get("kind") for entry in told] == ["ValueError"] * 3 + [None]
    assert "open_door" in told[0]["where"][-1]
    assert told[3]["what"] == "it failed for %s"


def test_an_error_that_nobody_caught_in_the_loop_is_told_without_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.to_stderr("json")
    loop = asyncio.new_event_loop()
    try:
        loop.set_exception_handler(logs.loop_failed)
        loop.call_soon(open_door, "王五")
        loop.call_soon(loop.stop)
        loop.run_forever()
    finally:
        loop.close()
    err = capsys.readouterr().err
    assert "王五" not in err
    assert json.loads(err)["kind"] == "ValueError"


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_push_leaves_a_name_a_number_or_an_image_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("GATEPOST_LOG_LEVEL", "debug")
    monkeypatch.setenv("GATEPOST_LOG_FORMAT", form)
    process = await Process.start(tmp_path / "data")
    user = {**record()["data"]["user"], "id_number": "110101199003070000", "pin": "778899"}
    pushes = [
        body(record(user=user, rgb_image=base64(FACE))),
        body(record(user=user, rgb_image=base64(FACE))),
        body(
            record(
                user={**user, "type": "王五", "guest_time_start": "x"}, uuid="u-2", rgb_image="/9j/broken!"
            )
        ),
        body(record(user=user, uuid="u-3", timestamp=1e300, recognizeScore="王五")),
        body(alarm(user_id=23385, description="王五", alarm_photo=base64(FACE))),
        body({"type": 7, "data": user}),
        body({"type": 7, "data": user})[:-9],
        b'{"type": 0, "data": {"user": "' + "王五".encode() + b'"}}',
    ]
    for push in pushes:
        await process.request("POST", "/Record", push)
    await process.request("POST", "/Record/wang-wu", pushes[0])
    await process.request("POST", "/Rekord", pushes[0])
    for path in ("records?name=%E7%8E%8B%E4%BA%94&limit=x", "people?q=23385", "records?q=23385&cursor=23385"):
        await process.request("GET", f"/api/v1/{path}")
    person = (await process.request("GET", "/api/v1/people")).json["items"][0]["id"]
    assert (await process.request("POST", f"/api/v1/people/{person}/erase")).status == 200
    assert await process.stop() == 0
    log = process.errors.read_text()
    assert "ingest.stopped" in log
    assert "desk.stopped" in log
    for trace in (
        "王五",
        "\\u738b",
        "23385",
        "12345",
        "110101199003070000",
        "778899",
        base64(FACE)[:60],
        "/9j/",
    ):
        assert trace not in log


async def test_nothing_but_the_start_is_written_to_standard_output(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    await process.request("POST", "/Record", body(record()))
    assert await process.stop() == 0
    assert process.process.stdout is not None
    rest = (await process.process.stdout.read()).decode().splitlines()
    assert [line[:22] for line in rest] == ["gatepost: log in as ad"]
