"""How destinations are set up step by step, and changed in the same fields, asked without a browser."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.console.kit import Desk, Text
from tests.forward.kit import Hook, hooked
from tests.receiver.kit import receiving, record
from tests.terminals import ensured

from gatepost.console.pages.destinations.fields import SERVICES, address_fields
from gatepost.console.pages.destinations.page import label_of, steps_of
from gatepost.console.routes import routes
from gatepost.console.words import LANGUAGES, words
from gatepost.forward.options.destination import Destination, KafkaOptions, MqttOptions, NatsOptions, decode
from gatepost.forward.options.filters import StepFilter
from gatepost.forward.options.notify import NotifyOptions, Quiet, Rule
from gatepost.forward.options.secrets import Secrets, decode_secrets


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with receiving(
        tmp_path / "data", pages=routes, real_time=True, forward_networks=("127.0.0.0/8",)
    ) as running:
        yield await Desk.made(running)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with hooked() as made:
        yield made


def stored(desk: Desk, which: int = 1) -> tuple[Destination, Secrets]:
    row = desk.running.desk.destinations.one(which)
    assert row is not None
    return decode(row.config), decode_secrets(row.secrets)


def fields(page: Text) -> set[str]:
    """The names of the fields of a page that a person fills in."""
    found = re.findall(r"<(?:input|select|textarea)\b([^>]*)>", page.html)
    return {
        name[1]
        for field in found
        if 'type="hidden"' not in field and (name := re.search(r'name="([^"]+)"', field)) is not None
    }


FORMS: dict[str, dict[str, str]] = {
    "webhook": {
        "url": "https://h.example/x",
        "secrets.header": "Bearer x",
        "headers": "X-Tenant: 7\nX-Door: a: b",
    },
    "receiver": {"url": "https://hq.example/Record", "secrets.token": "gp_x"},
    "mqtt": {
        "url": "mqtts://b.example",
        "mqtt.topic": "t/{id}",
        "mqtt.home_assistant": "1",
        "secrets.username": "u",
        "secrets.password": "p",
    },
    "nats": {
        "url": "tls://n.example",
        "nats.subject": "s.{kind}",
        "secrets.username": "u",
        "secrets.password": "p",
    },
    "kafka": {
        "url": "kafkas://k.example:9093",
        "kafka.topic": "events",
        "kafka.sasl": "SCRAM-SHA-512",
        "secrets.username": "u",
        "secrets.password": "p",
    },
    "mail": {
        "url": "smtps://m.example",
        "notify.to": "a@x.example\nb@x.example",
        "notify.sender": "g@x.example",
        "notify.language": "zh",
        "secrets.username": "u",
        "secrets.password": "p",
    },
    "dingtalk": {
        "secrets.token": "https://oapi.dingtalk.com/robot/send?access_token=x",
        "secrets.signing": "SECx",
    },
    "wecom": {"secrets.token": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=x"},
    "feishu": {"secrets.token": "https://open.feishu.cn/open-apis/bot/v2/hook/x", "secrets.signing": "x"},
    "telegram": {"secrets.token": "123:ABC", "notify.chat": "-42"},
    "slack": {"secrets.token": "https://hooks.slack.com/services/x"},
    "teams": {"secrets.token": "https://x.logic.azure.com/workflows/x"},
    "discord": {"secrets.token": "https://discord.com/api/webhooks/x"},
}

TOLD: dict[str, dict[str, Any]] = {
    "webhook": {"headers": {"X-Tenant": "7", "X-Door": "a: b"}},
    "mqtt": {"mqtt": MqttOptions(topic="t/{id}", home_assistant=True)},
    "nats": {"nats": NatsOptions(subject="s.{kind}")},
    "kafka": {"kafka": KafkaOptions(topic="events", sasl="SCRAM-SHA-512")},
    "mail": {"notify": NotifyOptions(to=("a@x.example", "b@x.example"), sender="g@x.example", language="zh")},
    "telegram": {"notify": NotifyOptions(chat="-42")},
}


@pytest.mark.parametrize("service", SERVICES)
async def test_each_kind_asks_for_what_it_needs_and_is_made_with_that(desk: Desk, service: str) -> None:
    page = await desk.get(f"/destinations/new?kind={service}")
    form = FORMS[service]
    assert (
        {"name", *form} <= fields(page) <= {"name", *(f.name for f in address_fields(service, is_new=True))}
    )
    made = await desk.send("/destinations", {"name": "one", "kind": service, **form})
    told, secrets = stored(desk)
    step = steps_of(told.kind)[0]
    if service == "webhook":
        assert "whsec_" in made.html
    else:
        assert (made.status, made.location) == (303, f"/destinations/1/setup/{step}")
    for name, value in TOLD.get(service, {}).items():
        assert getattr(told, name) == value
    given = {
        name.removeprefix("secrets."): text for name, text in form.items() if name.startswith("secrets.")
    }
    if header := given.pop("header", None):
        assert secrets.headers == {"Authorization": header}
    if "signing" in given:
        assert [one.value for one in secrets.signing] == [given.pop("signing")]
    assert {name: getattr(secrets, name) for name in given} == given
    row = desk.running.desk.destinations.one(1)
    assert row is not None
    assert row.paused_at is not None
    for text in given.values():
        assert text not in (await desk.get("/destinations/1")).html or len(text) < 3


@pytest.mark.parametrize("service", SERVICES)
async def test_the_fields_of_one_that_is_there_are_those_that_it_was_made_with(
    desk: Desk, service: str
) -> None:
    await desk.send("/destinations", {"name": "one", "kind": service, **FORMS[service]})
    before = stored(desk)
    page = await desk.get("/destinations/1")
    asked = {field.name for field in address_fields(service, is_new=True)}
    missing = asked - fields(page)
    assert missing == ({"secrets.signing"} if service == "webhook" else set())  # it is rotated
    shown = {name: text for name, text in FORMS[service].items() if not name.startswith("secrets.")}
    reply = await desk.send("/destinations/1/address", {"name": "two", **shown})
    assert (reply.status, reply.location) == (303, "/destinations/1?done=saved#address"), reply.words
    assert stored(desk) == before
    assert (await desk.get("/destinations/1")).title == "two"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("service", SERVICES)
def test_every_field_has_a_label_of_its_own(service: str, language: Any) -> None:
    labels = [
        label_of(words(language), field.name, service) for field in address_fields(service, is_new=True)
    ]
    assert len(set(labels)) == len(labels)


async def test_a_secret_is_called_what_it_is(desk: Desk) -> None:
    named = {
        "webhook": "Signing secret",
        "receiver": "Token of the other receiver",
        "mqtt": "Password",
        "mail": "Password",
        "dingtalk": "Address of the robot",
        "telegram": "Token of the bot",
        "teams": "Address of the workflow",
    }
    for service, label in named.items():
        assert label in (await desk.get(f"/destinations/new?kind={service}")).words
        await desk.send("/destinations", {"name": service, "kind": service, **FORMS[service]})
        row = desk.running.desk.destinations.one(service)
        assert row is not None
        assert f"Replace: {label}" in (await desk.get(f"/destinations/{row.id}")).words


async def test_the_steps_lead_from_the_kind_to_the_start(desk: Desk, hook: Hook) -> None:
    await desk.running.push(record(uuid="u-1"))
    assert 'href="/destinations/new?kind=webhook"' in (await desk.get("/destinations/new")).html
    made = await desk.post("/destinations", name="HR", kind="webhook", url=hook.url)
    assert 'name="recognition_type"' in made.html
    sent = await desk.post(
        "/destinations/1/sent",
        step="filter",
        part="filter",
        alarms="1",
        code="10002",
        state="open",
        terminal="T",
    )
    assert sent.location == "/destinations/1/setup/how"
    assert stored(desk)[0].filter.alarms == StepFilter(terminal="T", code=10002, state="open")
    assert stored(desk)[0].filter.records is None
    how = {"shape": "flat", "batch": "8", "max_age_s": "3600", "images": "inline", "order": "none"}
    how["image_link_s"] = "7200"
    sent = await desk.post("/destinations/1/sent", step="how", part="how", **how)
    assert sent.location == "/destinations/1/setup/test"
    told = stored(desk)[0]
    assert (told.shape, told.batch, told.max_age_s, told.images) == ("flat", 8, 3600, "inline")
    assert told.image_link_s == 7200
    assert "No event fits the filter yet" in (await desk.get("/destinations/1/setup/test")).words
    await desk.post("/destinations/1/sent", step="filter", part="filter", records="1")
    page = await desk.get("/destinations/1/setup/test")
    assert '"uuid":"u-1"' in html.unescape(page.html)
    assert not hook.requests
    assert "delivered HTTP 204" in (await desk.post("/destinations/1/test", step="test")).words
    assert len(hook.requests) == 1
    assert (await desk.post("/destinations/1/resume")).location == "/destinations/1?done=saved"
    await desk.post("/destinations/1/sent", part="how", **{**how, "max_age_s": ""})
    assert stored(desk)[0].max_age_s is None
    await desk.post("/destinations/1/pause")


async def test_what_is_wrong_names_its_field_and_keeps_what_was_typed(desk: Desk) -> None:
    typed = {"name": "Broker", "kind": "mqtt", "url": "mqtt://b.example", "mqtt.topic": "a/{nothing}"}
    page = await desk.post(
        "/destinations", **typed, **{"secrets.password": "hidden-1", "secrets.username": "u"}
    )
    assert page.status == 400
    assert "Topic: can have" in page.words
    assert "Type secrets once more" in page.words
    for text in ("Broker", "mqtt://b.example", "a/{nothing}"):
        assert f'value="{text}"' in page.html
    assert "hidden-1" not in page.html
    assert re.search(r'name="mqtt.topic"[^>]*aria-invalid="true"', page.html)
    chinese = await desk.post("/destinations", headers={"accept-language": "zh"}, **typed)
    assert "主题：只能使用" in chinese.words
    await desk.post("/destinations", name="Broker", kind="mqtt", url="mqtt://b.example")
    page = await desk.post("/destinations/1/address", name="Kept", url="x://y", **{"mqtt.topic": "kept"})
    assert "Address: must begin with" in page.words
    assert (page.title, 'value="Kept"' in page.html, 'value="kept"' in page.html) == ("Broker", True, True)
    page = await desk.post(
        "/destinations/1/sent", part=["filter", "how"], alarms="1", code="10003", max_age_s="x"
    )
    assert "seconds: must be a number" in page.words
    assert 'value="x"' in page.html
    assert re.search(r'value="10003" selected', page.html)
    page = await desk.post("/destinations/1/sent", step="how", part="how", order="none", max_age_s="-1")
    assert (page.status, page.title) == (400, "Broker: How they are sent")
    mail = {"name": "M", "kind": "mail", "url": "smtp://m.example", "notify.sender": "x"}
    page = await desk.post("/destinations", **mail, **{"notify.to": "no address"})
    assert "To: mail addresses: is not written as it has to be" in page.words
    assert "no address" in page.html
    page = await desk.send(
        "/destinations", {"kind": "webhook", "name": "H", "url": "https://h.example/", "headers": "X"}
    )
    assert "Other headers of each request: has a line without a colon" in page.words
    assert re.search(r"<details[^>]* open>", page.html)
    assert (await desk.get("/destinations/new?kind=nonsense")).title == "Make a destination"
    assert (await desk.post("/destinations", kind="nonsense", name="x")).title == "Make a destination"
    assert (await desk.get("/destinations/1/setup/rules")).status == 404
    assert (await desk.get("/destinations/9/setup/filter")).status == 404


async def test_secrets_are_replaced_and_removed_one_by_one(desk: Desk) -> None:
    await desk.send("/destinations", {"name": "N", "kind": "nats", **FORMS["nats"]})
    url = {"name": "N", "url": "tls://n.example"}
    await desk.post("/destinations/1/address", **url, **{"secrets.password": "other"})
    _, secrets = stored(desk)
    assert (secrets.username, secrets.password) == ("u", "other")
    forget = {"forget": ["secrets.username", "secrets.password"], "secrets.token": "t"}
    assert (await desk.post("/destinations/1/address", **url, **forget)).status == 303
    _, secrets = stored(desk)
    assert (secrets.username, secrets.password, secrets.token) == ("", "", "t")
    assert (await desk.post("/destinations/1/rotate", secret="t2")).status == 303
    assert stored(desk)[1].token == "t2"
    assert (await desk.post("/destinations/1/rotate")).status == 400
    await desk.send("/destinations", {"name": "W", "kind": "webhook", **FORMS["webhook"]})
    await desk.post("/destinations/2/address", name="W", url="https://h.example/", forget="secrets.header")
    told, secrets = stored(desk, 2)
    assert (secrets.headers, told.headers) == ({}, {})
    assert (await desk.post("/destinations/2/rotate", secret="own-secret-of-mine")).status == 303
    assert [one.value for one in secrets.signing] != ["own-secret-of-mine"]
    assert stored(desk, 2)[1].signing[0].value == "own-secret-of-mine"


async def test_people_are_told_by_rules_of_every_kind(desk: Desk) -> None:
    await desk.send("/destinations", {"name": "Guards", "kind": "mail", **FORMS["mail"]})
    page = await desk.get("/destinations/1/setup/rules")
    assert 'name="rule.0.event"' in page.html
    rules = {
        "rules": "4",
        "rule.0.event": "alarm",
        "rule.0.codes": ["10002", "20003"],
        "rule.0.states": "open",
        "rule.0.terminals": "Main gate\nGP1",
        "rule.1.event": "passage",
        "rule.1.users": "7, 8",
        "rule.1.abnormal": "40001",
        "rule.1.types": "3",
        "rule.1.passed": "no",
        "rule.1.person": "name",
        "rule.2.event": "",
        "rule.3.event": "notice",
        "rule.3.kinds": ["disk.low", "terminal.offline"],
        "quiet.begin": "22:00",
        "quiet.end": "06:00",
        "quiet.alarms": "1",
        "repeat_s": "60",
        "gather_s": "5",
    }
    more = await desk.post("/destinations/1/sent", step="rules", part="rules", more="1", **rules)
    assert 'name="rule.3.event"' in more.html
    assert "Main gate\nGP1</textarea>" in more.html
    reply = await desk.post("/destinations/1/sent", step="rules", part="rules", **rules)
    assert reply.location == "/destinations/1/setup/test", reply.words
    told, _ = stored(desk)
    assert told.notify == NotifyOptions(
        to=("a@x.example", "b@x.example"),
        sender="g@x.example",
        language="zh",
        repeat_s=60,
        gather_s=5,
        quiet=Quiet(begin="22:00", end="06:00", alarms=True),
        rules=(
            Rule(event="alarm", codes=(10002, 20003), states=("open",), terminals=("Main gate", "GP1")),
            Rule(
                event="passage",
                users=("7", "8"),
                codes=(40001,),
                recognition_types=(3,),
                passed=False,
                person="name",
            ),
            Rule(event="notice", kinds=("disk.low", "terminal.offline")),
        ),
    )
    assert told.filter.notices == ("terminal.offline", "disk.low")
    only = {"rules": "1", "rule.0.event": "alarm", "repeat_s": "60"}
    await desk.post("/destinations/1/sent", part="rules", **only)
    told, _ = stored(desk)
    assert (told.filter.records, told.filter.alarms, told.filter.notices) == (None, StepFilter(), None)
    for wrong, why in (
        ({"rules": "1", "rule.0.event": "", "repeat_s": "60"}, "Rules: are missing"),
        ({**only, "repeat_s": "x"}, "must be a number"),
        ({**only, "gather_s": "61"}, "Events that follow within, seconds, are in the same message: is wrong"),
        ({**only, "quiet.begin": "22:00"}, "Quiet hours: is not written as it has to be"),
    ):
        page = await desk.post("/destinations/1/sent", part="rules", **wrong)
        assert page.status == 400
        assert why in page.words


async def test_the_preview_of_what_people_are_told_is_the_message(desk: Desk) -> None:
    await desk.send("/destinations", {"name": "Guards", "kind": "mail", **FORMS["mail"]})
    await desk.running.push(record(user={"name": "Ada", "user_id": "7"}))
    desk.running.settle()
    rules = {"rules": "1", "rule.0.event": "passage", "rule.0.person": "name", "repeat_s": "60"}
    await desk.post("/destinations/1/sent", step="rules", part="rules", **rules)
    page = await desk.get("/destinations/1/setup/test")
    assert re.search(r"gatepost：1 个事件\s.*Ada", page.words)
    page = await desk.post(
        "/destinations/1/sent", part="rules", preview="1", **{**rules, "rule.0.users": "8"}
    )
    assert "(no rule chooses it)" in page.words


async def test_a_code_that_has_no_words_stays(desk: Desk) -> None:
    await desk.send("/destinations", {"name": "Guards", "kind": "mail", **FORMS["mail"]})
    row = desk.running.desk.destinations.one(1)
    assert row is not None
    options = msgspec.to_builtins(stored(desk)[0].notify)
    options["rules"] = [{"event": "alarm", "codes": [77]}]
    await asyncio.to_thread(desk.running.desk.forwarding.admin.change, row, {"notify": options})
    page = await desk.get("/destinations/1")
    assert re.search(r'name="rule.0.codes" value="77" checked', page.html)


async def test_a_receiver_is_asked_neither_for_a_shape_nor_for_notices(desk: Desk, hook: Hook) -> None:
    await desk.post("/destinations", name="HQ", kind="receiver", url=hook.url)
    page = await desk.get("/destinations/1/setup/filter")
    assert "notices" not in fields(page)
    page = await desk.get("/destinations/1/setup/how")
    assert fields(page) == {"order", "max_age_s"}
    tried = await desk.post("/destinations/1/test", step="test")
    assert "chooses no event yet" in tried.words
    assert tried.title == "HQ: Test and start"


async def test_a_step_of_one_with_a_broken_filter_says_so(desk: Desk, hook: Hook) -> None:
    hook.reply = lambda _: web.Response(status=204)
    await desk.post("/destinations", name="HR", kind="webhook", url=hook.url)
    made = desk.running.store.create_site("Gone", "UTC", now_ms=0)
    await desk.post("/destinations/1/sent", part="filter", records="1", site=made.id)
    assert stored(desk)[0].filter.records is not None
    assert (await desk.get("/destinations/1/setup/filter")).status == 200


async def test_links_to_images_need_an_address_of_this_receiver(tmp_path: Path, desk: Desk) -> None:
    form = {"step": "how", "part": "how", "images": "link", "image_link_s": "3600", "batch": "1"}
    await desk.post("/destinations", name="HR", kind="webhook", url="https://h.example/")
    page = await desk.post("/destinations/1/sent", **form)
    assert (page.status, "Images: cannot be link here: set public_url" in page.words) == (400, True)
    assert re.search(r'value="link" selected', page.html)
    chinese = await desk.post("/destinations/1/sent", headers={"accept-language": "zh"}, **form)
    assert "图片：此处不能使用 link" in chinese.words
    async with receiving(
        tmp_path / "other", pages=routes, real_time=True, public_url="https://gate.example"
    ) as running:
        with_address = await Desk.made(running)
        await with_address.post("/destinations", name="HR", kind="webhook", url="https://h.example/")
        assert 'name="image_link_s"' in (await with_address.get("/destinations/1/setup/how")).html
        assert (await with_address.post("/destinations/1/sent", **form)).status == 303
        told = stored(with_address)[0]
        assert (told.images, told.image_link_s) == ("link", 3600)


async def test_a_terminal_is_chosen_by_its_name_and_another_one_stays(desk: Desk) -> None:
    ensured(desk.running.store, "GP-<1>", now_ms=0)
    await desk.post("/destinations", name="HR", kind="webhook", url="https://h.example/")
    page = await desk.get("/destinations/1/setup/filter")
    assert '<select name="terminal">' in page.html
    assert '<option value="GP-&lt;1&gt;">' in page.html
    sent = await desk.post("/destinations/1/sent", part="filter", alarms="1", terminal="GP-<1>")
    assert sent.status == 303
    assert stored(desk)[0].filter.alarms == StepFilter(terminal="GP-<1>")
    assert '<option value="GP-&lt;1&gt;" selected>' in (await desk.get("/destinations/1")).html
    await desk.post("/destinations/1/sent", part="filter", alarms="1", terminal="Elsewhere")
    assert '<option value="Elsewhere" selected>' in (await desk.get("/destinations/1")).html


async def test_a_long_time_is_shown_as_it_is_stored(desk: Desk) -> None:
    await desk.post("/destinations", name="HR", kind="webhook", url="https://h.example/")
    await desk.post("/destinations/1/sent", part="how", max_age_s="31536001", batch="1", image_link_s="60")
    assert 'value="31536001"' in (await desk.get("/destinations/1")).html
