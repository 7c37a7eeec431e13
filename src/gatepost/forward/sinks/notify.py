"""Tell people of events: by mail, or in a group of a chat service.

The host of a service is fixed by its kind. Its address has the token in it and is a secret, so that the destination's
own ``url`` only says which service it is. Mail goes to the server that is named, to the address that was checked.

Formats and signatures: the pages "custom robot" of DingTalk, "group robot" of WeCom, "custom bot" of Feishu, "Bot API"
of Telegram, "incoming webhooks" of Slack, "webhook" of Discord, "Workflows" of Teams.
"""

from __future__ import annotations

import asyncio
import hmac
import smtplib
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate
from hashlib import blake2b
from typing import Any
from urllib.parse import quote_plus, urlsplit, urlunsplit

import msgspec

from gatepost.errors import SettingsError
from gatepost.forward.destination import Destination, NotifyOptions, Secrets
from gatepost.forward.egress import Egress, Forbidden
from gatepost.forward.rules import Rules
from gatepost.forward.sinks import Outgoing, Result, text
from gatepost.forward.sinks.http import Posts, Reply, why
from gatepost.forward.trust import context_for
from gatepost.wire import Delivered, Outcome, Refused, Unreachable
from gatepost.wire.reply import retry_after

__all__ = ["HOSTS", "Notify"]

HOSTS: Mapping[str, tuple[str, ...]] = {
    "dingtalk": ("oapi.dingtalk.com",),
    "wecom": ("qyapi.weixin.qq.com",),
    "feishu": ("open.feishu.cn", "open.larksuite.com"),
    "telegram": ("api.telegram.org",),
    "slack": ("hooks.slack.com",),
    "teams": (".webhook.office.com", ".logic.azure.com", ".api.powerplatform.com"),
    "discord": ("discord.com", "discordapp.com"),
}
"""Where a message may go; a name that begins with a dot stands for every host below it."""

_PORTS = {"smtp": 587, "smtps": 465}

_TOO_FAST = frozenset({45009, 130101, 410100, 9499, 11232})
"""Codes of WeCom, DingTalk and Feishu that say "later"."""

LATER_S = 60.0

_TEST = {"en": "gatepost test", "zh": "gatepost 测试"}
"""What people are told by a test."""


class Notify:
    """See :class:`gatepost.forward.sinks.Sink`."""

    def __init__(
        self,
        told: Destination,
        secrets: Secrets,
        egress: Egress,
        *,
        now: Callable[[], float] = time.time,
        at: str = "",
    ) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for what cannot be used.

        ``at``: scheme and host of a double of the service, for tests.
        """
        self._now = now
        options = told.notify or NotifyOptions()
        self._rules = Rules(options)
        self._language = options.language
        self._way: _Mail | _Chat
        if told.url.startswith("smtp"):
            self._way = _Mail(told, options, secrets, egress)
        else:
            self._way = _Chat(told, options, secrets, egress, at)

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Result]:
        """See :meth:`gatepost.forward.sinks.Sink.send`. One message for all of them."""
        now = self._now()
        if batch[0].is_test:  # it passes by the rules, which choose no made-up event
            words = _TEST[self._language]
            return [await self._way.send(words, words, batch[0].id, now)]
        decision = self._rules.decide([event.row for event in batch], int(now * 1000))
        sent = Result(outcome=Delivered())
        if decision.lines:
            named = blake2b(b" ".join(event.id.encode() for event in batch), digest_size=12).hexdigest()
            sent = await self._way.send(decision.title, decision.text, named, now)
        self._rules.note(decision, is_sent=isinstance(sent.outcome, Delivered))
        return [
            Result(outcome=Delivered(), status="not told", reply=reason) if reason else sent
            for reason in decision.left_out
        ]

    async def close(self) -> None:
        """See :meth:`gatepost.forward.sinks.Sink.close`."""
        await self._way.close()


class _Chat:
    """A group of a chat service."""

    def __init__(
        self, told: Destination, options: NotifyOptions, secrets: Secrets, egress: Egress, at: str
    ) -> None:
        self._service = told.url.partition(":")[0]
        self._chat = options.chat
        self._signing = secrets.signing[0].value if secrets.signing else ""
        self._posts = Posts(told, secrets, egress)
        self._url = self._address(secrets.token)
        if at:
            self._url = urlunsplit((*urlsplit(at)[:2], *urlsplit(self._url)[2:]))

    def _address(self, token: str) -> str:
        if self._service == "telegram":
            if not token or not token.replace(":", "").replace("_", "").replace("-", "").isalnum():
                raise SettingsError("secrets.token", "must be the bot's token, such as 123456:ABC")
            return f"https://{HOSTS['telegram'][0]}/bot{token}/sendMessage"
        try:
            parts = urlsplit(token)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        allowed = HOSTS[self._service]
        fits = any(host.endswith(one) if one.startswith(".") else host == one for one in allowed)
        if parts.scheme != "https" or not fits or port not in (None, 443) or not token.isprintable():
            shown = ", ".join(one.lstrip(".") for one in allowed)
            raise SettingsError(
                "secrets.token", f"must be the address that {self._service} shows, at {shown}"
            )
        return token

    async def send(self, title: str, message: str, named: str, now: float) -> Result:
        """Post a message. ``named``: an id of it, which a service has no use for."""
        url, body = self._request(title, message, now)
        reply = await self._posts.post(url, msgspec.json.encode(body), {"Content-Type": "application/json"})
        if isinstance(reply, Unreachable):
            # The address is a secret, whatever an error has in it.
            hides = self._url.rpartition("://")[2] in reply.reason
            return Result(outcome=Unreachable("it cannot be reached") if hides else reply)
        return Result(outcome=_meaning(reply, now), status=f"HTTP {reply.status}", reply=text(reply.body))

    def _request(self, title: str, message: str, now: float) -> tuple[str, dict[str, Any]]:
        url, signing = self._url, self._signing
        # What could mention all of a group, or hide an address, is no text there.
        safe = message.replace("<", "＜").replace(">", "＞")
        if self._service == "dingtalk":
            if signing:
                at = str(int(now * 1000))
                sign = b64encode(hmac.digest(signing.encode(), f"{at}\n{signing}".encode(), "sha256"))
                url += f"&timestamp={at}&sign={quote_plus(sign)}"
            return url, {"msgtype": "text", "text": {"content": safe}}
        if self._service == "wecom":
            return url, {"msgtype": "text", "text": {"content": safe}}
        if self._service == "feishu":
            body: dict[str, Any] = {"msg_type": "text", "content": {"text": safe}}
            if signing:
                at = str(int(now))
                sign = b64encode(hmac.digest(f"{at}\n{signing}".encode(), b"", "sha256"))
                body |= {"timestamp": at, "sign": sign.decode()}
            return url, body
        if self._service == "telegram":
            return url, {"chat_id": self._chat, "text": message}
        if self._service == "slack":
            escaped = message.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return url, {"text": escaped}
        if self._service == "discord":
            return url, {"content": message, "allowed_mentions": {"parse": []}}
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.2",
            # A rich text has no Markdown in it.
            "body": [
                {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]}
                for line in message.split("\n")
            ],
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        return url, {"type": "message", "summary": title, "attachments": [attachment]}

    async def close(self) -> None:
        await self._posts.close()


def _meaning(reply: Reply, now: float) -> Outcome:
    """Return what a service says; those with a code of their own say 200 to everything."""
    try:
        said = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    values: dict[str, Any] = said if isinstance(said, dict) else {}
    http = f"HTTP {reply.status}"
    words = str(values.get("errmsg") or values.get("msg") or values.get("description") or text(reply.body))[
        :200
    ]
    if reply.status == 429 or reply.status >= 500 or 300 <= reply.status < 400 or reply.status == 408:
        seconds = retry_after(reply.headers.get("retry-after"), now)
        if seconds is None and reply.status == 429:
            seconds = LATER_S
        return Unreachable(f"{http}: {words}", seconds)
    code = values.get("errcode", values.get("code", values.get("StatusCode", 0)))
    if code in _TOO_FAST:
        return Unreachable(f"code {code}: {words}", LATER_S)
    if not 200 <= reply.status < 300:
        return Refused(f"{http}: {words}")
    if code != 0 or values.get("ok") is False:
        return Refused(f"code {code}: {words}")
    return Delivered()


class _Mail:
    """A server for mail."""

    def __init__(self, told: Destination, options: NotifyOptions, secrets: Secrets, egress: Egress) -> None:
        self._told = told
        self._options = options
        self._secrets = secrets
        self._egress = egress
        parts = urlsplit(told.url)
        self._is_tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._ssl = context_for(told, secrets) or ssl.create_default_context()

    async def send(self, title: str, message: str, named: str, now: float) -> Result:
        """Hand a message to the server. ``named``: makes its ``Message-ID`` the same on each attempt."""
        try:
            async with asyncio.timeout(self._told.timeout_s):
                found = await self._egress.resolve(self._host, self._port, socket.AF_UNSPEC)
            mail = self._mail(title, message, named, now)
            # Every step on the thread has the time-out of its own: it ends by itself.
            return await asyncio.to_thread(self._hand_over, found[0]["host"], mail)
        except TimeoutError:
            return Result(outcome=Unreachable(f"no reply within {self._told.timeout_s:g} s"))
        except (Forbidden, OSError, ValueError) as error:
            return Result(outcome=Unreachable(why(error)))

    def _mail(self, title: str, message: str, named: str, now: float) -> EmailMessage:
        mail = EmailMessage()
        sender = self._options.sender or ""
        mail["From"] = sender
        mail["To"] = ", ".join(self._options.to)
        mail["Subject"] = title
        mail["Date"] = formatdate(now)
        mail["Message-ID"] = f"<{named}@{sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message)
        return mail

    def _hand_over(self, address: str, mail: EmailMessage) -> Result:
        try:
            context = self._ssl if self._is_tls else None
            with _Smtp(self._host, self._port, address, context, self._told.timeout_s) as server:
                is_private = self._is_tls or not self._options.plain
                if not self._is_tls and is_private:
                    server.starttls(context=self._ssl)
                if self._secrets.username and is_private:
                    server.login(self._secrets.username, self._secrets.password)
                refused = server.send_message(mail)
            status = "" if not refused else f"{len(refused)} recipients were refused"
            return Result(outcome=Delivered(), status=status)
        except smtplib.SMTPNotSupportedError as error:
            reason = f"{error}; without STARTTLS mail is sent with notify.plain alone, and without a password"
            return Result(outcome=Unreachable(reason))
        except smtplib.SMTPAuthenticationError as error:
            return Result(
                outcome=Unreachable(f"{error.smtp_code}: the server refuses user name and password")
            )
        except smtplib.SMTPRecipientsRefused as error:
            code, said = max(error.recipients.values(), key=lambda one: -one[0])
            return _smtp_result(code, said)
        except smtplib.SMTPResponseException as error:
            return _smtp_result(error.smtp_code, error.smtp_error)
        except smtplib.SMTPException as error:
            return Result(outcome=Unreachable(f"it cannot be reached: {error}"[:300]))

    async def close(self) -> None:
        pass  # there is a connection for each message alone


def _smtp_result(code: int, said: bytes | str) -> Result:
    words = said if isinstance(said, str) else said.decode("utf-8", "replace")
    reason = f"{code}: {words[:200]}"
    outcome: Outcome = Refused(reason) if 500 <= code < 600 else Unreachable(reason)
    return Result(outcome=outcome, status=str(code))


class _Smtp(smtplib.SMTP):
    """A connection to the address that was checked, with the certificate of the name that was typed."""

    def __init__(
        self, host: str, port: int, address: str, context: ssl.SSLContext | None, timeout: float
    ) -> None:
        self._address = address
        self._context = context
        super().__init__(host, port, timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = socket.create_connection((self._address, port), timeout)
        if self._context is None:
            return made
        try:
            return self._context.wrap_socket(made, server_hostname=host)
        except BaseException:
            made.close()
            raise
