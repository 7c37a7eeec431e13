import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.receiver.kit import (
    JPEG,
    SUCCESS,
    TRACE,
    UUID,
    Running,
    Sender,
    alarm,
    base64,
    body,
    receiving,
    record,
    request,
    until,
)
from tests.terminals import ensured
from tests.wire.examples import json_values

from gatepost.errors import StoreUnavailable
from gatepost.receiver.ingest.push.decoding import count_values
from gatepost.receiver.ingest.push.serials import serial_of
from gatepost.receiver.terminals.sources import token_digest
from gatepost.wire import Record, decode


async def test_a_record_is_answered_exactly_as_the_page_says_and_is_on_disk(receiver: Running) -> None:
    answer = await receiver.push(record(rgb_image=base64(JPEG)))
    assert (answer.status, answer.body) == (200, b'{"code":200,"message":"success","data":{}}')
    assert answer.headers["content-type"] == "application/json"
    (row,) = receiver.records()
    assert (row.serial, row.uuid, row.person.name) == ("SN-1", UUID, "王五")  # type: ignore[union-attr]
    assert receiver.store.image(row.id) == JPEG


async def test_an_event_that_is_pushed_again_is_acknowledged_again_and_stored_once(receiver: Running) -> None:
    answers = [await receiver.push(record()) for _ in range(3)]
    assert [answer.json for answer in answers] == [SUCCESS] * 3
    assert len(receiver.records()) == 1
    assert receiver.store.stats().duplicates == 2


async def test_copies_that_arrive_in_one_batch_are_stored_once(receiver: Running) -> None:
    answers = await asyncio.gather(*(receiver.push(record()) for _ in range(20)))
    assert [answer.json for answer in answers] == [SUCCESS] * 20
    assert len(receiver.records()) == 1
    assert receiver.store.stats().duplicates == 19


async def test_records_of_firmware_without_uuid_are_told_apart_by_their_content(receiver: Running) -> None:
    for second in (1, 2, 2):
        assert (await receiver.push(record(uuid=None, timestamp=1_685_343_715 + second))).status == 200
    assert len(receiver.records()) == 2


async def test_concurrent_pushes_share_syncs(receiver: Running) -> None:
    senders = [await receiver.connect() for _ in range(40)]
    await asyncio.gather(
        *(s.request("POST", "/Record", body(record(uuid=f"u-{n}"))) for n, s in enumerate(senders))
    )
    assert receiver.ingest.group_commit.committed == 40
    assert receiver.ingest.group_commit.commits < 40
    assert len(receiver.records()) == 40
    for sender in senders:
        await sender.close()


async def test_each_step_of_an_alarm_is_stored_once(receiver: Running) -> None:
    for status in (1, 3, 1):
        assert (await receiver.push(alarm(status=status), headers={"sn": "SN-9"})).json == SUCCESS
    (row,) = receiver.alarms()
    assert (row.serial, row.state, [step.status for step in row.history]) == ("SN-9", "cleared", [1, 3])


async def test_an_alarm_without_a_serial_is_of_the_terminal_that_last_spoke_from_its_address(
    receiver: Running,
) -> None:
    await receiver.push(record(deviceSN="SN-7"))
    await receiver.push(alarm())
    assert receiver.alarms()[0].serial == "SN-7"


async def test_an_alarm_from_an_address_that_nobody_knows_is_kept_for_that_address(receiver: Running) -> None:
    assert (await receiver.push(alarm())).json == SUCCESS
    (row,) = receiver.store.terminals()
    assert (row.serial, row.anonymous_peer, row.alarms) == (None, "127.0.0.1", 1)


async def test_an_alarm_that_is_pushed_again_is_the_same_whoever_its_address_stands_for_by_then(
    receiver: Running,
) -> None:
    await receiver.push(alarm(status=1))
    await receiver.push(record(deviceSN="SN-7"))
    await receiver.push(alarm(status=1))
    await receiver.push(alarm(trace_id="T-2"))
    await receiver.push(record(deviceSN="SN-8", uuid="u-8"))
    assert (await receiver.push(alarm(trace_id="T-2"))).json == SUCCESS
    assert {(row.trace_id, row.serial) for row in receiver.alarms()} == {(TRACE, None), ("T-2", "SN-7")}
    assert receiver.store.stats().duplicates == 2


@pytest.mark.parametrize(
    "push", [record(deviceSN=None), record(deviceSN=None, uuid=None), {"type": 7, "data": {}}]
)
async def test_whatever_bears_no_serial_is_the_same_whoever_its_address_stands_for_by_then(
    receiver: Running, push: dict[str, object]
) -> None:
    for serial in ("SN-7", "SN-8", "SN-9"):
        assert (await receiver.push(push)).json == SUCCESS
        await receiver.push(record(deviceSN=serial, uuid=serial))
    stats = receiver.store.stats()
    assert (stats.records + stats.quarantined, stats.duplicates) == (4, 2)
    (first,) = [one for one in receiver.store.terminals() if one.serial is None]
    assert (first.anonymous_peer, first.records + first.quarantined, first.duplicates) == ("127.0.0.1", 1, 2)


async def test_the_same_from_another_address_is_of_another_terminal(receiver: Running) -> None:
    for source in ("127.0.0.2", "127.0.0.3"):
        sender = await Sender.connect(receiver.port, source=source)
        assert (await sender.request("POST", "/Record", body(record(deviceSN="")))).json == SUCCESS
        await sender.close()
    assert len(receiver.records()) == 2
    assert receiver.store.stats().duplicates == 0


async def test_whose_it_was_is_not_asked_of_what_bears_a_serial(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(receiver.store, "holders", ask)
    assert (await receiver.push(record())).json == SUCCESS
    assert (await receiver.push(alarm(), headers={"sn": "SN-1"})).json == SUCCESS
    assert len(receiver.records()) == 1
    assert receiver.desk.projector.set_aside == 0


async def test_the_token_in_the_path_says_whose_push_it_is_and_who_disagrees_is_recorded(
    receiver: Running,
) -> None:
    known = ensured(receiver.store, "SN-1", now_ms=0)
    receiver.store.update_terminal(known.id, token_digest=token_digest("s3cret"))
    answer = await receiver.push(record(deviceSN="SN-2"), "/Record/s3cret", {"sn": "SN-3"})
    assert answer.json == SUCCESS
    assert receiver.records()[0].serial == "SN-1"
    assert receiver.store.terminals()[0].disagreements == 2


async def test_a_token_that_nobody_has_is_refused_and_nothing_is_stored(receiver: Running) -> None:
    for _ in range(2):
        answer = await receiver.push(record(), "/Record/wrong")
        assert (answer.status, answer.json["code"]) == (404, 404)
    assert receiver.records() == []
    assert receiver.store.terminals() == []


async def test_while_a_token_cannot_be_looked_up_the_terminal_is_not_told_where_the_store_is(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: bytes) -> None:
        raise StoreUnavailable("db.example:5432/gatepost cannot be reached: /var/run/postgres refused")

    with monkeypatch.context() as patched:
        patched.setattr(receiver._store, "terminal_by_token", away)
        answer = await receiver.push(record(), "/Record/s3cret")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    why = "the token cannot be looked up while the receiver's database is away; send it again later"
    assert answer.json == {"code": 503, "message": why, "data": {}}
    assert (await receiver.push(record(), "/Record/s3cret")).status == 404


async def test_pushes_that_wait_for_their_token_are_bounded(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.receiver.ingest.push.token_lookups.MAX_ASKING_BYTES", 300_000)
    gate = asyncio.Event()

    async def hanging(_: bytes) -> None:
        await gate.wait()

    monkeypatch.setattr(receiver.ingest._desk, "holder", hanging)
    sent = body(record(strange="x" * 60_000))
    senders = [await receiver.connect() for _ in range(4)]
    for number, sender in enumerate(senders):
        await sender.write(request("POST", f"/Record/wrong-{number}", sent))
    await until(lambda: len(receiver.ingest.pushes._lookups._tasks) == 4)
    answer = await receiver.push(record(strange="x" * 60_000), "/Record/wrong")
    assert (answer.status, answer.json["message"]) == (
        503,
        "too many tokens are being looked up; send it again later",
    )
    assert (await receiver.push(record())).json == SUCCESS
    gate.set()
    await until(lambda: receiver.ingest.pushes._lookups._bytes == 0)


async def test_an_event_that_no_frame_holds_is_refused_for_good_and_the_others_are_listed(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.receiver.ingest.push.arrivals.MAX_BODY", 4000)
    large = record(uuid="large-one", **{f"field-{n}": "x" * 500 for n in range(8)})
    answer = await receiver.push(large)
    why = "an event is limited to 4000 bytes in the journal"
    assert (answer.status, answer.json) == (413, {"code": 413, "message": why, "data": {}})
    several = [json.loads(body(each)) for each in (record(uuid="first-one"), large, record(uuid="third-one"))]
    answer = await receiver.push(json.dumps(several).encode())
    assert (answer.status, answer.json["message"]) == (413, why)
    assert sorted(row.uuid or "" for row in receiver.records()) == ["first-one", "third-one"]


@pytest.mark.parametrize(("token", "shown"), [("wrong-0123456789-0123456789", "wron…"), ("w-1", "w-1…")])
async def test_a_push_with_a_token_that_nobody_has_is_shown_without_the_token(
    receiver: Running, token: str, shown: str
) -> None:
    for path in (f"/Record/{token}", f"/Record/{token}?x=1"):
        assert (await receiver.push(record(), path)).status == 404
    await receiver.flush()
    (row,) = receiver.store.refused()
    assert (row.peer, row.path, row.serial, row.count) == ("127.0.0.1", f"/Record/{shown}", "SN-1", 2)
    assert receiver.store.stats().refusals == {"token wrong": 2}


async def test_the_token_in_a_path_that_is_wrong_otherwise_is_not_shown_either(receiver: Running) -> None:
    for path in ("/record/s3cret-0123456789-0123456789", "/Record/s3cret-0123456789-0123456789/"):
        assert (await receiver.push(record(), path)).status == 404
    await receiver.flush()
    assert sorted(row.path for row in receiver.store.refused()) == ["/Record/s3cr…/", "/record/s3cr…"]


async def test_the_sn_header_goes_before_the_serial_in_the_body(receiver: Running) -> None:
    await receiver.push(record(deviceSN="SN-2"), headers={"sn": "SN-3"})
    assert receiver.records()[0].serial == "SN-3"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rgb_image", "no base64 at all!"),
        ("rgb_image", base64(b"GIF89a, not a JPEG")),
        ("rgb_image", 7),
        ("timestamp", "yesterday"),
        ("recognizeScore", "high"),
        ("pass", "perhaps"),
        ("user", "王五"),
        ("mode", [3]),
    ],
)
async def test_a_passage_with_a_broken_detail_is_still_a_passage(
    receiver: Running, field: str, value: object
) -> None:
    assert (await receiver.push(record(**{field: value}))).json == SUCCESS
    (row,) = receiver.records()
    assert [problem.where for problem in row.problems] == [f"data.{field}"]
    assert json.loads(row.original or b"")["data"][field] == value


async def test_an_object_that_is_no_event_goes_to_the_quarantine_and_is_acknowledged(
    receiver: Running,
) -> None:
    for push in ({"type": 7, "data": {"door": "open"}}, {"hello": "world"}, {"type": 1, "data": {}}):
        assert (await receiver.push(push)).json == SUCCESS
    stats = receiver.store.stats()
    assert (stats.quarantined, stats.records, stats.alarms) == (3, 0, 0)
    assert b"door" in b"".join(row.original for row in receiver.store.quarantined().items)


async def test_an_object_that_is_no_event_is_refused_where_the_setting_says_so(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", on_invalid="refuse") as receiver:
        answer = await receiver.push({"type": 7, "data": {}})
        assert (answer.status, answer.json["code"]) == (400, 400)
        assert "type" in answer.json["message"]
        assert (await receiver.push(record(mode="x"))).json == SUCCESS
        assert receiver.store.stats().quarantined == 0


@pytest.mark.parametrize("text", [b"", b"{", b"[1,2", b'"x"', b"7", b"\xff\xfe", body(record())[:-3]])
async def test_what_is_no_json_object_is_refused_in_the_documented_reply(
    receiver: Running, text: bytes
) -> None:
    answer = await receiver.push(text, headers={"sn": "SN-1"})
    assert (answer.status, answer.json["code"], answer.json["data"]) == (400, 400, {})
    assert answer.json["message"]
    assert receiver.store.stats().quarantined == 0


async def test_refusals_are_counted_for_the_terminal_that_sent_them(receiver: Running) -> None:
    await receiver.push(record())
    for _ in range(3):
        await receiver.push(b"{", headers={"sn": "SN-1"})
    await receiver.flush()
    assert receiver.store.terminals()[0].refused == 3


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded", "application/octet-stream",
        "", "application/jason", "json", "text/html", "application/xml", "charset=utf-8", "; ;", "\xe4/\xf6",
    ],
)  # fmt: skip
async def test_json_under_another_content_type_is_taken_and_noted(receiver: Running, kind: str) -> None:
    assert (await receiver.push(record(), headers={"Content-Type": kind})).json == SUCCESS
    assert (await receiver.push(alarm(), headers={"Content-Type": kind, "sn": "SN-1"})).json == SUCCESS
    (row,) = receiver.records()
    assert [(problem.where, problem.why) for problem in row.problems] == [
        ("Content-Type header", "is not application/json")
    ]
    ((step,),) = [found.history for found in receiver.alarms()]
    assert [problem.where for problem in step.problems] == ["Content-Type header"]


async def test_an_object_that_is_no_event_is_kept_whatever_its_content_type(receiver: Running) -> None:
    assert (await receiver.push({"x": 1}, headers={"Content-Type": "text/plain", "sn": "SN-1"})).status == 200
    (row,) = receiver.store.quarantined().items
    assert ("Content-Type header", "is not application/json") in [(p.where, p.why) for p in row.problems]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("multipart/form-data; boundary=x", body(record())),
        ("Multipart/Mixed", body(record())),
        ("application/xml", b"<event/>"),
        ("text/plain", b"hello"),
        ("application/x-www-form-urlencoded", b"sn=SN-1"),
    ],
)
async def test_multipart_and_what_is_no_json_under_another_content_type_are_refused(
    receiver: Running, kind: str, text: bytes
) -> None:
    answer = await receiver.push(text, headers={"Content-Type": kind})
    assert (answer.status, answer.json["code"]) == (415, 415)
    assert "application/json" in answer.json["message"]
    assert receiver.records() == []


async def test_a_compressed_body_is_refused_whatever_its_content_type(receiver: Running) -> None:
    for kind in ("application/json", "text/plain"):
        answer = await receiver.push(record(), headers={"Content-Type": kind, "Content-Encoding": "gzip"})
        assert (answer.status, answer.json["code"]) == (415, 415)


@pytest.mark.parametrize("kind", ["application/json", "application/json;charset=UTF-8", "Application/JSON"])
async def test_every_spelling_of_json_is_taken(receiver: Running, kind: str) -> None:
    assert (await receiver.push(record(), headers={"Content-Type": kind})).json == SUCCESS


async def test_only_post_pushes(receiver: Running) -> None:
    answer = await receiver.get("/Record")
    assert (answer.status, answer.json["code"], answer.headers["allow"]) == (405, 405, "POST")


async def test_every_configured_path_receives(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", ingest_paths=("/Record", "/events/in")) as receiver:
        for number, path in enumerate(("/Record", "/Record/", "/events/in", "/events/in/", "/Record?x=1")):
            assert (await receiver.push(record(uuid=f"u-{number}"), path)).json == SUCCESS
        assert len(receiver.records()) == 5


@pytest.mark.parametrize("path", ["/", "/record", "/Reocrd", "/Record/a/b", "/event"])
async def test_a_push_to_a_wrong_path_is_refused_and_shown(receiver: Running, path: str) -> None:
    answer = await receiver.push(record(), path)
    assert (answer.status, answer.json["code"]) == (404, 404)
    assert "/Record" in answer.json["message"]
    assert receiver.records() == []
    await receiver.flush()
    (shown,) = receiver.store.refused()
    assert (shown.peer, shown.path, shown.serial, shown.count) == ("127.0.0.1", path, "SN-1", 1)


async def test_an_event_that_the_store_chokes_on_goes_to_the_quarantine_and_the_others_are_stored(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record())
    write = receiver.store.write

    def chokes(batch: list[object]) -> bool:
        return any(isinstance(a.event, Record) and a.event.uuid == "poison" for a in batch)  # type: ignore[attr-defined]

    def choking(batch: list[object], progress: object) -> object:
        if chokes(batch):
            raise ValueError("a defect")
        return write(batch, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(receiver.store, "write", choking)
    names = [f"u-{number}" for number in range(2, 12)] + ["poison"]
    answers = await asyncio.gather(
        *(receiver.push(record(uuid=name, rgb_image=base64(JPEG))) for name in names)
    )
    assert [answer.json for answer in answers] == [SUCCESS] * 11
    assert len(receiver.records()) == 11
    (kept,) = receiver.store.quarantined().items
    assert b"poison" in kept.original
    assert base64(JPEG).encode() in receiver.store.pushed(kept)


async def test_a_defect_of_the_decoder_does_not_stop_a_terminals_queue(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr("gatepost.receiver.ingest.push.decoding.decode_many", broken)
    assert (await receiver.push(record(), headers={"sn": "SN-1"})).json == SUCCESS
    assert receiver.store.stats().quarantined == 1


async def test_an_unknown_terminal_is_held_where_the_setting_says_so(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", unknown_terminals="hold") as receiver:
        assert (await receiver.push(record())).json == SUCCESS
        assert receiver.records() == []
        (terminal,) = receiver.store.terminals()
        receiver.store.update_terminal(terminal.id, state="approved")
        assert len(receiver.records()) == 1


async def test_an_unknown_terminal_is_refused_where_the_setting_says_so(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", unknown_terminals="refuse") as receiver:
        ensured(receiver.store, "SN-1", now_ms=0, state="approved")
        await receiver.desk.table.refresh()
        assert (await receiver.push(record())).json == SUCCESS
        answer = await receiver.push(record(deviceSN="SN-2"))
        assert (answer.status, answer.json["code"]) == (403, 403)
        assert [row.serial for row in receiver.store.terminals()] == ["SN-1"]


async def test_pushes_from_outside_the_allowed_networks_are_refused(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", allowed_networks=("10.0.0.0/8",)) as receiver:
        assert (await receiver.push(record())).status == 403
        assert receiver.records() == []


def values_of(value: object) -> int:
    if not isinstance(value, dict | list):
        return 1
    return 1 + sum(map(values_of, value.values() if isinstance(value, dict) else value))


@given(json_values, st.sampled_from(["rgb_image", "alarm_photo", "name"]), st.text(), st.booleans())
def test_no_text_has_more_values_than_are_counted(value: object, name: str, image: str, first: bool) -> None:
    push = {name: image, "data": value} if first else {"data": value, name: image}
    assert values_of(push) <= count_values(json.dumps(push).encode()) + 1


def test_an_image_is_not_looked_at_to_count_values() -> None:
    text = body(record(rgb_image=""))
    assert count_values(
        text.replace(b'"rgb_image": ""', b'"rgb_image": "' + b"," * 99 + b'"')
    ) == count_values(text)
    assert (
        count_values(b'"rgb_image')
        == count_values(b'"rgb_image"')
        == count_values(b'"rgb_image" : "')
        == count_values(b"")
        == 0
    )
    assert count_values(b'[1, 2, {"rgb_image": [1, 2, 3]}]') == 7


async def test_a_sender_that_leaves_before_the_reply_changes_nothing(receiver: Running) -> None:
    sender = await receiver.connect()
    await sender.write(request("POST", "/Record", body(record())))
    await sender.close()
    await until(lambda: len(receiver.records()) == 1)
    assert (await receiver.push(record())).json == SUCCESS


async def test_the_same_ingest_serves_as_a_plain_asgi_application(receiver: Running) -> None:
    sent: list[dict[str, object]] = []
    text = body(record())
    messages = [
        {"type": "http.request", "body": text[:20], "more_body": True},
        {"type": "http.request", "body": text[20:], "more_body": False},
    ]

    async def receive() -> object:
        return messages.pop(0)

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/Record", "headers": [], "client": ("127.0.0.1", 1)}
    await receiver.ingest.asgi_pushes(scope, receive, send)
    assert sent[0]["status"] == 200
    assert json.loads(sent[1]["body"]) == SUCCESS  # type: ignore[arg-type]
    assert len(receiver.records()) == 1


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data") as receiver:
        await receiver.push(record(rgb_image=base64(JPEG)))
        await receiver.push(alarm())
    async with receiving(tmp_path / "data") as receiver:
        assert len(receiver.records()) == 1
        assert receiver.store.image(receiver.records()[0].id) == JPEG
        assert receiver.alarms()[0].serial == "SN-1"
        await receiver.push(alarm(trace_id="T-2"))
        assert receiver.alarms()[0].serial == "SN-1"


@pytest.mark.parametrize(
    ("sent", "serial"),
    [
        *[
            ("SN-PAD\0\0", "SN-PAD"),
            (" SN-PAD\r\n", "SN-PAD"),
            ("\u3000SN-PAD", "SN-PAD"),
            (4711, "4711"),
            (4711.0, "4711"),
        ],
        *[(4711.5, None), (True, None), (["SN"], None), ("\0", None), ("", None)],
    ],
)
def test_a_serial_is_read_alike_beside_whatever_comes(sent: object, serial: str | None) -> None:
    for kind in (0, 1, 9):
        data = {"deviceSN": sent, "timestamp": 1685343715, "trace_id": "SPX-1684381418208", "status": 1}
        event = decode(json.dumps({"type": kind, "data": data}).encode(), lenient=True).event
        assert (serial_of(event) or None) == serial
