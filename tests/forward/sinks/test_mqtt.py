"""Events are published to a real broker, once each, and its word decides, never a time-out."""

import asyncio
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from tests.forward.kit import Line
from tests.forward.sinks.brokers import Broker, mosquitto, running, subscribed
from tests.forward.sinks.kit import LOOPBACK, Watched, deliver
from tests.receiver import tls
from tests.receiver.kit import until

from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.sinks.mqtt import Mqtt
from gatepost.wire import Delivered, Refused, Unreachable


@pytest.fixture
def line(make_line: Callable[..., Line]) -> Line:
    return make_line(kind="mqtt", url="mqtt://127.0.0.1")


@pytest_asyncio.fixture
async def broker(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Broker]:
    async with running(mosquitto(tmp_path, unused_tcp_port)) as broker:
        yield broker


def sink(
    port: int,
    *,
    username: str = "",
    password: str = "",
    scheme: str = "mqtt",
    egress: Egress = LOOPBACK,
    **told: object,
) -> Watched:
    config = decode({"kind": "mqtt", "url": f"{scheme}://127.0.0.1:{port}", **told})
    return Watched(Mqtt(config, decode_secrets({"username": username, "password": password}), egress))


async def test_each_event_is_published_once_and_nothing_is_retained(line: Line, broker: Broker) -> None:
    numbers = line.passages(*range(100))
    alarm = line.alarm("trace-1", terminal_id=2)
    async with subscribed(broker.port, "#") as subscriber:
        line.begin(sink(broker.port, in_flight=64, mqtt={"topic": "gate/{site}/{terminal}/{kind}/{id}"}))
        await line.turn(2)
        await line.sink.close()
        await until(lambda: len(subscriber.messages) == 101)

        site = line.store.sites()[0].name.replace(" ", "_")
        expected = {f"gate/{site}/SN-1/record/record-{number}" for number in numbers}
        assert set(subscriber.topics) == {*expected, f"gate/{site}/SN-2/alarm/alarm-{alarm}"}
        message = subscriber.messages[-1]
        assert json.loads(message.payload)["id"] in dict(message.properties.UserProperty).values()
    async with subscribed(broker.port, "#") as late:
        late.client.publish("end", b"", qos=1)
        await until(lambda: bool(late.messages))
        assert late.topics == ["end"]
    assert line.ledger.delivered == 101


async def test_a_broker_that_is_away_for_a_while_gets_all_events(line: Line, broker: Broker) -> None:
    numbers = line.passages(*range(30))
    line.begin(sink(broker.port))
    async with subscribed(broker.port, "#") as subscriber:
        await line.turn()
        await until(lambda: len(subscriber.messages) == 30)
        seen = set(subscriber.topics)
    await broker.kill()
    numbers += line.passages(*range(30, 60))
    await line.turn(2)
    assert line.ledger.waiting == 30
    assert "refused" in (line.row.failure or "") or "closed" in (line.row.failure or "")

    await broker.start()
    async with subscribed(broker.port, "#") as subscriber:
        line.clock.at += 120
        await line.turn(4)
        await until(lambda: len(subscriber.messages) == 30)
    await line.sink.close()
    assert seen == {"gatepost/SN-1/record"}
    assert line.ledger.delivered == 60


async def test_a_broker_that_hangs_says_nothing_about_an_event(line: Line, broker: Broker) -> None:
    watched = sink(broker.port, timeout_s=1)
    line.passages(1)
    line.begin(watched)
    await deliver(line, watched)
    broker.freeze()
    line.passages(2)

    await line.turn()
    await watched.close()

    assert watched.outcomes[-2:] == [Delivered(), Unreachable("no acknowledgement within 1 s")]
    assert not [name for name in threading.enumerate() if "paho" in name.name]


async def test_a_broker_that_is_killed_while_it_has_an_event_says_nothing_about_it(
    line: Line, broker: Broker
) -> None:
    watched = sink(broker.port)
    line.passages(1)
    line.begin(watched)
    await line.turn()
    broker.freeze()
    line.passages(2)
    turning = asyncio.create_task(line.turn())
    await until(lambda: watched.began == 2)
    await broker.kill()
    await turning
    assert isinstance(watched.outcomes[-1], Unreachable)

    await broker.start()
    line.clock.at += 60
    await line.turn(2)
    await watched.close()
    assert line.ledger.delivered == 2


async def test_a_topic_that_the_broker_forbids_is_a_refusal_and_holds_up_no_other(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic write gatepost/SN-1/#\n")
    line.passages(1, 2)
    line.passages(3, terminal_id=2)
    watched = sink(unused_tcp_port)
    async with running(mosquitto(tmp_path, unused_tcp_port, [f"acl_file {rules}"])):
        line.begin(watched)
        await line.turn(2)
        await watched.close()

    (refused,) = [outcome for outcome in watched.outcomes if not isinstance(outcome, Delivered)]
    assert refused == Refused("reason 0x87: Not authorized")
    assert line.ledger.delivered == 2


async def test_an_event_that_is_too_large_is_a_refusal_and_holds_up_no_other(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    line.passages(1)
    line.passages(2, user=None, uuid="x" * 500)
    watched = sink(unused_tcp_port, shape="flat")
    async with running(mosquitto(tmp_path, unused_tcp_port, ["max_packet_size 1900"])):
        line.begin(watched)
        await line.turn(2)
        await watched.close()

    assert sorted(type(outcome).__name__ for outcome in watched.outcomes) == ["Delivered", "Refused"]
    assert Refused("larger than the broker takes: 1,900 bytes") in watched.outcomes


async def test_a_wrong_password_is_said_and_refuses_no_event(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "gatepost", "right"], check=True)
    line.passages(1)
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    async with running(mosquitto(tmp_path, unused_tcp_port, lines)):
        wrong = sink(unused_tcp_port, username="gatepost", password="wrong-1234")
        line.begin(wrong)
        await line.turn()
        await wrong.close()
        (outcome,) = wrong.outcomes
        assert isinstance(outcome, Unreachable)
        assert "Not authorized" in outcome.reason
        assert "wrong-1234" not in outcome.reason

        right = sink(unused_tcp_port, username="gatepost", password="right")
        line.begin(right)
        await line.turn()
        await right.close()
        assert right.outcomes == [Delivered()]


async def test_over_tls_only_a_broker_that_is_trusted(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    authority = trustme.CA()
    certificate, key = tls.write(authority, tmp_path)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    line.passages(1)
    lines = [f"certfile {certificate}", f"keyfile {key}"]
    async with running(mosquitto(tmp_path, unused_tcp_port, lines)):
        stranger = sink(unused_tcp_port, scheme="mqtts")
        line.begin(stranger)
        await line.turn()
        await stranger.close()
        (outcome,) = stranger.outcomes
        assert isinstance(outcome, Unreachable)
        assert "certificate" in outcome.reason

        known = sink(unused_tcp_port, scheme="mqtts", ca_file=str(trusted))
        line.begin(known)
        await line.turn()
        await known.close()
        assert known.outcomes == [Delivered()]


async def test_no_connection_goes_where_none_may(line: Line, broker: Broker) -> None:
    line.passages(1)
    watched = sink(broker.port, egress=Egress(["10.0.0.0/8"]))
    line.begin(watched)
    await line.turn()
    await watched.close()

    (outcome,) = watched.outcomes
    assert isinstance(outcome, Unreachable)
    assert "forward_networks" in outcome.reason


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("gate/{person}", "can have {terminal} {site} {kind} {id} and no other field"),
        ("gate/{terminal", "brace"),
        ("gate/#", "cannot have + #"),
        ("$SYS/{id}", "cannot begin with $"),
        ("gate/{terminal.__class__}", "no other field"),
    ],
)
def test_a_topic_that_cannot_be_is_named(topic: str, why: str) -> None:
    with pytest.raises(SettingsError, match=r"mqtt\.topic") as raised:
        decode({"kind": "mqtt", "url": "mqtt://broker.example", "mqtt": {"topic": topic}})
    assert why in str(raised.value)


def test_an_option_of_another_kind_is_named() -> None:
    with pytest.raises(SettingsError, match="is for destinations of kind mqtt"):
        decode({"kind": "webhook", "url": "https://hooks.example", "mqtt": {}})
