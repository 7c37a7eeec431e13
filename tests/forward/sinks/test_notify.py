"""People are told by mail and in chats. The services and the mail server are doubles here, made from their pages."""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.forward.kit import Hook, Line, hooked
from tests.forward.sinks.kit import LOOPBACK, Watched
from tests.forward.sinks.mail_server import mail_server

from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import Secrets, decode_secrets
from gatepost.forward.sinks import LeftOut
from gatepost.forward.sinks.notify.chat import ROOM
from gatepost.forward.sinks.notify.notify import Notify
from gatepost.forward.trial import send_test
from gatepost.store.forwarding.destinations import Ledger
from gatepost.wire import Delivered, Refused, Unreachable

TOKENS = {
    "dingtalk": "https://oapi.dingtalk.com/robot/send?access_token=abc",
    "wecom": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=abc",
    "feishu": "https://open.feishu.cn/open-apis/bot/v2/hook/abc",
    "telegram": "123:abc",
    "slack": "https://hooks.slack.com/services/T0/B0/abc",
    "teams": "https://prod-1.westeurope.logic.azure.com/workflows/abc/triggers/manual/paths/invoke?sig=abc",
    "discord": "https://discord.com/api/webhooks/1/abc",
}
GOOD = {
    "dingtalk": {"errcode": 0, "errmsg": "ok"},
    "wecom": {"errcode": 0, "errmsg": "ok"},
    "feishu": {"code": 0, "msg": "success", "StatusCode": 0},
    "telegram": {"ok": True, "result": {}},
}
MAIL = {"to": ["guard@example.com", "desk@example.com"], "sender": "gatepost@example.com"}


@pytest.fixture
def line(make_line: Callable[..., Line]) -> Line:
    return make_line(kind="notify", url="smtp://127.0.0.1", notify={**MAIL, "gather_s": 0})


def chat(line: Line, service: str, hook: Hook, *, egress: Egress = LOOPBACK, **secrets: Any) -> Watched:
    told = decode({"kind": "notify", "url": f"{service}:", "notify": {"chat": "-100", "repeat_s": 0}})
    known = decode_secrets({"token": TOKENS[service], **secrets})
    return Watched(Notify(told, known, egress, now=line.clock, at=hook.url.removesuffix("/hook")))


def mail(line: Line, port: int, *, scheme: str = "smtp", egress: Egress = LOOPBACK, **more: Any) -> Watched:
    secrets = {key: more.pop(key) for key in ("username", "password") if key in more}
    told = {"kind": "notify", "url": f"{scheme}://127.0.0.1:{port}", "ca_file": more.pop("ca_file", None)}
    notify = {**MAIL, "repeat_s": 0, **more}
    return Watched(
        Notify(decode({**told, "notify": notify}), decode_secrets(secrets), egress, now=line.clock)
    )


async def tell(line: Line, watched: Watched) -> None:
    line.begin(watched)
    await line.turn()
    await watched.close()


def said(service: str, body: Any) -> str:
    """Return what a service would show of a request."""
    if service in ("dingtalk", "wecom"):
        assert body["msgtype"] == "text"
        return str(body["text"]["content"])
    if service == "feishu":
        assert body["msg_type"] == "text"
        return str(body["content"]["text"])
    if service == "teams":
        (attachment,) = body["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        return "\n".join(block["inlines"][0]["text"] for block in attachment["content"]["body"])
    if service == "telegram":
        assert body["chat_id"] == "-100"
    return str(body["content" if service == "discord" else "text"])


@pytest.mark.parametrize("service", TOKENS)
async def test_a_burst_is_one_message(line: Line, service: str) -> None:
    for number in range(5):
        line.alarm(f"trace-{number}")
    async with hooked() as hook:
        hook.reply = lambda _: web.json_response(GOOD.get(service, {}))
        await tell(line, chat(line, service, hook))

    ((_, body),) = hook.requests
    text = said(service, json.loads(body))
    assert text.startswith("gatepost: 5 events\n")
    assert len(text.split("\n")) == 6


async def test_dingtalk_and_feishu_are_sent_signatures(line: Line) -> None:
    requests: list[tuple[dict[str, str], Any]] = []

    async def take(request: web.Request) -> web.Response:
        requests.append((dict(request.query), await request.json()))
        return web.json_response({"errcode": 0, "code": 0})

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    line.alarm("trace-1")
    async with TestServer(app, host="127.0.0.1") as server:
        for service in ("dingtalk", "feishu"):
            told = decode({"kind": "notify", "url": f"{service}:"})
            secrets = decode_secrets({"token": TOKENS[service], "signing": [{"value": "SEC1"}]})
            sink = Notify(told, secrets, LOOPBACK, now=line.clock, at=f"http://127.0.0.1:{server.port}")
            await tell(line, Watched(sink))
            line.alarm(f"trace-{service}")

    (query, _), (_, body) = requests
    assert query["access_token"] == "abc"
    # Their pages: DingTalk signs the text with the secret, Feishu nothing with text and secret.
    signed = hmac.new(b"SEC1", f"{query['timestamp']}\nSEC1".encode(), hashlib.sha256)
    assert query["sign"] == base64.b64encode(signed.digest()).decode()
    signed = hmac.new(f"{body['timestamp']}\nSEC1".encode(), b"", hashlib.sha256)
    assert body["sign"] == base64.b64encode(signed.digest()).decode()
    assert (len(query["timestamp"]), len(body["timestamp"])) == (13, 10)


@pytest.mark.parametrize(
    ("service", "status", "reply", "meaning"),
    [
        ("dingtalk", 200, {"errcode": 310000, "errmsg": "sign not match"}, Refused),
        ("wecom", 200, {"errcode": 45009, "errmsg": "api freq out of limit"}, Unreachable),
        ("wecom", 200, {"errcode": 93000, "errmsg": "invalid webhook url"}, Refused),
        ("feishu", 200, {"code": 19021, "msg": "sign match fail"}, Refused),
        ("telegram", 401, {"ok": False, "description": "Unauthorized"}, Refused),
        ("slack", 404, {}, Refused),
        ("slack", 503, {}, Unreachable),
        ("discord", 429, {"retry_after": 1.5}, Unreachable),
        ("teams", 302, {}, Unreachable),
    ],
)
async def test_what_a_service_says_decides(
    line: Line, service: str, status: int, reply: dict[str, Any], meaning: type
) -> None:
    line.alarm("trace-1")
    async with hooked() as hook:
        hook.reply = lambda _: web.json_response(reply, status=status)
        watched = chat(line, service, hook)
        await tell(line, watched)

    assert [type(outcome) for outcome in watched.outcomes] == [meaning]
    assert "abc" not in watched.results[0].reply


async def test_what_no_rule_chooses_is_not_told_and_is_settled(line: Line) -> None:
    line.passages(1)
    async with hooked() as hook:
        watched = chat(line, "slack", hook)
        await tell(line, watched)

    assert hook.requests == []
    assert watched.outcomes == [LeftOut("no rule chooses it")]
    assert line.ledger == Ledger(seen=1, filtered=1, delivered=0, waiting=0, dead=0, dropped=0)
    assert (line.row.attempts, line.destinations.attempts(line.id)) == (0, [])


async def test_what_rules_leave_out_of_a_batch_is_filtered_and_the_rest_is_delivered(line: Line) -> None:
    line.passages(1, 2)
    told = line.alarm("trace-1")
    line.passages(3)
    async with hooked() as hook:
        await tell(line, chat(line, "slack", hook))

    assert line.ledger == Ledger(seen=4, filtered=3, delivered=1, waiting=0, dead=0, dropped=0)
    (attempt,) = line.destinations.attempts(line.id)
    assert (attempt.event_id, attempt.events, line.row.attempts) == (told, 1, 1)


async def test_a_burst_gathers_for_two_seconds(make_line: Callable[..., Line]) -> None:
    line = make_line(kind="notify", url="slack:", notify={"repeat_s": 0})
    async with hooked() as hook:
        watched = chat(line, "slack", hook)
        line.begin(watched)
        for number in range(20):  # ten in a second
            line.alarm(f"trace-{number}")
            await line.turn()
            line.clock.at += 0.1
        line.clock.at += 2
        await line.turn()
        await watched.close()

    assert 1 <= len(hook.requests) <= 3
    assert line.ledger.delivered == 20


async def test_one_event_is_told_once_it_has_gathered_and_a_full_message_at_once(
    make_line: Callable[..., Line],
) -> None:
    line = make_line(kind="notify", url="slack:", notify={"repeat_s": 0})
    async with hooked() as hook:
        watched = chat(line, "slack", hook)
        forwarder = line.begin(watched)
        line.alarm("trace-1")
        assert await forwarder.once() == 2.0
        line.clock.at += 1
        assert await forwarder.once() == 1.0
        assert hook.requests == []
        line.clock.at += 1
        await line.turn()
        assert len(hook.requests) == 1

        for number in range(64):
            line.alarm(f"burst-{number}")
        await line.turn()
        await watched.close()

    assert line.ledger.delivered == 65


@pytest.mark.parametrize(("service", "room"), ROOM.items())
async def test_a_long_text_is_several_messages_of_a_chat(line: Line, service: str, room: int) -> None:
    line.store.update_terminal(1, name="门" * 100)
    for number in range(64):
        line.alarm(f"trace-{number}")
    async with hooked() as hook:
        hook.reply = lambda _: web.json_response(GOOD.get(service, {}))
        await tell(line, chat(line, service, hook))

    texts = [said(service, json.loads(body)) for _, body in hook.requests]
    assert len(texts) > 1
    assert all(len(text.encode()) <= room for text in texts)
    assert [text.split("\n")[0] for text in texts] == [
        f"gatepost: 64 events ({at}/{len(texts)})" for at in range(1, len(texts) + 1)
    ]
    assert sum(text.count("device tampered with") for text in texts) == 64
    assert line.ledger.delivered == 64


async def test_what_was_told_in_a_first_message_is_not_told_again_where_the_second_fails(line: Line) -> None:
    line.store.update_terminal(1, name="门" * 100)
    for number in range(8):
        line.alarm(f"trace-{number}")
    async with hooked() as hook:
        hook.reply = lambda each: web.json_response({}, status=503 if each == 2 else 200)
        watched = chat(line, "discord", hook)
        await tell(line, watched)
        delivered = line.ledger.delivered
        line.begin(chat(line, "discord", hook))
        line.clock.at += 120
        await line.turn(4)
        await line.sink.close()

    texts = [said("discord", json.loads(body)) for _, body in hook.requests]
    assert 0 < delivered < 8
    assert line.ledger.delivered == 8
    told = [text.count("device tampered with") for text in texts]
    assert sum(told) - told[1] == 8  # the second one got a 503


async def test_mail_is_not_cut(line: Line) -> None:
    line.store.update_terminal(1, name="门" * 100)
    for number in range(64):
        line.alarm(f"trace-{number}")
    async with mail_server() as server:
        await tell(line, mail(line, server.port, plain=True))

    ((_, sent),) = server.mails
    assert sent.get_content().count("device tampered with") == 64


async def test_a_test_sends_a_message_whatever_the_rules_are(line: Line) -> None:
    told = decode(
        {"kind": "notify", "url": "slack:", "notify": {"rules": [{"event": "alarm", "codes": [1]}]}}
    )
    async with hooked() as hook:
        at = hook.url.removesuffix("/hook")
        sink = Notify(told, decode_secrets({"token": TOKENS["slack"]}), LOOPBACK, now=line.clock, at=at)
        trial = await send_test(sink, told, Secrets(), source="x", now=line.clock, monotonic=line.clock)

    assert trial.outcome == "delivered"
    assert [json.loads(body) for _, body in hook.requests] == [
        {"text": "gatepost test\nThis message is a test."}
    ]


async def test_a_message_cannot_mention_all_of_a_group(line: Line) -> None:
    line.store.update_terminal(1, name='<at user_id="all"> @everyone <!channel>')
    line.alarm("trace-1")
    async with hooked() as hook:
        for service in ("feishu", "discord", "slack"):
            await tell(line, chat(line, service, hook))
            hook.reply = lambda _: web.json_response({})
            line.alarm(f"trace-{service}")

    feishu, discord, slack = (json.loads(body) for _, body in hook.requests)
    assert "<at" not in said("feishu", feishu)
    assert discord["allowed_mentions"] == {"parse": []}
    assert "<!channel>" not in said("slack", slack)


@pytest.mark.parametrize("service", TOKENS)
def test_the_host_of_a_service_is_fixed(service: str) -> None:
    told = decode({"kind": "notify", "url": f"{service}:", "notify": {"chat": "1"}})
    for token in (
        "https://evil.example/hook/abc",
        "http://discord.com/x",
        "https://discord.com.evil.example/",
        "",
    ):
        with pytest.raises(SettingsError, match=r"secrets\.token") as raised:
            Notify(told, decode_secrets({"token": token}), LOOPBACK)
        assert "abc" not in str(raised.value)


async def test_mail_is_handed_to_a_server_after_starttls_and_a_login(line: Line, tmp_path: Path) -> None:
    context, trusted = certified(tmp_path)
    line.alarm("trace-1")
    async with mail_server(context, password="right") as server:
        watched = mail(
            line, server.port, username="gatepost", password="right", ca_file=trusted, language="zh"
        )
        await tell(line, watched)

    ((to, sent),) = server.mails
    assert watched.outcomes == [Delivered()]
    assert to == MAIL["to"]
    assert sent["Subject"] == "gatepost：1 个事件"
    assert "拆机告警，发生" in sent.get_content()
    assert server.commands.index("STARTTLS") < server.commands.index("AUTH")


async def test_mail_over_tls_from_the_first_byte(line: Line, tmp_path: Path) -> None:
    context, trusted = certified(tmp_path)
    line.alarm("trace-1")
    async with mail_server(context, at_once=True) as server:
        await tell(line, mail(line, server.port, scheme="smtps", ca_file=trusted))

    assert len(server.mails) == 1


async def test_mail_goes_to_no_server_that_is_not_trusted(line: Line, tmp_path: Path) -> None:
    context, _ = certified(tmp_path)
    line.alarm("trace-1")
    async with mail_server(context) as server:
        watched = mail(line, server.port)
        await tell(line, watched)

    (outcome,) = watched.outcomes
    assert isinstance(outcome, Unreachable)
    assert "certificate" in outcome.reason
    assert server.mails == []


async def test_no_mail_and_no_password_is_sent_without_tls_unless_it_is_said(line: Line) -> None:
    line.alarm("trace-1")
    async with mail_server(password="right") as server:
        watched = mail(line, server.port, username="gatepost", password="right")
        await tell(line, watched)
        assert "AUTH" not in server.commands
    async with mail_server() as server:
        await tell(line, mail(line, server.port, plain=True))

    (outcome,) = watched.outcomes
    assert isinstance(outcome, Unreachable)
    assert "notify.plain" in outcome.reason
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("command", "reply", "meaning"),
    [
        ("RCPT", "550 no such user", Refused),
        ("RCPT", "450 later", Unreachable),
        ("MAIL", "553 not from you", Refused),
        ("DATA", "554 looks like spam", Refused),
        ("DATA", "451 later", Unreachable),
        ("DATA", "", Unreachable),
        ("AUTH", "535 wrong", Unreachable),
    ],
)
async def test_what_a_mail_server_says_decides(
    line: Line, tmp_path: Path, command: str, reply: str, meaning: type
) -> None:
    context, trusted = certified(tmp_path)
    line.alarm("trace-1")
    async with mail_server(context, password="right") as server:
        server.replies[command] = reply
        watched = mail(line, server.port, username="gatepost", password="secret-1", ca_file=trusted)
        if command != "AUTH":
            server.password = "secret-1"
        await tell(line, watched)

    assert [type(outcome) for outcome in watched.outcomes] == [meaning]
    assert "secret-1" not in str(watched.results)


async def test_no_connection_goes_where_none_may(line: Line) -> None:
    line.alarm("trace-1")
    async with mail_server() as server:
        watched = mail(line, server.port, plain=True, egress=Egress(["10.0.0.0/8"]))
        await tell(line, watched)
        assert server.commands == []

    (outcome,) = watched.outcomes
    assert isinstance(outcome, Unreachable)
    assert "forward_networks" in outcome.reason


def certified(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Return a server's context, and the file with the authority that has made its certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return context, str(folder / "ca.pem")
