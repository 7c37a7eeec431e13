"""The client against a receiver: a method a route."""

import asyncio
import threading
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from tests.client.conftest import Ask
from tests.receiver.kit import JPEG, TRACE, UUID, Running, alarm, base64, record

from gatepost.client import Client, Happened
from gatepost.errors import ReceiverAway, RequestRefused
from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.questions import UserStore

FIRST = 1_685_343_715


async def test_records_are_iterated_over_page_by_page(
    receiver: Running, ask: Ask[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        await receiver.push(record(uuid=f"u-{number}", timestamp=FIRST + number))
    oldest = await ask(lambda client: [one.uuid for one in client.records(order="oldest", limit=3)])
    assert oldest == [f"u-{number}" for number in range(7)]
    assert await ask(lambda client: next(client.records()).uuid) == "u-6"


async def test_a_record_has_the_types_that_the_receiver_answers_with(
    receiver: Running, ask: Ask[Any]
) -> None:
    await receiver.push(record(rgb_image=base64(JPEG)))
    (one,) = await ask(lambda client: list(client.records()))
    assert one.recorded_at == datetime(2023, 5, 29, 7, 1, 55, tzinfo=UTC)
    assert (one.passed, one.person.name, one.person.groups) == (True, "王五", [{"id": "3", "name": "测试3"}])
    assert await ask(lambda client: client.record(one.id)) == one
    assert await ask(lambda client: client.image(one.id)) == JPEG


async def test_filters_are_those_of_the_api(receiver: Running, ask: Ask[Any]) -> None:
    for number in range(4):
        await receiver.push(record(uuid=f"u-{number}", timestamp=FIRST + number, **{"pass": number != 2}))
    since = datetime.fromtimestamp(FIRST + 1, UTC)
    found = await ask(lambda client: [one.uuid for one in client.records(since=since, q="王")])
    assert found == ["u-3", "u-2", "u-1"]
    assert await ask(lambda client: [one.uuid for one in client.records(passed=False, person=None)]) == [
        "u-2"
    ]


async def test_a_page_of_arrivals_goes_on_where_the_last_one_ended(receiver: Running, ask: Ask[Any]) -> None:
    await receiver.push(record(uuid="a"))
    page = await ask(lambda client: client.records_page(order="received"))
    await receiver.push(record(uuid="b"))
    later = await ask(lambda client: client.records_page(order="received", cursor=page.next_cursor))
    assert [one.uuid for one in later.items] == ["b"]


async def test_an_alarm_is_acknowledged(receiver: Running, ask: Ask[Any]) -> None:
    await receiver.push(alarm())
    (one,) = await ask(lambda client: list(client.alarms(state="open", acknowledged=False)))
    seen = await ask(lambda client: client.acknowledge(one.id, note="looked"))
    assert (seen.acknowledged, seen.note, seen.acknowledged_by) == (True, "looked", "token:test")
    assert await ask(lambda client: client.alarm(one.id)) == seen


async def test_a_terminal_from_its_making_to_its_end(receiver: Running, ask: Ask[Any]) -> None:
    made = await ask(lambda client: client.create_terminal(serial="SN-9", name="gate"))
    assert made.address.startswith(f"http://127.0.0.1:{receiver.port}/Record/")
    renamed = await ask(lambda client: client.change_terminal(made.id, name="back door"))
    assert (renamed.name, renamed.serial, renamed.address) == ("back door", "SN-9", None)
    rotated = await ask(lambda client: client.rotate_token(made.id))
    assert rotated.address not in (None, made.address)
    assert (await ask(lambda client: client.terminal(made.id))).refusals == {}
    assert (await ask(lambda client: client.retire_terminal(made.id))).state == "retired"
    with pytest.raises(RequestRefused, match="retired") as refused:
        await ask(lambda client: client.approve_terminal(made.id))
    assert refused.value.status == 409
    assert [one.state for one in await ask(lambda client: list(client.terminals(state="retired")))] == [
        "retired"
    ]


async def test_a_person_is_found_and_erased(receiver: Running, ask: Ask[Any]) -> None:
    await receiver.push(record())
    (one,) = await ask(lambda client: list(client.people(q="23385")))
    assert (one.user_id, one.name) == ("5", "王五")
    assert (await ask(lambda client: client.erase_person(one.id))).records == 1
    assert await ask(lambda client: list(client.people())) == []
    await receiver.push(record(uuid="again"))
    assert (await ask(lambda client: client.erase_number("5"))).records == 1
    assert (await ask(lambda client: client.stats())).records == 2


async def test_an_export_comes_in_pieces(receiver: Running, ask: Ask[Any]) -> None:
    await receiver.push(record())
    data = await ask(lambda client: b"".join(client.export(columns="uuid,name", lang="zh")))
    assert data.decode("utf-8-sig") == f"UUID,姓名\r\n{UUID},王五\r\n"
    alarms = await ask(lambda client: b"".join(client.export("alarms", format="jsonl")))
    assert alarms == b""


async def test_an_export_that_breaks_off_raises(
    receiver: Running, ask: Ask[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record())
    real, asked = receiver.store.records, []

    def fails(query: Any) -> Any:
        asked.append(query)
        if len(asked) > 1:
            raise OSError
        return type(page := real(query))(page.items, "more")

    monkeypatch.setattr(UserStore, "records", staticmethod(fails))
    pieces: list[bytes] = []
    with pytest.raises(ReceiverAway, match="broke off"):
        await ask(lambda client: pieces.extend(client.export()))
    assert pieces


async def test_the_stream_goes_on_from_a_place_and_tells_records_and_alarms(
    receiver: Running, ask: Ask[Any]
) -> None:
    await receiver.push(record(uuid="a"))
    await receiver.push(alarm())
    first, second = await ask(lambda client: list(islice(client.live(after=0), 2)))
    assert (first.kind, first.record.uuid, second.alarm.trace_id) == ("record", "a", TRACE)
    (again,) = await ask(lambda client: list(islice(client.live(after=first.id, kind="alarm"), 1)))
    assert again == second


async def test_the_stream_survives_a_receiver_that_goes_and_comes_back(
    receiver: Running, tmp_path: Any
) -> None:
    slept: list[float] = []
    found: list[Happened] = []
    first, both = threading.Event(), threading.Event()

    def follow() -> None:
        url = f"http://127.0.0.1:{receiver.port}"
        with Client(url, receiver.token, sleep=slept.append) as client:
            for one in client.live(after=0):
                found.append(one)
                (first if len(found) == 1 else both).set()
                if len(found) == 2:
                    return

    following = asyncio.create_task(asyncio.to_thread(follow))
    await receiver.push(record(uuid="a"))
    assert await asyncio.to_thread(first.wait, 20)
    live = receiver.desk.live
    for bell in list(live._listeners):  # every stream ends, as when the receiver restarts
        live._listeners.discard(bell)
    live._place, live._floor = 1 << 40, 1 << 40
    live._ring()
    for sender in list(receiver.ingest.guard._open):
        sender.abort()
    await receiver.push(record(uuid="b"))
    assert await asyncio.to_thread(both.wait, 20)
    await following
    assert [one.record.uuid for one in found if one.record is not None] == ["a", "b"]
    assert slept


async def test_who_may_not_is_told_so(receiver: Running) -> None:
    secret, _ = issue_token(Accounts(receiver.store), "look", "viewer", by="test", now_ms=0)
    url = f"http://127.0.0.1:{receiver.port}"

    def export(token: str) -> None:
        with Client(url, token) as client:
            list(client.export())

    with pytest.raises(RequestRefused, match="operator") as refused:
        await asyncio.to_thread(export, secret)
    assert refused.value.status == 403
    with pytest.raises(RequestRefused) as refused:
        await asyncio.to_thread(export, "gp_wrong")
    assert refused.value.status == 401


async def test_a_wrong_filter_is_named(ask: Ask[Any]) -> None:
    with pytest.raises(RequestRefused, match="passed") as refused:
        await ask(lambda client: list(client.records(passed="maybe", has_image="x")))
    assert set(refused.value.fields) == {"passed", "has_image"}


async def test_one_client_goes_on_after_the_receiver_closed_its_connection(receiver: Running) -> None:
    def twice(close: Any) -> list[int]:
        with Client(f"http://127.0.0.1:{receiver.port}", receiver.token) as client:
            before = client.stats().records
            close()
            return [before, client.stats().records, client.acknowledge(1).id]

    await receiver.push(alarm())
    await receiver.flush()
    loop = asyncio.get_running_loop()

    def close() -> None:
        async def abort() -> None:
            for connection in list(receiver.ingest.guard._open):
                connection.transport.close()

        asyncio.run_coroutine_threadsafe(abort(), loop).result(20)

    assert await asyncio.to_thread(twice, close) == [0, 0, 1]


async def test_a_refused_push_is_listed_with_a_sample(receiver: Running, ask: Ask[Any]) -> None:
    await receiver.push(b'{"deviceSN": "SN-1", oops')
    await receiver.flush()
    (refusal,) = await ask(lambda client: list(client.refusals(status=400)))
    assert (refusal.reason, refusal.serial) == ("no JSON", "SN-1")
    sample = await ask(lambda client: client.refusal_sample(refusal.sample))
    assert sample.content == '{"deviceSN": "SN-1", oops'


async def test_a_destination_from_its_making_to_its_end(receiver: Running, ask: Ask[Any]) -> None:
    told = {"name": "HR", "kind": "webhook", "url": "https://localhost/", "enabled": False}
    made = await ask(lambda client: client.create_destination(**told))
    assert (made.state, made.secret[:6], made.replays) == ("paused", "whsec_", [])
    await receiver.push(record())
    changed = await ask(lambda client: client.change_destination(made.id, shape="flat"))
    assert (changed.shape, changed.waiting, changed.secret) == ("flat", 1, None)
    listed = await ask(lambda client: list(client.destinations()))
    assert [(one.name, one.seen) for one in listed] == [("HR", 1)]
    shown = await ask(lambda client: client.preview_destination(shape="flat"))
    assert shown.id == "record-1"
    tried = await ask(lambda client: client.test_destination(made.id))
    assert tried.outcome == "unreachable"
    assert (await ask(lambda client: client.rotate_destination(made.id))).secret != made.secret
    since = datetime(2020, 1, 1, tzinfo=UTC)
    assert (await ask(lambda client: client.replay_destination(made.id, since=since, rate=5))).waiting == 1
    assert len((await ask(lambda client: client.destination(made.id))).replays) == 1
    assert (await ask(lambda client: client.pause_destination(made.id))).state == "paused"
    assert (await ask(lambda client: client.resume_destination(made.id))).enabled
    assert await ask(lambda client: list(client.dead_letters(made.id))) == []
    assert await ask(lambda client: client.retry_dead_letters(made.id)) == 0
    assert await ask(lambda client: client.drop_dead_letters(made.id, [1])) == 0
    assert await ask(lambda client: len(list(client.destination_attempts(made.id))) >= 0)
    await ask(lambda client: client.delete_destination(made.id))
    assert await ask(lambda client: list(client.destinations())) == []
