"""The pusher: what counts as delivered, in which order, and what one event's trouble means for the others."""

import asyncio
import itertools
import json
import time

import pytest
import structlog
from tests.faults import bad_receiver as bad
from tests.faults.bad_receiver import SUCCESS, BadReceiver, Peer, Request, until
from tests.faults.line import HASTY, Clock, alarm, line, names, record, settings

from gatepost.errors import OutboxUnavailable, SettingsError
from gatepost.terminal.outbox.outbox import Outbox
from gatepost.terminal.outbox.reader import Reader
from gatepost.terminal.push.http_client import HttpClient
from gatepost.terminal.push.pusher import Pusher, client_for
from gatepost.terminal.push.window import Window
from gatepost.wire import Subscription

SLOW = settings(retry_first_s=1.0, retry_cap_s=60.0)
REFUSAL = b'{"code":500,"message":"no thanks, Zhang Wei","data":{}}'


def refuses(*poison: str) -> bad.Behaviour:
    """Store everything but these."""
    return bad.choose(lambda request: (200, REFUSAL if request.name() in poison else SUCCESS))


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestDelivery:
    async def test_an_event_is_delivered_when_the_receiver_says_so(self, tmp_path, clock):
        async with BadReceiver(bad.good) as receiver, line(tmp_path, receiver.url, clock=clock) as made:
            await made.put(record("r1"))
            assert await made.pusher.push_once() == 1
            assert (await made.status()).delivered == 1
            assert await made.pusher.push_once() == 0
        (request,) = receiver.stored
        assert request.event()["data"]["uuid"] == "r1"

    async def test_every_push_carries_the_headers_of_the_family(self, tmp_path, clock):
        async with BadReceiver(bad.good) as receiver, line(tmp_path, receiver.url, clock=clock) as made:
            await made.put(record("r1"), alarm("a", 1))
            await made.pusher.push_once()
        for request in receiver.requests:
            assert request.headers["sn"] == "T1"
            assert request.headers["model"] == "SPS-1"
            assert request.headers["account"] == "admin"
            assert request.headers["timestamp"] == "1772000000000"
            assert request.headers["content-type"] == "application/json"

    async def test_what_is_pushed_is_what_was_recorded(self, tmp_path, clock):
        from gatepost.wire import decode

        events = [record("r1"), record("r2", image=None), alarm("a", 1)]
        async with BadReceiver(bad.good) as receiver, line(tmp_path, receiver.url, clock=clock) as made:
            await made.put(*events)
            await made.pusher.push_once()
        got = {request.name(): decode(request.body).event for request in receiver.stored}
        assert got == {"r1": events[0], "r2": events[1], "a/1": events[2]}

    async def test_nothing_is_pushed_while_disabled_and_everything_once_enabled(self, tmp_path):
        async with BadReceiver(bad.good) as receiver, line(tmp_path, receiver.url, run=True) as made:
            await made.outbox.subscribe(Subscription(receiver.url, enabled=False))
            await made.records(["r1", "r2"])
            await made.outbox.subscribe(Subscription(receiver.url, enabled=True))
            await made.drained()
        assert sorted(names(receiver)) == ["r1", "r2"]

    async def test_a_disabled_push_makes_no_request(self, tmp_path, clock):
        async with BadReceiver(bad.good) as receiver, line(tmp_path, receiver.url, clock=clock) as made:
            await made.put(record("r1"))
            await made.outbox.subscribe(Subscription(receiver.url, enabled=False))
            assert await made.pusher.push_once() == 0
        assert receiver.connections == 0

    async def test_without_a_subscription_there_is_nothing_to_do(self, tmp_path, clock):
        async with line(tmp_path, None, clock=clock) as made:
            assert await made.pusher.push_once() == 0


class TestOrder:
    async def test_as_many_requests_at_once_as_the_window_allows(self, tmp_path):
        meeting = asyncio.Barrier(8)

        async def together(peer: Peer) -> None:
            request = await peer.request()
            if request is None:
                return
            await meeting.wait()
            receiver.stored.append(request)
            await peer.send(bad._plain(200, SUCCESS))

        async with (
            BadReceiver(together) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, run=True) as made,
        ):
            await made.records([f"r{n}" for n in range(24)])
            await until(lambda: len(receiver.stored) % 8 == 0 and receiver.stored)
            await made.drained()
            assert receiver.most_open == 8

    async def test_it_begins_with_one_and_has_one_more_for_each_reply(self, tmp_path, clock):
        async with (
            BadReceiver(bad.good) as receiver,
            line(tmp_path, receiver.url, clock=clock, window=Window(8)) as made,
        ):
            await made.records([f"r{n}" for n in range(30)])
            began = [await made.pusher.push_once() for _ in range(6)]
        assert began == [1, 2, 4, 8, 8, 7]

    async def test_pushes_that_time_out_together_halve_how_many_there_may_be(self, tmp_path, clock):
        hasty = settings(**HASTY, retry_first_s=1.0, retry_cap_s=60.0)
        async with (
            BadReceiver(bad.silence) as receiver,
            line(tmp_path, receiver.url, settings=hasty, clock=clock) as made,
        ):
            await made.records([f"r{n}" for n in range(30)])
            clock.pass_(1.0)
            assert await made.pusher.push_once() == 8
            receiver.behave(bad.answer(500))
            clock.pass_(made.pusher.status().backoff_s)
            assert await made.pusher.push_once() == 1, "a try"
            receiver.behave(bad.good)
            clock.pass_(made.pusher.status().backoff_s)
            began = [await made.pusher.push_once() for _ in range(3)]
        assert began == [1, 6, 8], "half of eight, and one more each for two replies"

    async def test_a_try_begins_while_more_hang_than_the_halved_window_has(self, tmp_path):
        """Five are under way to a window of two: what hangs must keep neither the try away nor what follows it."""
        hung = asyncio.Event()

        async def hangs(peer: Peer) -> None:
            if await peer.request() is not None and len(receiver.requests) == 5:
                hung.set()
            await asyncio.Event().wait()

        patient = settings(reply_timeout_s=60.0, drain_timeout_s=0.0)
        window = Window(8, size=5)
        async with (
            BadReceiver(hangs) as receiver,
            line(tmp_path, receiver.url, settings=patient, window=window) as made,
        ):
            await made.records([f"r{n}" for n in range(20)])
            made.start()
            await hung.wait()
            window.timed_out(time.monotonic(), time.monotonic() + 1.0)
            receiver.behaviour = bad.good
            next(iter(receiver._peers)).cancel()
            await until(lambda: len(receiver.stored) == 16)
            await until(lambda: made.pusher.status().in_flight == 4)

    async def test_a_window_of_one_keeps_strict_order(self, tmp_path):
        one = settings(max_in_flight=1)
        async with BadReceiver(bad.good) as receiver, line(tmp_path, receiver.url, settings=one) as made:
            for n in range(30):
                await made.put(record(f"r{n}"))
            made.start()
            await made.drained()
        assert names(receiver) == [f"r{n}" for n in range(30)]
        assert receiver.most_open == 1

    async def test_alarms_go_before_records(self, tmp_path, clock):
        one = settings(max_in_flight=1)
        async with (
            BadReceiver(bad.good) as receiver,
            line(tmp_path, receiver.url, settings=one, clock=clock) as made,
        ):
            await made.put(record("r1"), record("r2"), alarm("a", 1), record("r3"), alarm("b", 1))
            while await made.pusher.push_once():
                pass
        assert names(receiver) == ["a/1", "b/1", "r1", "r2", "r3"]

    async def test_an_alarm_does_not_wait_for_the_backlog(self, tmp_path):
        async with BadReceiver(bad.good) as receiver, line(tmp_path, receiver.url) as made:
            await made.records([f"r{n}" for n in range(300)])
            made.start()
            await until(lambda: len(receiver.stored) > 10)
            before = len(receiver.stored)
            await made.put(alarm("fire", 1))
            await made.drained()
        position = names(receiver).index("fire/1")
        assert position < before + 250

    async def test_alarms_of_one_trace_arrive_in_order_whatever_fails(self, tmp_path):
        seen: dict[str, int] = {}

        def every_second_try(request: Request) -> tuple[int, bytes]:
            seen[request.name()] = seen.get(request.name(), 0) + 1
            return (200, SUCCESS) if seen[request.name()] % 2 == 0 else (500, b"")

        async with (
            BadReceiver(bad.choose(every_second_try)) as receiver,
            line(tmp_path, receiver.url) as made,
        ):
            for status in (1, 2, 2, 3):
                await made.put(alarm("a", status), alarm("b", status))
            made.start()
            await made.drained()
        for trace in "ab":
            assert [n for n in names(receiver) if n.startswith(trace)] == [
                f"{trace}/{s}" for s in (1, 2, 2, 3)
            ]


class TestUnreachable:
    async def test_one_probe_at_a_time_and_full_speed_at_once_after_the_first_success(self, tmp_path, clock):
        async with (
            BadReceiver(bad.answer(500)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.records([f"r{n}" for n in range(30)])
            assert await made.pusher.push_once() == 8
            for _ in range(5):
                assert await made.pusher.push_once() == 0, "the circuit is open"
                clock.pass_(made.pusher.status().backoff_s)
                assert await made.pusher.push_once() == 1
            receiver.behave(bad.good)
            clock.pass_(made.pusher.status().backoff_s)
            assert await made.pusher.push_once() == 1
            assert await made.pusher.push_once() == 8

    async def test_eight_that_fail_together_are_one_failure(self, tmp_path, clock):
        async with (
            BadReceiver(bad.answer(500)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.records([f"r{n}" for n in range(8)])
            await made.pusher.push_once()
            status = made.pusher.status()
        assert status.failures == 1
        assert 1.0 <= status.backoff_s <= 2.0
        assert status.reason == "HTTP 500"

    async def test_the_back_off_grows_to_the_cap_and_is_retried_for_ever(self, tmp_path, clock):
        waits = []
        async with (
            BadReceiver(bad.answer(502)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.put(record("r1"))
            for _ in range(40):
                await made.pusher.push_once()
                waits.append(made.pusher.status().backoff_s)
                clock.pass_(waits[-1] + 0.2)
            status = await made.status()
        assert len(receiver.requests) == 40
        assert all(1.0 <= wait <= min(60.0, 2.0 ** (n + 1)) for n, wait in enumerate(waits))
        assert max(waits) > 30.0
        assert len(set(waits)) == 40, "full jitter"
        assert (status.pending, status.dead) == (1, 0)

    async def test_retry_after_is_honoured(self, tmp_path, clock):
        async with (
            BadReceiver(bad.answer(503, b"", "retry-after: 90")) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.put(record("r1"))
            await made.pusher.push_once()
            assert made.pusher.status().backoff_s == pytest.approx(90.0)
            receiver.behave(bad.answer(503, b"", "retry-after: 0"))
            clock.pass_(91.0)
            await made.pusher.push_once()
            assert made.pusher.status().backoff_s >= 1.0, "never sooner than the back-off"

    async def test_a_refusal_of_connections_is_unreachable_too(self, tmp_path, clock):
        async with (
            BadReceiver(bad.good, listening=False) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.put(record("r1"))
            await made.pusher.push_once()
            assert made.pusher.status().reason == "connection refused"
            await receiver.listen()
            clock.pass_(3.0)
            await made.pusher.push_once()
            assert (await made.status()).delivered == 1

    @pytest.mark.parametrize("window", [1, 8])
    async def test_after_an_outage_without_connections_the_oldest_comes_first(self, tmp_path, clock, window):
        slow = settings(max_in_flight=window, retry_first_s=1.0, retry_cap_s=60.0)
        async with (
            BadReceiver(bad.good, listening=False) as receiver,
            line(tmp_path, receiver.url, settings=slow, clock=clock) as made,
        ):
            await made.put(*(record(f"r{n}") for n in range(12)))
            for _ in range(20):
                await made.pusher.push_once()
                assert made.pusher.status().failures
                clock.pass_(made.pusher.status().backoff_s)
            await receiver.listen()
            for _ in range(12):
                await made.pusher.push_once()
                clock.pass_(1.0)
            assert (await made.status()).delivered == 12
        assert receiver.stored[0].name() == "r0"
        if window == 1:
            assert names(receiver) == [f"r{n}" for n in range(12)]

    async def test_the_next_probe_is_another_event(self, tmp_path, clock):
        async with (
            BadReceiver(bad.answer(500)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.put(record("r1"), record("r2"), record("r3"))
            for _ in range(6):
                await made.pusher.push_once()
                clock.pass_(made.pusher.status().backoff_s)
        probes = [request.name() for request in receiver.requests[3:]]
        assert all(a != b for a, b in itertools.pairwise(probes))

    @pytest.mark.parametrize("window", [1, 8])
    async def test_an_event_that_makes_the_receiver_fail_does_not_hold_up_the_others(self, tmp_path, window):
        def fails_on_one(request: Request) -> tuple[int, bytes]:
            return (500, b"") if request.name() == "r0" else (200, SUCCESS)

        quick = settings(max_in_flight=window)
        async with (
            BadReceiver(bad.choose(fails_on_one)) as receiver,
            line(tmp_path, receiver.url, settings=quick) as made,
        ):
            await made.put(record("r0"))
            await made.records([f"r{n}" for n in range(1, 200)])
            made.start()
            await until(lambda: len(receiver.stored) == 199)
            await until(lambda: sum(request.name() == "r0" for request in receiver.requests) > 5)
            status = await made.when(lambda status: status.delivered == 199)
            assert (status.pending, status.dead) == (1, 0)
            receiver.behave(bad.good)
            await made.drained()

    async def test_an_event_that_alone_fails_again_closes_no_gate(self, tmp_path, clock):
        def fails_on_one(request: Request) -> tuple[int, bytes]:
            return (500, b"") if request.name() == "r0" else (200, SUCCESS)

        async with (
            BadReceiver(bad.choose(fails_on_one)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.put(record("r0"))
            await made.pusher.push_once()
            assert made.pusher.status().failures == 1
            await made.put(record("r1"))
            clock.pass_(made.pusher.status().backoff_s)
            assert await made.pusher.push_once() == 1
            assert made.pusher.status().failures == 0, "r1 got through"
            clock.pass_(3.0)
            assert await made.pusher.push_once() == 1
            assert made.pusher.status().failures == 0, "r0 again, and it is its own fault"
            await made.records([f"n{n}" for n in range(8)])
            assert await made.pusher.push_once() == 8

    async def test_a_clock_that_is_set_back_a_day_does_not_keep_the_gate_closed(self, tmp_path, clock):
        async with (
            BadReceiver(bad.answer(500)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.records(["r1", "r2", "r3"])
            await made.pusher.push_once()
            receiver.behave(bad.good)
            clock.pass_(3.0)
            clock.unix -= 86_400.0
            assert await made.pusher.push_once() == 1
            await made.pusher.push_once()
            assert (await made.status()).delivered == 3

    async def test_hanging_leftovers_do_not_keep_the_probe_away(self, tmp_path):
        """Eight are under way and one is reset: the seven that hang must not delay the recovery."""

        async def resets_the_first(peer: Peer) -> None:
            if await peer.request() is not None and len(receiver.requests) == 8:
                peer.reset()
            await asyncio.Event().wait()

        patient = settings(reply_timeout_s=60.0, drain_timeout_s=0.0)
        async with (
            BadReceiver(resets_the_first) as receiver,
            line(tmp_path, receiver.url, settings=patient) as made,
        ):
            await made.records([f"r{n}" for n in range(20)])
            made.start()
            await until(lambda: made.pusher.status().failures)
            receiver.behaviour = bad.good
            await until(lambda: len(receiver.stored) == 13)
            await until(lambda: made.pusher.status().in_flight == 7)
            receiver.behave(bad.good)
            await made.drained()


class TestRefused:
    async def test_one_that_is_refused_for_ever_ends_in_the_dead_letters_and_holds_up_nobody(self, tmp_path):
        def poison(request: Request) -> tuple[int, bytes]:
            return (200, REFUSAL) if request.name() == "r7" else (200, SUCCESS)

        async with BadReceiver(bad.choose(poison)) as receiver, line(tmp_path, receiver.url) as made:
            await made.records([f"r{n}" for n in range(1000)])
            made.start()
            status = await made.drained()
            (dead,) = await made.outbox.dead_letters()
        assert (status.delivered, status.dead) == (999, 1)
        assert sorted(names(receiver)) == sorted(f"r{n}" for n in range(1000) if n != 7)
        assert sum(request.name() == "r7" for request in receiver.requests) == 10
        assert json.loads(dead.body)["data"]["uuid"] == "r7"
        assert dead.reason.startswith("code 500")

    async def test_a_refusal_closes_no_gate(self, tmp_path, clock):
        async with (
            BadReceiver(bad.answer(404, REFUSAL)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.records([f"r{n}" for n in range(16)])
            assert await made.pusher.push_once() == 8
            assert await made.pusher.push_once() == 8
            assert await made.pusher.push_once() == 0, "each waits for its own back-off"
            assert made.pusher.status().failures == 0

    async def test_a_receiver_that_refuses_everything_does_not_turn_the_backlog_into_dead_letters(
        self, tmp_path, clock
    ):
        async with (
            BadReceiver(bad.answer(200, REFUSAL)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.records([f"r{n}" for n in range(300)])
            while await made.pusher.push_once():
                pass
            for _ in range(600):
                clock.pass_(6.0)
                await made.pusher.push_once()
            status = await made.status()
            assert len(receiver.requests) < 250, "an hour of tries"
            assert status.dead < 20
            receiver.behave(bad.good)
            clock.pass_(60.0)
            while await made.pusher.push_once():
                pass
            clock.pass_(60.0)
            while await made.pusher.push_once():
                pass
            status = await made.status()
        assert status.delivered + status.dead == 300

    async def test_as_many_refusals_as_set_and_not_one_more(self, tmp_path, clock):
        async with (
            BadReceiver(refuses("r0")) as receiver,
            line(tmp_path, receiver.url, settings=settings(max_refusals=3), clock=clock) as made,
        ):
            await made.records(["r0", "r1", "r2", "r3"])
            await made.pusher.push_once()
            for _ in range(10):
                clock.pass_(60.0)
                await made.pusher.push_once()
            status = await made.status()
            assert (status.delivered, status.dead) == (3, 1)
        assert sum(request.name() == "r0" for request in receiver.requests) == 3

    async def test_a_receiver_that_accepts_nothing_makes_nothing_dead_for_however_long(self, tmp_path, clock):
        """Five events of a quiet door and a receiver whose database is down over a week."""
        async with (
            BadReceiver(bad.answer(200, REFUSAL)) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.put(*(record(f"r{n}") for n in range(4)), alarm("a", 1))
            for _ in range(7 * 24):
                clock.pass_(3600.0)
                await made.pusher.push_once()
            assert len(receiver.requests) == 5 * 7 * 24
            status = await made.status()
            assert (status.pending, status.dead) == (5, 0)
            receiver.behave(bad.good)
            clock.pass_(60.0)
            await made.pusher.push_once()
            assert (await made.status()).delivered == 5

    async def test_an_event_is_given_up_only_when_three_of_its_kind_were_accepted_since(
        self, tmp_path, clock
    ):
        async with (
            BadReceiver(refuses("r0")) as receiver,
            line(tmp_path, receiver.url, settings=settings(max_refusals=2), clock=clock) as made,
        ):
            await made.records(["b0", "b1", "b2", "b3"])  # before it was refused: they say nothing about it
            await made.pusher.push_once()
            await made.put(record("r0"))
            for n in range(3):
                for _ in range(20):
                    await made.pusher.push_once()
                    clock.pass_(60.0)
                assert (await made.status()).dead == 0, f"after {n} of its kind"
                await made.put(record(f"g{n}"), record(f"plain{n}", image=None), alarm(f"a{n}", 1))
                await made.pusher.push_once()
            clock.pass_(60.0)
            await made.pusher.push_once()
            assert (await made.status()).dead == 1

    @pytest.mark.parametrize(
        ("poison", "others"),
        [
            pytest.param(record("x"), [record(f"p{n}", image=None) for n in range(9)], id="no picture"),
            pytest.param(record("x"), [alarm(f"a{n}", 1) for n in range(9)], id="alarms"),
            pytest.param(alarm("x", 1), [record(f"p{n}") for n in range(9)], id="records"),
        ],
    )
    async def test_what_is_accepted_of_another_kind_condemns_nothing(self, tmp_path, clock, poison, others):
        async with (
            BadReceiver(refuses("x", "x/1")) as receiver,
            line(tmp_path, receiver.url, settings=settings(max_refusals=2), clock=clock) as made,
        ):
            await made.put(poison)
            await made.pusher.push_once()
            await made.put(*others)
            for _ in range(10):
                clock.pass_(60.0)
                await made.pusher.push_once()
            status = await made.status()
        assert (status.delivered, status.pending, status.dead) == (9, 1, 0)

    async def test_an_event_without_a_picture_is_condemned_by_any_of_its_type(self, tmp_path, clock):
        async with (
            BadReceiver(refuses("x")) as receiver,
            line(tmp_path, receiver.url, settings=settings(max_refusals=2), clock=clock) as made,
        ):
            await made.put(record("x", image=None))
            await made.pusher.push_once()
            await made.records(["r1", "r2", "r3"])
            for _ in range(3):
                clock.pass_(60.0)
                await made.pusher.push_once()
            assert (await made.status()).dead == 1

    async def test_what_is_known_of_a_refused_event_survives_a_restart(self, tmp_path, clock):
        two = settings(max_refusals=2)
        async with BadReceiver(refuses("r0")) as receiver:
            for names_of_this_start in (["r0"], ["r1", "r2"], ["r3"], []):
                async with line(tmp_path, receiver.url, settings=two, clock=clock) as made:
                    await made.records(names_of_this_start)
                    await made.pusher.push_once()
                    clock.pass_(60.0)
                    before = await made.status()
            assert (before.delivered, before.pending, before.dead) == (3, 0, 1)

    async def test_forty_that_are_refused_for_their_pictures_hold_up_nobody(self, tmp_path, clock):
        def no_pictures(request: Request) -> tuple[int, bytes]:
            has_one = request.event()["data"]["rgb_image"]  # type: ignore[index]
            return (200, REFUSAL) if has_one else (200, SUCCESS)

        async with (
            BadReceiver(bad.choose(no_pictures)) as receiver,
            line(tmp_path, receiver.url, settings=settings(max_refusals=1), clock=clock) as made,
        ):
            await made.records([f"r{n}" for n in range(40)])
            while await made.pusher.push_once():
                pass
            for n in range(20):
                clock.pass_(60.0)
                await made.put(record(f"plain{n}", image=None))
                await made.pusher.push_once()
                assert receiver.stored[-1].name() == f"plain{n}", "although forty are due before it"
            status = await made.status()
        assert (status.delivered, status.pending, status.dead) == (20, 40, 0)

    async def test_time_away_does_not_count_as_refusals(self, tmp_path, clock):
        three = settings(max_refusals=3)
        async with (
            BadReceiver(bad.answer(400, REFUSAL)) as receiver,
            line(tmp_path, receiver.url, settings=three, clock=clock) as made,
        ):
            await made.put(record("r1"))
            await made.pusher.push_once()
            receiver.behave(bad.answer(503))
            for _ in range(20):
                clock.pass_(60.0)
                await made.pusher.push_once()
            assert (await made.status()).pending == 1
            receiver.behave(bad.good)
            clock.pass_(60.0)
            await made.pusher.push_once()
            assert (await made.status()).delivered == 1

    async def test_what_the_receiver_says_about_a_person_is_not_logged(self, tmp_path, clock):
        once = settings(max_refusals=1)
        with structlog.testing.capture_logs() as logs:
            async with (
                BadReceiver(refuses("r0")) as receiver,
                line(tmp_path, receiver.url, settings=once, clock=clock) as made,
            ):
                await made.records(["r0", "r1", "r2", "r3"])
                await made.pusher.push_once()
                clock.pass_(60.0)
                await made.pusher.push_once()
        assert [entry["event"] for entry in logs] == [
            "outbox.refused",
            "pusher.dead_letters",
            "outbox.refusals_ended",
        ]
        assert "Zhang" not in str(logs)

    async def test_each_kind_of_refusal_is_one_line_when_it_begins_and_one_when_it_ends(
        self, tmp_path, clock
    ):
        with structlog.testing.capture_logs() as logs:
            async with (
                BadReceiver(bad.answer(200, REFUSAL)) as receiver,
                line(tmp_path, receiver.url, clock=clock) as made,
            ):
                await made.records([f"r{n}" for n in range(20)])
                for behaviour in (bad.answer(200, REFUSAL), bad.answer(400, REFUSAL), bad.answer(503)):
                    receiver.behave(behaviour)
                    for _ in range(30):
                        clock.pass_(60.0)
                        await made.pusher.push_once()
                receiver.behave(bad.good)
                for _ in range(5):
                    clock.pass_(60.0)
                    await made.pusher.push_once()
                assert (await made.status()).delivered == 20
        told = [
            (entry["event"], entry.get("reason")) for entry in logs if entry["event"].startswith("outbox.")
        ]
        assert told[:2] == [("outbox.refused", "code 500"), ("outbox.refused", "HTTP 400, code 500")]
        # Which kind ends first depends on which events are under way at once.
        assert sorted(told[2:]) == [
            ("outbox.refusals_ended", "HTTP 400, code 500"),
            ("outbox.refusals_ended", "code 500"),
        ]


class TestSubscription:
    async def test_a_new_address_takes_the_backlog_and_is_tried_at_once(self, tmp_path, clock):
        async with (
            BadReceiver(bad.answer(500)) as old,
            BadReceiver(bad.good) as new,
            line(tmp_path, old.url, settings=SLOW, clock=clock) as made,
        ):
            await made.records([f"r{n}" for n in range(16)])
            await made.pusher.push_once()
            clock.pass_(1.0)
            await made.outbox.subscribe(Subscription(new.url, enabled=True))
            assert await made.pusher.push_once() == 8, "what the old one did says nothing about the new one"
            clock.pass_(3.0)
            assert await made.pusher.push_once() == 8
        assert len(new.stored) == 16

    async def test_dead_letters_come_back_for_another_receiver_and_not_for_the_same_address(
        self, tmp_path, clock
    ):
        one = settings(max_refusals=1)
        async with (
            BadReceiver(refuses("r0", "r1")) as old,
            BadReceiver(bad.good) as new,
            line(tmp_path, old.url, settings=one, clock=clock) as made,
        ):
            await made.records([f"r{n}" for n in range(5)])
            for _ in range(3):
                await made.pusher.push_once()
                clock.pass_(60.0)
            assert (await made.status()).dead == 2
            await made.outbox.subscribe(Subscription(old.url, enabled=False))
            await made.outbox.subscribe(Subscription(old.url, enabled=True))
            assert (await made.status()).dead == 2
            await made.outbox.subscribe(Subscription(new.url, enabled=True))
            while await made.pusher.push_once():
                pass
            status = await made.status()
            assert (status.delivered, status.dead) == (5, 0)
        assert sorted(names(new)) == ["r0", "r1"]

    async def test_a_refusal_by_the_old_address_does_not_count_at_the_new_one(self, tmp_path):
        may_answer = asyncio.Event()

        async def refuses_late(peer: Peer) -> None:
            if await peer.request() is not None:
                await may_answer.wait()
                await peer.send(bad._plain(200, REFUSAL))

        async with (
            BadReceiver(refuses_late) as old,
            BadReceiver(bad.silence) as new,
            line(tmp_path, old.url, run=True) as made,
        ):
            await made.put(record("r1"))
            await until(lambda: old.requests)
            await made.outbox.subscribe(Subscription(new.url, enabled=True))
            may_answer.set()
            await until(lambda: new.requests)
            (waiting,) = [event async for event in made.outbox.export()]
            assert b'"r1"' in waiting
            await made.stop()
            (claimed,) = await made.outbox.claim(1, now=time.time())
        assert claimed.refusals == 0

    async def test_what_is_in_flight_to_the_old_address_is_not_lost(self, tmp_path):
        async with (
            BadReceiver(bad.silence) as old,
            BadReceiver(bad.good) as new,
            line(tmp_path, old.url, settings=settings(**HASTY), run=True) as made,
        ):
            await made.records([f"r{n}" for n in range(20)])
            await until(lambda: len(old.requests) == 8)
            await made.outbox.subscribe(Subscription(new.url, enabled=True))
            await made.drained()
            assert made.pusher.status().failures == 0
        assert set(names(new)) == {f"r{n}" for n in range(20)}

    async def test_a_new_address_is_pushed_to_while_every_place_hangs_at_the_old_one(self, tmp_path):
        patient = settings(reply_timeout_s=600.0, drain_timeout_s=0.0)
        async with (
            BadReceiver(bad.silence) as old,
            BadReceiver(bad.good) as new,
            line(tmp_path, old.url, settings=patient, window=Window(8), run=True) as made,
        ):
            await made.records([f"r{n}" for n in range(5)])
            await until(lambda: old.requests)
            await made.outbox.subscribe(Subscription(new.url, enabled=True))
            await until(lambda: len(new.stored) == 4)
        assert len(old.requests) == 1

    async def test_a_change_between_the_claim_and_the_request_holds_for_that_request(self, tmp_path):
        class Changing(Outbox):
            change: Subscription | None = None

            async def claim(self, limit, *, now):
                claimed = await super().claim(limit, now=now)
                if self.change is not None:
                    await self.subscribe(self.change)
                    self.change = None
                return claimed

        outbox = await Changing.open(tmp_path / "outbox")
        async with BadReceiver(bad.good) as old, BadReceiver(bad.good) as new:
            await outbox.subscribe(Subscription(old.url, enabled=True))
            for n in range(3):
                await outbox.put(record(f"r{n}"))
            pusher = Pusher(outbox, settings=settings())
            for change in (Subscription(old.url, enabled=False), Subscription(new.url, enabled=True)):
                outbox.change = change
                await pusher.push_once()
                assert (old.connections, new.connections) == (0, 0)
                await outbox.subscribe(Subscription(new.url, enabled=True))
            while len(new.stored) < 3:
                await pusher.push_once()
            await pusher.close()
            await outbox.close()
        assert sorted(names(new)) == ["r0", "r1", "r2"]
        assert old.connections == 0

    async def test_what_is_in_flight_when_push_is_disabled_is_acknowledged(self, tmp_path):
        may_answer = asyncio.Event()

        async def waits(peer: Peer) -> None:
            request = await peer.request()
            if request is None:
                return
            await may_answer.wait()
            receiver.stored.append(request)
            await peer.send(bad._plain(200, SUCCESS))

        patient = settings(reply_timeout_s=20.0)
        async with (
            BadReceiver(waits) as receiver,
            line(tmp_path, receiver.url, settings=patient, run=True) as made,
        ):
            await made.records([f"r{n}" for n in range(20)])
            await until(lambda: len(receiver.requests) == 8)
            await made.outbox.subscribe(Subscription(receiver.url, enabled=False))
            may_answer.set()
            await made.when(lambda status: status.delivered == 8)
            assert (await made.status()).pending == 12
        assert len(receiver.requests) == 8

    async def test_whoever_subscribes_again_is_tried_at_once(self, tmp_path, clock):
        async with (
            BadReceiver(bad.answer(503, b"", "retry-after: 3000")) as receiver,
            line(tmp_path, receiver.url, settings=SLOW, clock=clock) as made,
        ):
            await made.records(["r1", "r2", "r3"])
            await made.pusher.push_once()
            assert await made.pusher.push_once() == 0
            receiver.behave(bad.good)
            clock.pass_(2.0)
            await made.outbox.subscribe(Subscription(receiver.url, enabled=True))
            assert await made.pusher.push_once() == 1, "a try"
            assert await made.pusher.push_once() == 2, "and the others that had failed, at once"


class TestCrash:
    async def test_what_is_sent_and_not_yet_acknowledged_in_the_file_never_exceeds_the_window(self, tmp_path):
        file = tmp_path / "outbox"
        ahead: list[int] = []

        def looks(request: Request) -> tuple[int, bytes]:
            ahead.append(len(receiver.requests) - Reader(file).count()["delivered"])
            return 200, SUCCESS

        async with BadReceiver(bad.choose(looks)) as receiver, line(tmp_path, receiver.url, run=True) as made:
            await made.records([f"r{n}" for n in range(200)])
            await made.drained()
        assert len(ahead) == 200
        assert max(ahead) <= 8

    async def test_an_event_whose_last_attempt_was_just_now_waits_for_the_first_back_off(self, tmp_path):
        slow = settings(retry_first_s=0.3, retry_cap_s=1.0)
        async with BadReceiver(bad.good) as receiver:
            async with line(tmp_path, receiver.url, settings=slow) as made:
                await made.put(record("r1"))
                loop = asyncio.get_running_loop()
                began = loop.time()
                assert await made.outbox.claim(1, now=time.time())
            async with line(tmp_path, receiver.url, settings=slow, run=True) as made:
                await made.drained()
            assert loop.time() - began >= 0.25


class TestEnds:
    async def test_a_stop_lets_what_is_in_flight_end(self, tmp_path):
        may_answer = asyncio.Event()

        async def waits(peer: Peer) -> None:
            if await peer.request() is not None:
                await may_answer.wait()
                await peer.send(bad._plain(200, SUCCESS))

        patient = settings(reply_timeout_s=20.0, drain_timeout_s=20.0)
        async with (
            BadReceiver(waits) as receiver,
            line(tmp_path, receiver.url, settings=patient, run=True) as made,
        ):
            await made.records([f"r{n}" for n in range(20)])
            await until(lambda: len(receiver.requests) == 8)
            await made.pusher.stop()
            may_answer.set()
            assert made.task is not None
            await asyncio.wait_for(made.task, 10)
            status = await made.status()
        assert (status.delivered, status.pending) == (8, 12)

    async def test_a_stop_is_bounded_and_what_did_not_end_is_pending_and_due(self, tmp_path):
        patient = settings(reply_timeout_s=600.0, drain_timeout_s=0.05)
        async with (
            BadReceiver(bad.silence) as receiver,
            line(tmp_path, receiver.url, settings=patient) as made,
        ):
            await made.records([f"r{n}" for n in range(20)])
            made.start()
            await until(lambda: len(receiver.requests) == 8)
            await asyncio.wait_for(made.stop(), 10)
            status = await made.status()
            assert (status.pending, status.in_flight) == (20, 0)
            receiver.behave(bad.good)
            again = Pusher(made.outbox, settings=settings(), window=Window(8, size=8))
            assert await again.push_once() == 8
            await again.close()

    async def test_cancelling_gives_up_at_once_and_loses_nothing(self, tmp_path):
        patient = settings(reply_timeout_s=600.0, drain_timeout_s=600.0)
        async with (
            BadReceiver(bad.silence) as receiver,
            line(tmp_path, receiver.url, settings=patient) as made,
        ):
            await made.records([f"r{n}" for n in range(20)])
            made.start()
            assert made.task is not None
            await until(lambda: len(receiver.requests) == 8)
            made.task.cancel()
            await asyncio.wait([made.task], timeout=10)
            assert made.task.cancelled()
            made.task = None
            status = await made.status()
            assert (status.pending, status.in_flight) == (20, 0)

    async def test_a_defect_ends_the_run_with_its_error_and_loses_nothing(self, tmp_path):
        class Broken(HttpClient):
            async def post(self, *_: object) -> None:  # type: ignore[override]
                raise ZeroDivisionError("a defect")

        async with line(tmp_path, "http://127.0.0.1:1/", client=Broken()) as made:
            await made.put(record("r1"))
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(made.pusher.run(), 10)
            status = await made.status()
        assert (status.pending, status.delivered) == (1, 0)

    async def test_an_outbox_that_cannot_be_written_is_asked_again(self, tmp_path):
        class Stubborn(Outbox):
            failures = 3

            async def claim(self, limit, *, now):
                if self.failures:
                    self.failures -= 1
                    raise OutboxUnavailable("the disk is full")
                return await super().claim(limit, now=now)

        outbox = await Stubborn.open(tmp_path / "outbox")
        async with BadReceiver(bad.good) as receiver:
            await outbox.subscribe(Subscription(receiver.url, enabled=True))
            await outbox.put(record("r1"))
            pusher = Pusher(outbox, settings=settings())
            task = asyncio.create_task(pusher.run())
            await until(lambda: receiver.stored)
            await pusher.stop()
            await task
            await outbox.close()
        assert outbox.failures == 0


class TestSettings:
    @pytest.mark.parametrize("run", [1, 2])
    async def test_no_verification_is_warned_of_at_each_start(self, tmp_path, run):
        with structlog.testing.capture_logs() as logs:
            for _ in range(run):
                async with line(tmp_path, None, settings=settings(verify=False), run=True):
                    await asyncio.sleep(0)
        assert [(entry["event"], entry["log_level"]) for entry in logs] == [
            ("pusher.certificate_not_verified", "warning")
        ] * run

    @pytest.mark.parametrize("asked", [True, False])
    async def test_the_environment_names_a_proxy_only_when_asked(self, monkeypatch, asked):
        async with BadReceiver(bad.answer(299)) as proxy, BadReceiver(bad.good) as receiver:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("no_proxy", "elsewhere.example")
            transport = client_for(settings(proxy_from_environment=asked))
            reply = await transport.post(receiver.url, b"", (b"{}",))
            await transport.close()
        assert reply.status == (299 if asked else 200)  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("setting", "value"),
        [("ca_file", "/absent"), ("client_cert", "/absent"), ("fingerprint", "AB:CD")],
    )
    async def test_a_setting_that_cannot_be_used_is_named_at_the_start(self, setting, value):
        name = {"client_cert": "client_certificate_file"}.get(setting, setting)
        with pytest.raises(SettingsError, match=setting):
            client_for(settings(**{name: value}))

    async def test_a_serial_that_is_no_header_is_named_at_the_start(self, tmp_path):
        async with line(tmp_path, None) as made:
            with pytest.raises(SettingsError, match="sn"):
                Pusher(made.outbox, headers={"sn": "a\r\nx: y"})
