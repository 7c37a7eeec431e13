"""What must stand nowhere: looked for in every file that a receiver has, its log, and whatever it answers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Postgres
from tests.receiver.kit import Process, Running, alarm, body, receiving, record, serving
from tests.store.files import bytes_of

from gatepost.settings import ReceiverSettings
from gatepost.store.images.encryption import read_keys
from gatepost.store.interface import AlarmQuery
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.store import SqliteStore

PIN = "pin-4711-0815"
FACE = b"\xff\xd8" + b"a face that nobody may see " * 80 + b"\xff\xd9"
TEXT = base64.b64encode(FACE).decode()
KEY = base64.b64encode(b"k" * 32).decode()


def user(**more: Any) -> dict[str, Any]:
    return {**record()["data"]["user"], "pin": PIN, **more}


def escaped(text: str) -> bytes:
    """The same JSON with the name of the field hidden."""
    return text.replace('"pin"', '"p\\u0069n"').encode()


PUSHES = [
    body(record(user=user(), rgb_image=TEXT, uuid="p-1")),
    body(record(user=user(type="wrong"), uuid="p-2")),
    body(record(user=user(), uuid="p-3", rgb_image=TEXT[:-3] + "!!!")),
    escaped(json.dumps(record(user=user(), uuid="p-4"))),
    body(record(user=[user()], uuid="p-5")),
    body(record(pin=PIN, uuid="p-6", more={"deep": [{"pin": PIN}]})),
    body({"type": 9, "data": {"user": user(), "photo": TEXT}}),
    escaped(json.dumps({"type": 9, "pin": PIN})),
    body({"type": 1, "data": {"pin": PIN}}),
    body(alarm(pin=PIN, alarm_photo=TEXT)),
    body(record(user=user(), uuid="p-7"))[:-1] + b",}",
    body(record(user=user(), uuid="p-8"))[:-5],
    body(record(user=user(pin=[PIN]), uuid="p-9")),
    body(record(user=user(pin={"code": [PIN, "}"]}), uuid="p-10")),
    body(record(user={**user(pin=""), "groups": [{"id": "3", "name": "g", "pin": PIN}]}, uuid="p-11")),
    body(record(user=user(pin=True, user_id=["5"]), pin=PIN, uuid="p-12"))[:-1]
    + b',"pin":"'
    + PIN.encode()
    + b'"}',
]


async def answers(receiver: Running) -> bytes:
    """Everything that can be asked for."""
    found = b""
    for path in (
        "records",
        "people",
        "alarms",
        "quarantine",
        "records/export",
        "alarms/export",
        "audit",
        "stats",
    ):
        found += (await receiver.get(f"/api/v1/{path}")).body
    for kind in ("csv", "jsonl", "zip", "xlsx"):
        found += (await receiver.get(f"/api/v1/records/export?format={kind}")).body
    return found


async def test_a_pin_is_stored_answered_and_exported_nowhere(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data") as receiver:
        for push in PUSHES:
            await receiver.push(push)
        assert len(receiver.records()) >= 6
        assert len(receiver.store.quarantined().items) >= 2
        assert PIN.encode() not in bytes_of(receiver.store)
        assert PIN.encode() not in await answers(receiver)


async def test_a_pin_comes_into_no_database_on_a_server_either(postgres_server: Postgres) -> None:
    store = PostgresStore.open(postgres_server.create_with_store())
    try:
        async with serving(store) as receiver:
            for push in PUSHES:
                await receiver.push(push)
            assert len(receiver.records()) >= 6
            assert PIN.encode() not in bytes_of(store)
    finally:
        store.close()


async def test_a_pin_is_not_even_kept_of_a_push_that_broke_the_decoder(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("gatepost.receiver.ingest.push.decoding.decode_many", broken)
    for push in PUSHES:
        assert (await receiver.push(push)).status == 200
    assert len(receiver.store.quarantined().items) == len(PUSHES)
    assert PIN.encode() not in bytes_of(receiver.store)


async def test_a_pin_is_not_even_kept_of_an_event_that_the_store_could_not_take(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("gatepost.store.conversion.rows.record_row", broken)
    monkeypatch.setattr("gatepost.store.conversion.rows.alarm_row", broken)
    pushed = [await receiver.push(push) for push in PUSHES]
    assert len(receiver.store.quarantined().items) == sum(answer.status == 200 for answer in pushed) > 8
    assert PIN.encode() not in bytes_of(receiver.store)


async def test_a_pin_is_in_no_log_whatever_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_LOG_LEVEL", "debug")
    process = await Process.start(tmp_path / "data")
    for push in PUSHES:
        await process.request("POST", "/Record", push)
    assert await process.stop() == 0
    assert PIN not in process.errors.read_text()


async def test_with_images_off_no_face_comes_into_any_file(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", images="off") as receiver:
        for push in PUSHES:
            await receiver.push(push)
        rows = receiver.records()
        assert len(rows) >= 6
        assert not any(row.has_image for row in rows)
        assert not any(s.has_image for one in receiver.store.alarms(AlarmQuery()).items for s in one.history)
        stored = bytes_of(receiver.store)
        assert FACE[:30] not in stored
        assert TEXT[:60].encode() not in stored
        assert not (tmp_path / "data" / "journal" / "packs").exists()
        again = await receiver.push(PUSHES[0])
        assert again.status == 200
        assert len(receiver.records()) == len(rows)


async def test_with_a_key_every_face_is_encrypted_in_every_file(tmp_path: Path) -> None:
    keys = read_keys([KEY], file=None)
    store = SqliteStore.open(tmp_path / "data", keys=keys)
    try:
        async with serving(store, ReceiverSettings(image_keys=(KEY,))) as receiver:
            for push in PUSHES:
                await receiver.push(push)
            stored = bytes_of(store)
            assert FACE[:30] not in stored
            assert TEXT[:60].encode() not in stored
            with_image = next(row for row in receiver.records() if row.has_image)
            image = await receiver.get(f"/api/v1/records/{with_image.id}/image")
            assert image.body == FACE
            told = (await receiver.get("/api/v1/retention")).json["encryption"]
            assert told == {"key": keys.name, "finished": False}
            for _ in range(20):
                receiver.desk.keeper.once()
            assert (await receiver.get("/api/v1/retention")).json["encryption"]["finished"]
    finally:
        store.close()


async def test_the_program_takes_its_keys_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    config = tmp_path / "gatepost.toml"
    config.write_text(f'image_key_file = "{file}"\n')
    process = await Process.start(tmp_path / "data", "--config", str(config))
    await process.request("POST", "/Record", PUSHES[0])
    assert await process.stop() == 0
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not any(FACE[:30] in path.read_bytes() for path in files)
    monkeypatch.setenv("GATEPOST_IMAGE_KEYS", KEY)
    process = await Process.start(tmp_path / "data")
    (item,) = await process.everything()
    assert (await process.request("GET", item["image"])).body == FACE
    assert await process.stop() == 0
    monkeypatch.setenv("GATEPOST_IMAGE_KEYS", "no key")
    with pytest.raises(AssertionError, match="setting 'image_keys' has a key"):
        await Process.start(tmp_path / "data")
