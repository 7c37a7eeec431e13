"""Post messages in a group of a chat service.

The host of a service is fixed by its kind. Its address has the token in it and is a secret. What does not fit into one
message of the service is posted as several.

Formats, signatures and limits: the pages "custom robot" of DingTalk, "group robot" of WeCom, "custom bot" of Feishu,
"Bot API" of Telegram, "incoming webhooks" of Slack, "webhook" of Discord, "Workflows" of Teams.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus, urlsplit, urlunsplit

import msgspec

from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.notify import NotifyOptions
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.sinks import Result, text
from gatepost.forward.sinks.http import Posts, Reply
from gatepost.wire import Delivered, Outcome, Refused, Unreachable
from gatepost.wire.reply import retry_after

__all__ = ["HOSTS", "ROOM", "Chat", "pieces"]

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

ROOM: Mapping[str, int] = {
    "dingtalk": 15_000,
    "wecom": 2_048,
    "feishu": 15_000,
    "telegram": 4_096,
    "slack": 4_000,
    "teams": 12_000,
    "discord": 2_000,
}
"""Bytes of the text of one message; a limit in characters is taken for one in bytes, which are never fewer."""

_COUNTED = 12
"""Bytes that ``(12/34)`` behind a title may have."""

_TOO_FAST = frozenset({45009, 130101, 410100, 9499, 11232})
"""Codes of WeCom, DingTalk and Feishu that say "later"."""

LATER_S = 60.0


class Chat:
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

    async def send(self, title: str, lines: Sequence[str], named: str, now: float) -> list[Result]:
        """Post as many messages as it takes, one after the other; return what came of each line.

        ``named``: an id of the message, which a service has no use for. What follows one that failed is not posted.
        """
        results: list[Result] = []
        for head, some in pieces(self._plain(title), list(map(self._plain, lines)), ROOM[self._service]):
            result = await self._post(head, "\n".join([head, *some]), now)
            results += [result] * len(some)
            if not isinstance(result.outcome, Delivered):
                break
        return results + results[-1:] * (len(lines) - len(results))

    async def _post(self, title: str, message: str, now: float) -> Result:
        url, body = self._request(title, message, now)
        reply = await self._posts.post(url, msgspec.json.encode(body), {"Content-Type": "application/json"})
        if isinstance(reply, Unreachable):
            # The address is a secret, whatever an error has in it.
            hides = self._url.rpartition("://")[2] in reply.reason
            return Result(outcome=Unreachable("it cannot be reached") if hides else reply)
        return Result(outcome=_meaning(reply, now), status=f"HTTP {reply.status}", reply=text(reply.body))

    def _plain(self, words: str) -> str:
        """Return a text in which nothing mentions all of a group, or hides an address."""
        if self._service == "slack":
            return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if self._service in ("dingtalk", "wecom", "feishu"):
            return words.replace("<", "＜").replace(">", "＞")
        return words

    def _request(self, title: str, message: str, now: float) -> tuple[str, dict[str, Any]]:
        url, signing = self._url, self._signing
        if self._service == "dingtalk":
            if signing:
                at = str(int(now * 1000))
                sign = b64encode(hmac.digest(signing.encode(), f"{at}\n{signing}".encode(), "sha256"))
                url += f"&timestamp={at}&sign={quote_plus(sign)}"
            return url, {"msgtype": "text", "text": {"content": message}}
        if self._service == "wecom":
            return url, {"msgtype": "text", "text": {"content": message}}
        if self._service == "feishu":
            body: dict[str, Any] = {"msg_type": "text", "content": {"text": message}}
            if signing:
                at = str(int(now))
                sign = b64encode(hmac.digest(f"{at}\n{signing}".encode(), b"", "sha256"))
                body |= {"timestamp": at, "sign": sign.decode()}
            return url, body
        if self._service == "telegram":
            return url, {"chat_id": self._chat, "text": message}
        if self._service == "slack":
            return url, {"text": message}
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
        """Let go of connections."""
        await self._posts.close()


def pieces(title: str, lines: Sequence[str], room: int) -> list[tuple[str, list[str]]]:
    """Return title and lines of each message, of at most ``room`` bytes, cut between lines."""
    found: list[list[str]] = []
    left = 0
    for line in lines:
        size = len(line.encode()) + 1
        if size > left:
            found.append([])
            left = room - len(title.encode()) - _COUNTED
        found[-1].append(line)
        left -= size
    if len(found) == 1:
        return [(title, found[0])]
    return [(f"{title} ({at}/{len(found)})", some) for at, some in enumerate(found, 1)]


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
