"""A destination whose library is missing says what to install, and stops nothing else."""

import sys
from typing import Any

import pytest

from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.forward.opening import open_sink
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import decode_secrets


@pytest.mark.parametrize(
    ("kind", "module", "package"),
    [
        ("mqtt", "paho.mqtt.client", "paho-mqtt"),
        ("nats", "nats.aio.client", "nats-py"),
        ("kafka", "confluent_kafka", "confluent-kafka"),
    ],
)
def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, kind: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    told: dict[str, Any] = {"kind": kind, "url": f"{kind}://broker.example.com"}
    with pytest.raises(SettingsError) as raised:
        open_sink(decode(told), decode_secrets({}), Egress([]))
    assert f"the Python package {package} is missing" in str(raised.value)
    assert "[forward]" in str(raised.value)
