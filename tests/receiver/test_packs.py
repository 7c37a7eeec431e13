"""Whatever may be an image goes one way: into packs, behind a key, and away with its time; packs may be shared."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.packing import packing
from tests.postgres import Postgres
from tests.receiver.kit import Running, alarm, base64, receiving, record, serving
from tests.store.events import arrival
from tests.store.events import record as event_of
from tests.terminals import ensured

from gatepost.errors import SettingsError
from gatepost.receiver.opening import archive_of, open_store
from gatepost.settings import ReceiverSettings
from gatepost.store.conversion.limits import MAX_TEXT
from gatepost.store.images.bucket import MARKER
from gatepost.store.interface import EVERYTHING, RecordQuery, Store
from gatepost.store.maintenance.backup import backup
from gatepost.store.maintenance.check import check
from gatepost.store.maintenance.restore import restore
from gatepost.store.sqlite.store import SqliteStore

FACE = b"\xff\xd8" + bytes(range(256)) * 20 + b"\xff\xd9"
TEXT = base64(FACE)
BROKEN = TEXT[:-3] + "!!!"
DAY_MS = 86_400_000

PUSHES = [
    record(uuid="in-its-place", rgb_image=TEXT),
    record(uuid="in-another-field", other_photo=TEXT, rgb_image=TEXT),
    record(uuid="no-base64-after-all", rgb_image=BROKEN),
    record(uuid="deep-down", more={"list": [{"snapshot": TEXT}, TEXT]}),
    alarm(alarm_photo=TEXT, snapshot=TEXT),
    {"type": 9, "data": {"photo": TEXT}},
]


def stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def original(receiver: Running, path: str) -> Any:
    return json.loads((await receiver.get(path)).json["original"])


async def pass_days(receiver: Running, days: int) -> None:
    """Let so many days pass for the retention, confirm what it asks after such a leap, and let it come to its end."""
    keeper = receiver.desk.keeper
    true = keeper.now_ms
    keeper.now_ms = lambda: true() + days * DAY_MS  # type: ignore[method-assign]

    def finish() -> None:
        while keeper.once().more:
            pass
        for ask in keeper.asks:
            keeper.confirm(ask.part, ask.last)
        while keeper.once().more:
            pass

    await asyncio.to_thread(finish)


async def test_what_may_be_an_image_is_in_no_file_in_clear_and_comes_out_as_it_was_pushed(
    tmp_path: Path,
) -> None:
    async with receiving(tmp_path / "data") as receiver:
        for push in PUSHES:
            assert (await receiver.push(push)).status == 200
        receiver.settle()
        files = stored(tmp_path / "data")
        assert FACE[:40] not in files
        assert TEXT[:40].encode() not in files
        by_uuid = {row.uuid: row.id for row in receiver.records()}
        for push in PUSHES[:4]:
            data = push["data"]
            path = f"/api/v1/records/{by_uuid[data['uuid']]}"
            found = (await original(receiver, f"{path}?include=original"))["data"]
            assert found == (data if data["rgb_image"] == BROKEN else {**data, "rgb_image": ""})
            assert (await receiver.get(f"{path}/image")).status == (200 if data["rgb_image"] == TEXT else 404)
        (row,) = receiver.store.quarantined().items
        assert await original(receiver, f"/api/v1/quarantine/{row.id}") == PUSHES[-1]


async def test_with_its_time_all_of_it_leaves_and_the_events_stay(tmp_path: Path) -> None:
    async with receiving(
        tmp_path / "data", retention_images_days=3, retention_stranger_images_days=3
    ) as receiver:
        for push in PUSHES:
            await receiver.push(push)
        receiver.settle()
        await receiver.flush()
        receiver.ingest.group_commit.tend(finish=True)
        before = {row.uuid: row.id for row in receiver.records()}
        await pass_days(receiver, 5)
        assert {row.uuid: row.id for row in receiver.records()} == before
        for number in before.values():
            answer = await receiver.get(f"/api/v1/records/{number}?include=original")
            assert TEXT not in answer.json["original"]
            assert BROKEN not in answer.json["original"]
            assert (await receiver.get(f"/api/v1/records/{number}/image")).status == 404
        assert receiver.store.quarantined().items == ()
        with receiver.store.reading() as db:
            assert db.exec_driver_sql("SELECT count(*) FROM images").scalar() == 0


async def test_a_page_is_as_long_as_its_rows_however_long_what_was_pushed_is(receiver: Running) -> None:
    user = {**record()["data"]["user"], "name": "名" * 700_000, "remark": "r" * 700_000}
    for number in range(3):
        assert (await receiver.push(record(uuid=f"long-name-{number}", user=user))).status == 200
    page = await receiver.get("/api/v1/records?include=original")
    assert len(page.body) < 3 * 8_000
    (one, *_) = page.json["items"]
    assert one["person"]["name"] == "名" * MAX_TEXT
    assert {problem["where"] for problem in one["problems"]} >= {"data.user.name", "data.user.remark"}
    whole = await original(receiver, f"/api/v1/records/{one['id']}?include=original")
    assert whole["data"]["user"] == user


async def test_an_erasure_finds_who_is_named_in_a_long_text(receiver: Running) -> None:
    await receiver.push(record(uuid="who-it-is"))
    note = "seen together with 王五, " + "and then nothing for a long time; " * 50
    await receiver.push({"type": 9, "data": {"note": note}})
    await receiver.push({"type": 9, "data": {"note": note.replace("王五", "赵六")}})
    receiver.settle()
    (person,) = (await receiver.get("/api/v1/people")).json["items"]
    done = await receiver.request("POST", f"/api/v1/people/{person['id']}/erase", b"{}")
    assert (done.status, done.json["quarantined"]) == (200, 1)
    (left,) = receiver.store.quarantined().items
    assert "赵六".encode() in receiver.store.pushed(left)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


@contextlib.asynccontextmanager
async def on_server(database: str, folder: Path, shared: Path) -> AsyncIterator[Running]:
    """Run one of several receivers of a database."""
    settings = ReceiverSettings(database=database, packs=f"file://{shared}")
    folder.mkdir(exist_ok=True)
    with contextlib.closing(open_store(settings, folder)) as store:
        async with serving(store, settings, journal=folder / "journal") as receiver:
            yield receiver


async def test_an_image_is_shown_by_its_own_receiver_and_by_the_others_once_its_pack_is_moved(
    tmp_path: Path, shared: Path, postgres_server: Postgres
) -> None:
    database = postgres_server.create_with_store()
    async with on_server(database, tmp_path / "b", shared) as other:
        async with on_server(database, tmp_path / "a", shared) as receiver:
            assert (await receiver.push(record(rgb_image=TEXT))).status == 200
            receiver.settle()
            (row,) = receiver.records()
            path = f"/api/v1/records/{row.id}/image"
            assert (await receiver.get(path)).body == FACE
            answer = await other.get(path)
            assert answer.status == 404
            assert "another receiver has it" in answer.json["detail"]
            assert str(tmp_path) not in answer.json["detail"]
            export = await other.get("/api/v1/records/export?format=zip")
            assert export.status == 200
        async with on_server(database, tmp_path / "a", shared) as receiver:
            assert receiver.desk.archiving is not None
            await asyncio.to_thread(receiver.desk.archiving.once)
            assert not list((tmp_path / "a" / "journal" / "packs").iterdir())
            assert (await other.get(path)).body == (await receiver.get(path)).body == FACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "files",
        "s3:///prefix",
        "s3://name:password@bucket/prefix",
        "file://host/folder",
        "file:relative",
        "/folder",
        "file:///no/such/folder",
    ],
)
def test_another_form_of_the_setting_is_refused_with_what_to_write(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        archive_of(value, tmp_path)
    assert refused.value.setting == "packs"
    assert "file:///FOLDER" in refused.value.why or "make it first" in refused.value.why


def test_the_setting_names_a_folder_or_none(tmp_path: Path, shared: Path) -> None:
    data = tmp_path / "data"
    assert archive_of("file", data) == ""
    assert archive_of(f"file://{shared}", data) == str(shared)
    spaced = shared / "with blank"
    spaced.mkdir()
    assert archive_of("s3://bucket/prefix/", data) == "s3://bucket/prefix"
    assert archive_of(f"file://{shared}/with%20blank", data) == str(spaced)


def test_a_folder_in_the_data_folder_is_refused_also_by_another_name(tmp_path: Path) -> None:
    packs = tmp_path / "data" / "journal" / "packs"
    packs.mkdir(parents=True)
    (tmp_path / "link").symlink_to(packs)
    for name in (packs, tmp_path / "data", tmp_path / "link"):
        with pytest.raises(SettingsError, match="in the data folder"):
            archive_of(f"file://{name}", tmp_path / "data")


def stocked(data: Path, shared: Path, name: str = "file") -> Store:
    """Open a store of SQLite with the setting, and with an image in it."""
    settings = ReceiverSettings(packs=f"file://{shared}" if name == "shared" else "file")
    store = open_store(settings, data)
    assert isinstance(store, SqliteStore)
    ensured(store, "SN-1", now_ms=1)
    packing(store).write([arrival(event_of(1 if name == "file" else 2, image=FACE))])
    return store


def test_what_was_moved_is_shown_checked_and_in_a_backup_also_after_the_setting_is_gone(
    tmp_path: Path, shared: Path
) -> None:
    data = tmp_path / "data"
    for count, name in enumerate(("shared", "file"), 1):
        with contextlib.closing(stocked(data, shared, name)) as store:
            assert store.packs is not None
            store.packs.move()
            assert len(list(shared.glob("*.pack"))) == 1
            assert store.image(store.records(RecordQuery()).items[-1].id) == FACE
        report = check(data, repair=True)
        assert (report.findings, report.images) == ((), count)
        assert backup(tmp_path / f"{name}.tar", folder=data, now=1).images_missing == 0
        restore(tmp_path / f"{name}.tar", folder=tmp_path / f"from-{name}")
        with contextlib.closing(open_store(ReceiverSettings(), tmp_path / f"from-{name}")) as store:
            assert store.image(store.records(RecordQuery()).items[-1].id) == FACE


def test_a_folder_of_another_database_and_one_that_is_not_mounted_are_refused(
    tmp_path: Path, shared: Path
) -> None:
    stocked(tmp_path / "data", shared, "shared").close()
    with pytest.raises(SettingsError, match="of another database"):
        stocked(tmp_path / "other", shared, "shared")
    (shared / MARKER).unlink()
    with pytest.raises(SettingsError, match="mount it"):
        stocked(tmp_path / "data", shared, "shared")
    stocked(tmp_path / "data", shared).close()


@pytest.mark.parametrize("charset", ["big5", "gbk", "gb18030"])
@pytest.mark.parametrize("images", ["store", "off"])
async def test_an_image_beside_a_name_that_is_no_utf8_is_in_no_file_in_clear(
    tmp_path: Path, charset: str, images: str
) -> None:
    name = "許功蓋"  # whose second bytes are backslashes in Big5
    pushed = record(uuid="not-utf-8-at-all", other_photo=TEXT, user={"user_id": "5", "name": name})
    text = json.dumps(pushed, ensure_ascii=False).encode(charset)
    async with receiving(tmp_path / "data", images=images) as receiver:
        kind = f"application/json; charset={charset}"
        assert (await receiver.push(text, headers={"content-type": kind})).status == 200
        receiver.settle()
        (row,) = receiver.records()
        assert row.person is not None
        assert row.person.name == name
        files = stored(tmp_path / "data")
        assert TEXT[:40].encode() not in files
        whole = receiver.store.original(row.id, row.original or b"")
        assert (whole == text) is (images == "store")


async def test_a_quarantined_push_whose_pack_is_gone_holds_no_other_up_and_is_erased_in_doubt(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr("gatepost.receiver.ingest.push.decoding.decode_many", broken)
        await receiver.push(record(uuid="with-a-long-text", rgb_image=TEXT))
        await receiver.push(record(uuid="without-any-text"))
    receiver.settle()
    packs = receiver.store.packs
    assert packs is not None
    ids = sorted(row.id for row in receiver.store.quarantined().items)
    for pack in (receiver.desk.projector._folder.path / "packs").iterdir():
        pack.unlink()
    packs.close()
    seen = receiver.store.seen_by(EVERYTHING)
    done = await asyncio.to_thread(receiver.desk.reprocessing.process, seen, ids)
    assert (done.stored, done.still_unknown) == (1, 1)
    (left,) = receiver.store.quarantined().items
    answer = await receiver.get(f"/api/v1/quarantine/{left.id}")
    assert (answer.status, TEXT in answer.json["original"]) == (200, False)
    (person,) = (await receiver.get("/api/v1/people")).json["items"]
    done = await receiver.request("POST", f"/api/v1/people/{person['id']}/erase", b"{}")
    assert (done.status, done.json["quarantined"]) == (200, 1)  # nobody can tell that it is not about them


async def test_the_long_texts_of_an_alarm_come_out_as_they_were_pushed(receiver: Running) -> None:
    push = alarm(description="d" * 2000, snapshot=TEXT)
    await receiver.push(push)
    receiver.settle()
    (row,) = receiver.alarms()
    found = (await receiver.get(f"/api/v1/alarms/{row.id}?include=original")).json["history"][0]
    assert json.loads(found["original"]) == push
    assert found["description"] == "d" * MAX_TEXT
