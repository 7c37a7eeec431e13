"""What Home Assistant is told. Home Assistant itself is a double here: its documented schema, and its topics.

The double is made from home-assistant.io: "MQTT Discovery", and the pages of the integrations Event, Sensor and Binary
sensor. A real broker keeps what is retained.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import pytest_asyncio
from tests.forward.kit import Line
from tests.forward.sinks.brokers import Broker, mosquitto, running, subscribed
from tests.forward.sinks.kit import LOOPBACK
from tests.receiver.kit import until

from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import Secrets, decode_secrets
from gatepost.forward.sinks.mqtt import Mqtt
from gatepost.forward.trial import send_test

COMMON = {
    "name": str, "unique_id": str, "state_topic": str, "device": dict, "origin": dict, "icon": str,
    "device_class": str,
}  # fmt: skip
REQUIRED: dict[str, dict[str, Any]] = {"event": {"event_types": list}, "sensor": {}, "binary_sensor": {}}
DEVICE = {"identifiers": list, "name": str, "suggested_area": str, "serial_number": str}
ORIGIN = {"name": str, "sw_version": str}


class HomeAssistant:
    """A double: it keeps entities by the rules of the discovery, and their states as each integration does."""

    def __init__(self) -> None:
        self.entities: dict[str, dict[str, Any]] = {}
        self.states: dict[str, Any] = {}

    def take(self, message: paho.MQTTMessage) -> None:
        found = re.fullmatch(
            r"homeassistant/(event|sensor|binary_sensor)/([\w-]+)/([\w-]+)/config", message.topic
        )
        if found is not None:
            config = json.loads(message.payload)
            self._check(found[1], config)
            self.entities[config["unique_id"]] = {"component": found[1], **config}
            return
        for name, entity in self.entities.items():
            if entity["state_topic"] == message.topic:
                self._set(name, entity, message)

    @staticmethod
    def _check(component: str, config: dict[str, Any]) -> None:
        schema = COMMON | REQUIRED[component]
        for key, value in config.items():
            assert isinstance(value, schema[key]), key
        assert {"state_topic", *REQUIRED[component]} <= config.keys()
        assert config["device"]["identifiers"]
        assert all(isinstance(value, DEVICE[key]) for key, value in config["device"].items())
        assert all(isinstance(value, ORIGIN[key]) for key, value in config["origin"].items())

    def _set(self, name: str, entity: dict[str, Any], message: paho.MQTTMessage) -> None:
        text = message.payload.decode()
        if entity["component"] == "event":
            assert not message.retain  # it ignores retained ones
            assert json.loads(text)["event_type"] in entity["event_types"]
        elif entity["component"] == "binary_sensor":
            assert text in ("ON", "OFF")
        else:
            assert 0 < len(text) <= 255
        self.states[name] = text


@pytest.fixture
def line(make_line: Callable[..., Line]) -> Line:
    return make_line(kind="mqtt", url="mqtt://127.0.0.1")


@pytest_asyncio.fixture
async def broker(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Broker]:
    async with running(mosquitto(tmp_path, unused_tcp_port)) as broker:
        yield broker


def sink(port: int) -> Mqtt:
    config = {"kind": "mqtt", "url": f"mqtt://127.0.0.1:{port}", "mqtt": {"home_assistant": True}}
    return Mqtt(decode(config), decode_secrets({}), LOOPBACK)


async def test_each_terminal_has_passages_a_last_person_and_its_alarms(line: Line, broker: Broker) -> None:
    line.passages(1)
    line.passages(2, terminal_id=2, recognition_type=3, user=None)
    line.alarm("trace-1", status=1)
    line.alarm("trace-1", status=3)
    async with subscribed(broker.port, "#") as subscriber:
        line.begin(sink(broker.port))
        await line.turn(2)
        await line.sink.close()
        # Two passages, one person and two steps: configurations, states, and the events themselves.
        await until(lambda: len(subscriber.messages) == 4 + 5 + 4)
    double = HomeAssistant()
    for message in subscriber.messages:
        double.take(message)

    assert sorted(double.entities) == [
        "gatepost_SN-1_alarm_10001", "gatepost_SN-1_passage", "gatepost_SN-1_person", "gatepost_SN-2_passage",
    ]  # fmt: skip
    assert double.states["gatepost_SN-1_person"] == "王1"
    assert json.loads(double.states["gatepost_SN-2_passage"])["event_type"] == "stranger"
    assert double.states["gatepost_SN-1_alarm_10001"] == "OFF"
    assert line.ledger.delivered == 4


async def test_who_starts_later_is_told_of_entities_and_alarms_and_of_no_person(
    line: Line, broker: Broker
) -> None:
    line.passages(1)
    line.alarm("trace-1")
    line.begin(sink(broker.port))
    await line.turn(2)
    await line.sink.close()

    async with subscribed(broker.port, "#") as late:
        await until(lambda: len(late.messages) == 4)

    assert all(message.retain for message in late.messages)
    states = [message.payload for message in late.messages if not message.topic.endswith("/config")]
    assert states == [b"ON"]


async def test_a_topic_of_the_discovery_that_is_forbidden_says_nothing_about_the_event(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite gatepost/SN-1/#\n")
    line.passages(1)
    async with running(mosquitto(tmp_path, unused_tcp_port, [f"acl_file {rules}"])):
        line.begin(sink(unused_tcp_port))
        await line.turn(2)
        await line.sink.close()

    assert (line.ledger.delivered, line.row.attempts) == (1, 1)


async def test_a_test_makes_no_device(line: Line, broker: Broker) -> None:
    told = decode(
        {"kind": "mqtt", "url": f"mqtt://127.0.0.1:{broker.port}", "mqtt": {"home_assistant": True}}
    )
    async with subscribed(broker.port, "#") as subscriber:
        trial = await send_test(
            sink(broker.port), told, Secrets(), source="x", now=line.clock, monotonic=line.clock
        )
        subscriber.client.publish("end", b"", qos=1)
        await until(lambda: "end" in subscriber.topics)

    assert trial.outcome == "delivered"
    assert subscriber.topics == ["gatepost/GATEPOST-TEST/test", "end"]


async def test_entities_are_told_again_when_home_assistant_says_that_it_is_online(
    line: Line, broker: Broker
) -> None:
    line.passages(1)
    line.begin(sink(broker.port))
    await line.turn(2)
    async with subscribed(broker.port, "homeassistant/+/+/+/config") as subscriber:
        await until(lambda: len(subscriber.messages) == 2)
        subscriber.client.publish("homeassistant/status", b"online", qos=1)
        await until(lambda: len(subscriber.messages) == 4)
    await line.sink.close()

    assert [message.payload for message in subscriber.messages[2:]] == [
        message.payload for message in sorted(subscriber.messages[:2], key=lambda one: one.topic)
    ]
