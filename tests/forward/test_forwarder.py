"""What is stored is sent, once, and the ledger adds up; whatever the destination says, and whenever a process ends."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from tests.forward.kit import Line, Told, hooked
from tests.store.conftest import Opener
from tests.store.events import JPEG, RECEIVED_MS, arrival, record
from tests.terminals import ensured

from gatepost.egress import Egress
from gatepost.errors import ImageUnavailable
from gatepost.forward.admin import Admin
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.progress import progress
from gatepost.forward.sinks import Closed, LeftOut, Result
from gatepost.forward.sinks.webhook import Webhook
from gatepost.store.forwarding.destinations import Ledger
from gatepost.store.query.notices import NewNotice, Notices
from gatepost.wire import Delivered, Refused, Unreachable


async def test_what_is_stored_is_sent_once(line: Line) -> None:
    numbers = line.passages(*range(10))
    sink = Told()
    line.begin(sink)

    await line.turn(2)

    assert sorted(sink.ids) == numbers
    assert line.ledger == Ledger(seen=10, filtered=0, delivered=10, waiting=0, dead=0, dropped=0)


async def test_a_backlog_waits_without_a_row(line: Line) -> None:
    line.passages(*range(300))
    line.begin(Told(lambda _: Result(outcome=Unreachable("away"))))

    await line.turn(3)

    assert line.ledger.waiting == 300
    loaded = line.destinations.load(line.id)
    assert loaded is not None
    assert not loaded.exceptions


async def test_a_refused_event_holds_up_no_other(line: Line) -> None:
    numbers = line.passages(*range(20))
    bad = numbers[3]
    sink = Told(lambda one: Result(outcome=Refused("HTTP 422: no") if one.event_id == bad else Delivered()))
    line.begin(sink)

    for _ in range(14):
        await line.turn()
        line.clock.at += 61

    assert set(sink.ids) == set(numbers)
    assert line.ledger == Ledger(seen=20, filtered=0, delivered=19, waiting=0, dead=1, dropped=0)
    (dead,) = line.destinations.exceptions_page(line.id, dead=True).items
    assert (dead.event_id, dead.refusals, dead.reason) == (bad, 10, "HTTP 422: no")


async def test_alarms_go_on_where_a_destination_refuses_all_records(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "MAX_EXCEPTIONS", 20)
    line.passages(*range(50))
    sink = Told(lambda one: Result(outcome=Refused("no") if one.kind == "record" else Delivered()))
    line.begin(sink)
    await line.turn(3)

    alarm = line.alarm("one")
    await line.turn(2)

    assert alarm in sink.ids
    assert line.ledger.delivered == 1


async def test_one_bad_event_of_a_batch_is_the_only_dead_letter(open_store: Opener) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, batch=64)
    numbers = line.passages(*range(64))
    bad = f'"record-{numbers[3]}"'.encode()
    async with hooked() as hook:
        hook.reply = lambda each: web.Response(status=422 if bad in hook.requests[each - 1][1] else 204)
        told = decode({**line.told, "url": hook.url})
        line.begin(Webhook(told, decode_secrets({}), Egress(["127.0.0.0/8"]), now=line.clock))
        for number in range(12):
            await line.turn()
            line.clock.at += 61
            line.passages(1000 + number)
        await line.sink.close()

    (dead,) = line.destinations.exceptions_page(line.id, dead=True).items
    assert (dead.event_id, dead.refusals) == (numbers[3], 10)
    assert line.ledger.waiting == 1
    assert line.ledger.delivered == 63 + 11


@pytest.mark.parametrize("is_refused_first", [False, True])
async def test_what_happened_last_night_is_too_old_though_it_was_received_now(
    open_store: Opener, is_refused_first: bool
) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, max_age_s=3600)
    hours = 10 if not is_refused_first else 0.5
    passage = record(1, recorded_at=datetime.fromtimestamp(RECEIVED_MS / 1000, UTC) - timedelta(hours=hours))
    store.write([arrival(passage)])
    line.begin(Told(lambda _: Result(outcome=Refused("no"))))
    await line.turn(2)
    line.clock.at += 3000 if is_refused_first else 0
    sink = Told()
    line.begin(sink)

    await line.turn(2)

    assert sink.ids == []
    assert line.row.dropped_why == {"older than max_age_s": 1}
    assert line.ledger.dropped == 1


async def test_one_bad_event_of_the_only_terminal_holds_it_up_until_it_is_refused_ten_times(
    open_store: Opener,
) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, order="terminal")
    numbers = line.passages(*range(6))
    bad = numbers[1]
    sink = Told(lambda one: Result(outcome=Refused("HTTP 422: no") if one.event_id == bad else Delivered()))
    line.begin(sink)

    for _ in range(25):
        await line.turn()
        line.clock.at += 61

    assert sink.ids == [numbers[0], *[bad] * 10, *numbers[2:]]
    (dead,) = line.destinations.exceptions_page(line.id, dead=True).items
    assert (dead.event_id, dead.refusals, dead.reason) == (bad, 10, "HTTP 422: no")
    assert line.ledger == Ledger(seen=6, filtered=0, delivered=5, waiting=0, dead=1, dropped=0)


async def test_an_event_waits_for_its_image_while_others_go_on(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, images="inline")
    (late,) = [one.id for one in store.write([arrival(record(1, image=JPEG))])]
    others = line.passages(2, 3)
    is_away = True
    image = store.image

    def read(event_id: int) -> bytes | None:
        if is_away:
            raise ImageUnavailable("the share is away")
        return image(event_id)

    monkeypatch.setattr(store, "image", read)
    sink = Told()
    line.begin(sink)
    await line.turn(3)
    assert sink.ids == others
    assert line.ledger.waiting == 1

    is_away = False
    line.clock.at += 61
    await line.turn(2)

    assert sink.ids == [*others, late]
    assert sink.events[-1].image


async def test_an_event_is_sent_without_its_image_after_an_hour(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, images="inline")
    store.write([arrival(record(1, image=JPEG))])

    def away(_: int) -> bytes | None:
        raise ImageUnavailable("the share is away")

    monkeypatch.setattr(store, "image", away)
    sink = Told()
    line.begin(sink)

    for _ in range(11):
        await line.turn()
        line.clock.at += 327
    assert sink.events == []
    line.clock.at += 61
    await line.turn(2)

    assert [one.image for one in sink.events] == [None]
    assert line.ledger.delivered == 1
    (attempt,) = line.destinations.attempts(line.id)
    assert attempt.reply == "sent without its image: the share is away"


async def test_secrets_that_a_destination_tells_back_are_not_kept(line: Line) -> None:
    line.passages(1)
    values = {
        "headers": {"Authorization": "Bearer TOPSECRET"},
        "signing": [{"value": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}],
    }
    line.destinations.change(line.id, now_ms=line.now_ms, secrets=msgspec.json.encode(values))
    said = "token TOPSECRET, Bearer TOPSECRET, MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    async with hooked() as hook:
        hook.reply = lambda _: web.Response(status=401, text=said + "x" * 1983 + "TOPSECRET")
        told = decode({**line.told, "url": hook.url})
        secrets = decode_secrets(line.row.secrets)
        line.begin(Webhook(told, secrets, Egress(["127.0.0.0/8"]), now=line.clock))
        await line.turn(2)
        await line.sink.close()

    (attempt,) = line.destinations.attempts(line.id)
    assert attempt.reply.startswith("token ***, ***, ***xxx")
    assert line.row.failure is not None
    loaded = line.destinations.load(line.id)
    assert loaded is not None
    for kept in (attempt.reply, line.row.failure, loaded.exceptions[0].reason):
        assert "TOPS" not in kept
        assert "MfKQ" not in kept


async def test_a_replay_sends_what_was_received_in_its_span_however_old(open_store: Opener) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, max_age_s=600)
    # The second one's receiver had been away from the database for an hour.
    seconds = (0, 3600, 10, 60)
    arrivals = [arrival(record(each), received_at_ms=RECEIVED_MS + each * 1000) for each in seconds]
    numbers = [one.id for one in store.write(arrivals)]
    line.clock.at += 86_400
    admin = Admin(line.destinations, now=line.clock, check=lambda told, kept: None)
    begin = datetime.fromtimestamp(RECEIVED_MS / 1000, UTC)
    line.id = admin.replay(line.row, begin, begin + timedelta(seconds=60)).id
    sink = Told()
    line.begin(sink)

    await line.turn(3)

    assert sorted(sink.ids) == [numbers[0], numbers[2]]
    assert line.ledger == Ledger(seen=3, filtered=1, delivered=2, waiting=0, dead=0, dropped=0)
    assert line.row.finished_at is not None


def test_a_replay_to_a_paused_destination_is_paused(line: Line) -> None:
    admin = Admin(line.destinations, now=line.clock, check=lambda told, kept: None)
    admin.pause(line.id)
    begin = datetime.fromtimestamp(RECEIVED_MS / 1000, UTC)

    assert admin.replay(line.row, begin, begin + timedelta(seconds=60)).paused_at is not None

    admin.resume(line.id)
    assert all(row.paused_at is None for row in line.destinations.all())


@pytest.mark.parametrize("is_killed", [False, True])
async def test_steps_of_an_alarm_leave_in_order_and_others_pass_them(line: Line, is_killed: bool) -> None:
    first, other = line.alarm("one", 1), line.alarm("two", 1)
    second = line.alarm("one", 3)
    is_bad = True
    sink = Told(
        lambda one: Result(outcome=Refused("no") if one.event_id == first and is_bad else Delivered())
    )
    line.begin(sink)
    await line.turn(3)
    assert sink.ids == [first, other]
    assert line.ledger.waiting == 2
    assert all(place.place >= second for place in line.row.places if place.kind == "alarm")

    is_bad = False
    if is_killed:
        line.begin(sink)
    line.clock.at += 61
    await line.turn(3)

    assert sink.ids == [first, other, first, second]
    assert line.ledger.delivered == 3


async def test_a_killed_process_sends_again_and_counts_once(line: Line) -> None:
    numbers = line.passages(*range(10))
    first = Told()
    forwarder = line.begin(first)
    await forwarder.once()  # claimed, committed, and sent by nobody
    second = Told()
    line.begin(second)

    await line.turn(2)

    assert sorted(second.ids) == numbers
    assert line.ledger.delivered == 10


async def test_a_former_owner_stores_nothing(line: Line) -> None:
    line.passages(*range(10))
    late = line.begin(Told())
    await late.once()
    line.begin(Told())
    await line.turn(2)
    before = line.row

    with_error = None
    try:
        await late.push_once()
    except Exception as error:
        with_error = error

    assert "another process sends" in str(with_error)
    assert line.row.ledger == before.ledger


async def test_410_closes(open_store: Opener) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, batch=3)
    line.passages(*range(3))
    sink = Told(lambda _: Result(outcome=Closed("HTTP 410: gone")))
    line.begin(sink)

    with capture_logs() as logs:
        await line.turn(5)

    assert len(sink.events) == 3
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["forwarder.closed"]
    assert line.row.closed_why == "HTTP 410: gone"
    assert line.ledger.waiting == 3


@pytest.mark.parametrize("before", [Closed("HTTP 410: gone"), Unreachable("no connection")])
async def test_what_was_away_is_sent_one_event_first_by_whoever_goes_on(
    line: Line, before: Closed | Unreachable
) -> None:
    numbers = line.passages(*range(40))
    line.begin(Told(lambda _: Result(outcome=before)))
    await line.turn(2)
    line.destinations.change(line.id, now_ms=line.now_ms, reopen=True)

    still = Told(lambda _: Result(outcome=before))
    line.begin(still)
    await line.turn(1)
    assert len(still.events) == 1

    line.destinations.change(line.id, now_ms=line.now_ms, reopen=True)
    back = Told()
    line.begin(back)
    await line.turn(1)
    assert len(back.events) == 1
    await line.turn(2)
    assert set(back.ids) == set(numbers)
    assert not line.row.is_away


async def test_what_rules_leave_out_is_counted_by_reason(line: Line) -> None:
    line.passages(*range(3))
    why = iter(["rule 1: quiet hours", "no rule chooses it", "rule 1: quiet hours"])
    line.begin(Told(lambda _: Result(outcome=LeftOut(next(why)))))
    await line.turn(2)
    assert line.ledger.filtered == 3
    assert line.row.left_out_why == {"rule 1: quiet hours": 2, "no rule chooses it": 1}


async def test_order_of_a_terminal_is_kept_behind_a_refused_event(open_store: Opener) -> None:
    store = open_store()
    for serial in ("SN-1", "SN-2"):
        ensured(store, serial, now_ms=RECEIVED_MS)
    line = Line(store, order="terminal")
    mine, others = line.passages(*range(10)), line.passages(*range(10, 20), terminal_id=2)
    patience = iter(range(6))
    sink = Told(
        lambda one: Result(
            outcome=Refused("HTTP 500: no")
            if one.event_id == mine[2] and next(patience, None) is not None
            else Delivered()
        )
    )
    line.begin(sink)

    for _ in range(60):
        await line.turn()
        line.clock.at += 61
        if not line.ledger.waiting:
            break

    assert [one for one in sink.ids if one in others] == others
    sent = [one for one in sink.ids if one in mine]
    assert sent == [*mine[:2], *[mine[2]] * 7, *mine[3:]]
    assert line.ledger == Ledger(seen=20, filtered=0, delivered=20, waiting=0, dead=0, dropped=0)


async def test_events_of_a_held_terminal_go_out_when_it_is_approved(line: Line) -> None:
    line.store.update_terminal(1, state="held")
    held = line.passages(*range(300))
    sink = Told()
    line.begin(sink)
    await line.turn(3)
    assert sink.ids == []
    assert line.ledger.waiting == 300

    line.store.update_terminal(1, state="approved")
    await line.turn(6)

    assert sink.ids == held
    assert line.ledger.delivered == 300


async def test_a_real_webhook_is_sent_signed_events(line: Line) -> None:
    numbers = line.passages(*range(40))
    async with hooked() as hook:
        told = decode({"kind": "webhook", "url": hook.url})
        secrets = decode_secrets({"signing": [{"value": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}]})
        line.begin(Webhook(told, secrets, Egress(["127.0.0.0/8"]), now=line.clock))
        await line.turn(2)
        await line.sink.close()

    assert sorted(headers["webhook-id"] for headers, _ in hook.requests) == sorted(
        f"record-{number}" for number in numbers
    )
    assert all(headers["webhook-signature"].startswith("v1,") for headers, _ in hook.requests)


async def test_notices_are_passed_on_where_they_are_asked_for(open_store: Opener) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, filter={"records": None, "alarms": None, "notices": ["terminal.offline"]})
    notices = Notices(store)
    line.passages(1, 2)
    told = [
        NewNotice(kind="terminal.new", subject="1", terminal_id=1),
        NewNotice(kind="terminal.offline", subject="1", terminal_id=1, detail={"silent_s": 3600}),
    ]
    notices.tell(told, now_ms=RECEIVED_MS)
    sink = Told()
    line.begin(sink)

    await line.turn(2)

    (sent,) = sink.events
    body = json.loads(sent.body)
    assert sent.id == body["id"] == f"notice-{sent.event_id}"
    assert (body["type"], body["subject"]) == ("gatepost.notice", "SN-1")
    assert (body["data"]["kind"], body["data"]["detail"]) == ("terminal.offline", {"silent_s": 3600})
    assert line.ledger == Ledger(seen=4, filtered=3, delivered=1, waiting=0, dead=0, dropped=0)


async def test_notices_are_left_out_unless_they_are_asked_for(line: Line) -> None:
    told = NewNotice(kind="disk.low", subject="one")
    Notices(line.store).tell([told], now_ms=RECEIVED_MS)
    sink = Told()
    line.begin(sink)
    await line.turn(2)
    assert sink.events == []
    assert line.ledger.filtered == 1
