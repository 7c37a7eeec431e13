"""What people change about destinations."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.forward.kit import Line

from gatepost.errors import SettingsError
from gatepost.forward.admin import Admin
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import decode_secrets


def test_a_replay_goes_where_its_destination_goes_and_sends_what_was_asked_for(line: Line) -> None:
    line.passages(1, 2)
    admin = Admin(line.destinations, now=line.clock, check=lambda told, kept: None)
    span = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    replay = admin.replay(line.row, *span, chosen={"alarms": None}, rate=1)

    admin.change(line.row, config={"url": "https://other.example.com/"})

    changed = line.destinations.one(replay.id)
    assert changed is not None
    told = decode(changed.config)
    assert told.url == "https://other.example.com/"
    assert told.filter.alarms is None
    assert changed.revision > replay.revision


BOT = "https://oapi.dingtalk.com/robot/send?access_token=abc"


def test_the_secret_of_a_broker_is_its_password_and_a_chat_has_a_signing_secret(line: Line) -> None:
    admin = Admin(line.destinations, now=line.clock, check=lambda told, kept: None)
    mqtt, _ = admin.create("mqtt", {"kind": "mqtt", "url": "mqtt://10.0.0.1"}, secret="pw")
    assert decode_secrets(mqtt.secrets).password == "pw"

    chat, _ = admin.create(
        "chat", {"kind": "notify", "url": "dingtalk:"}, secret=BOT, others={"signing": "SEC1"}
    )
    assert [one.value for one in decode_secrets(chat.secrets).signing] == ["SEC1"]
    changed = admin.change(chat, {}, others={"signing": "SEC2"})
    assert changed is not None
    assert [one.value for one in decode_secrets(changed.secrets).signing] == ["SEC2"]
    assert decode_secrets(changed.secrets).token == BOT


@pytest.mark.parametrize(
    ("told", "secrets", "named"),
    [
        ({"kind": "webhook", "url": "https://a.example/"}, {"token": "t"}, r"secrets\.token"),
        ({"kind": "kafka", "url": "kafka://a.example"}, {"headers": {"X": "y"}}, r"secrets\.headers"),
        ({"kind": "kafka", "url": "kafka://a.example"}, {"password": "p"}, r"secrets\.username"),
        ({"kind": "notify", "url": "wecom:"}, {"signing": "SEC1"}, r"secrets\.signing"),
    ],
)
def test_a_secret_that_is_not_used_is_refused_by_its_name(
    line: Line, told: dict[str, Any], secrets: dict[str, Any], named: str
) -> None:
    admin = Admin(line.destinations, now=line.clock, check=lambda told, kept: None)
    with pytest.raises(SettingsError, match=named):
        admin.create("one more", told, others=secrets)


@pytest.mark.parametrize(
    ("told", "kept", "where"),
    [
        ({"kind": "webhook", "url": "https://a.example/x"}, {"headers": {"X": "yes"}}, "https://b.example/x"),
        ({"kind": "receiver", "url": "https://a.example/x"}, {"token": "tok1"}, "https://a.example:444/x"),
        (
            {"kind": "nats", "url": "nats://a.example"},
            {"username": "u", "password": "pwd1"},
            "nats://b.example",
        ),
        ({"kind": "notify", "url": "slack:"}, {"token": "https://hooks.slack.com/services/a"}, "wecom:"),
    ],
)
def test_a_secret_is_asked_for_again_where_the_host_changes(
    line: Line, told: dict[str, Any], kept: dict[str, Any], where: str
) -> None:
    admin = Admin(line.destinations, now=line.clock, check=lambda told, kept: None)
    row, _ = admin.create("two", told, others=kept)
    name = next(iter({"token", "password", "headers"} & kept.keys()))
    with pytest.raises(SettingsError, match=rf"secrets\.{name}.*another host"):
        admin.change(row, {"url": where})
    if told["kind"] != "notify":
        elsewhere = admin.change(row, {"url": f"{told['url']}/elsewhere"})
        assert elsewhere is not None
        row = elsewhere

    changed = admin.change(row, {"url": where}, others=kept)
    assert changed is not None
    assert decode(changed.config).url == where


def test_the_signing_secret_of_a_webhook_stays_because_it_is_never_sent(line: Line) -> None:
    admin = Admin(line.destinations, now=line.clock, check=lambda told, kept: None)
    row, made = admin.create("two", {"kind": "webhook", "url": "https://a.example/"})
    changed = admin.change(row, {"url": "https://b.example/"})
    assert changed is not None
    assert [one.value for one in decode_secrets(changed.secrets).signing] == [made]
