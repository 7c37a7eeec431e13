"""Records reach a cluster, and its word decides, never a time-out: librdkafka's mock cluster, on real sockets."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.forward.kit import Line
from tests.forward.sinks.kit import LOOPBACK, Watched, deliver
from tests.forward.sinks.mock_kafka import MockKafka
from tests.receiver.kit import until

from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.sinks.kafka import Kafka
from gatepost.wire import Delivered, Refused, Unreachable

TOO_LARGE, NOT_AUTHORIZED = 10, 29


@pytest.fixture
def line(make_line: Callable[..., Line]) -> Line:
    return make_line(kind="kafka", url="kafka://127.0.0.1")


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    with MockKafka() as broker:
        yield broker


def sink(port: int, *, egress: Egress = LOOPBACK, scheme: str = "kafka", **told: Any) -> Watched:
    config = decode({"kind": "kafka", "url": f"{scheme}://127.0.0.1:{port}", **told})
    return Watched(Kafka(config, decode_secrets({}), egress))


def no_thread_is_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "gatepost-kafka"]


async def test_each_event_is_a_record_with_its_terminal_as_key(line: Line, broker: MockKafka) -> None:
    numbers = line.passages(*range(60))
    line.passages(100, terminal_id=2)
    line.begin(sink(broker.port))
    await line.turn(2)
    await line.sink.close()

    records = await asyncio.to_thread(broker.records, "gatepost", 61)
    ids = [dict(record.headers())["id"].decode() for record in records]
    assert sorted(ids) == sorted([*(f"record-{number}" for number in numbers), "record-61"])
    assert {record.key() for record in records} == {b"SN-1", b"SN-2"}
    partitions = {record.key(): set[int]() for record in records}
    for record in records:
        partitions[record.key()].add(record.partition())
    assert all(len(found) == 1 for found in partitions.values())
    assert line.ledger.delivered == 61
    assert no_thread_is_left()


async def test_a_cluster_that_goes_away_with_events_in_flight_gets_all_of_them(
    line: Line, broker: MockKafka
) -> None:
    watched = sink(broker.port)
    line.passages(1)
    line.begin(watched)
    await line.turn()
    broker.slow_down(3_600_000)
    line.passages(*range(2, 11))
    turning = asyncio.create_task(line.turn())
    await until(lambda: watched.began == 2)
    broker.kill()
    await turning
    assert isinstance(watched.outcomes[-1], Unreachable)

    broker.slow_down(0)
    broker.start()
    line.clock.at += 120
    await line.turn(4)
    await watched.close()

    assert line.ledger.delivered == 10
    found = {
        dict(record.headers())["id"] for record in await asyncio.to_thread(broker.records, "gatepost", 10)
    }
    assert found == {b"record-%d" % number for number in range(1, 11)}


async def test_a_cluster_that_hangs_says_nothing_about_an_event(line: Line, broker: MockKafka) -> None:
    watched = sink(broker.port, timeout_s=1)
    line.passages(1)
    line.begin(watched)
    await deliver(line, watched)
    broker.slow_down(3_600_000)
    line.passages(2)

    await line.turn()
    await watched.close()

    delivered, hung = watched.outcomes[-2:]
    assert delivered == Delivered()
    assert isinstance(hung, Unreachable)
    assert no_thread_is_left()


async def test_what_the_cluster_says_of_a_record_is_a_refusal_and_holds_up_no_other(
    line: Line, broker: MockKafka
) -> None:
    line.passages(1)
    watched = sink(broker.port)
    line.begin(watched)
    await line.turn()
    broker.reply_with(TOO_LARGE)
    line.passages(2, 3)
    await line.turn(2)
    await watched.close()

    delivered, refused, other = watched.outcomes
    assert (delivered, other) == (Delivered(), Delivered())
    assert isinstance(refused, Refused)
    assert refused.kind == f"error {TOO_LARGE}"


async def test_a_topic_that_is_forbidden_is_a_refusal_until_it_is_allowed(
    line: Line, broker: MockKafka
) -> None:
    watched = sink(broker.port)
    line.begin(watched)
    broker.reply_with(NOT_AUTHORIZED)
    line.passages(1, 2)
    await line.turn()
    await line.turn()
    await watched.close()

    refused, delivered = watched.outcomes
    assert isinstance(refused, Refused)
    assert "authorization" in refused.reason
    assert delivered == Delivered()


async def test_no_connection_goes_where_none_may(line: Line, broker: MockKafka) -> None:
    line.passages(1)
    watched = sink(broker.port, egress=Egress(["10.0.0.0/8"]))
    line.begin(watched)
    await line.turn()
    await watched.close()

    (outcome,) = watched.outcomes
    assert isinstance(outcome, Unreachable)
    assert "forward_networks" in outcome.reason


async def test_nothing_is_sent_without_tls_to_an_address_that_is_to_have_it(
    line: Line, broker: MockKafka
) -> None:
    line.passages(1)
    watched = sink(broker.port, scheme="kafkas")
    line.begin(watched)
    await line.turn()
    await watched.close()

    (outcome,) = watched.outcomes
    assert isinstance(outcome, Unreachable)
    assert "SSL" in outcome.reason


@pytest.mark.parametrize("topic", ["gate/{id}", "gate {kind}", "gate.{person}", "gate.{id"])
def test_a_topic_that_cannot_be_is_named(topic: str) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.topic"):
        decode({"kind": "kafka", "url": "kafka://broker.example", "kafka": {"topic": topic}})
