"""Rules for terminals: the terminal's own HTTP service."""

from typing import Any, TypeGuard

from gatepost.conformance.acknowledgement import reply_of
from gatepost.conformance.raw_http import NoResponse, Response, handshake
from gatepost.conformance.rule import (
    GUIDE,
    PAGE_GET,
    PAGE_SET,
    Finding,
    NotTried,
    failed,
    passed,
    rule,
    warned,
)
from gatepost.conformance.terminal.session import SUBSCRIBE, TerminalSession, code_of, said
from gatepost.wire import without_credentials

__all__ = [
    "authentication",
    "encryption",
    "heartbeat",
    "login",
    "reply_headers",
    "restored",
    "subscription_invalid",
    "subscription_long",
    "subscription_read",
    "subscription_set",
    "unknown_path",
]

HEADERS = ("sn", "model", "timestamp", "account")
LONGEST = 1024


def _reads(subscription: object, event_dest: str) -> TypeGuard[dict[str, Any]]:
    """Return whether a subscription has the address, which may be shown without credentials."""
    if not isinstance(subscription, dict) or "enabled" not in subscription:
        return False
    return subscription.get("event_dest") in (event_dest, without_credentials(event_dest))


@rule(
    "subscription-read",
    en="The subscription can be read",
    zh="可以读取推送配置",
    source=PAGE_GET,
    text='GET /v1/event/subscribe → {"code": 200, "msg": "OK", "data": null}',
)
async def subscription_read(session: TerminalSession) -> Finding:
    """Read the subscription.

    Pass: `{"code": 200, "msg": …, "data": …}`, where `data` is null or has `event_dest` (string) and `enabled`
    (boolean). Warning: `msg` is not "OK". Fail: anything else. Not tried: an account is needed and none was given.
    """
    session.needs_account()
    answer = await session.ask("GET", SUBSCRIBE)
    reply = reply_of(answer)
    broken = _envelope(reply)
    if reply is None or broken or reply["code"] != 200:
        why = said(answer)
        return failed(broken or why.en, broken or why.zh)
    data = reply["data"]
    if data is not None and not _is_subscription(data):
        return failed(f"`data` is no subscription: {data!r:.80}", f"data 不是有效的推送配置：{data!r:.80}")
    if reply["msg"] != "OK":
        return warned(f'`msg` is {reply["msg"]!r}, not "OK"', f"msg 为 {reply['msg']!r}，应为 OK")
    return passed("it is told", "可读取")


@rule(
    "subscription-set",
    en="The subscription can be set",
    zh="可以设置推送配置",
    source=PAGE_SET,
    text='POST /v1/event/subscribe → {"data": null, "code": 200, "msg": "OK"}',
)
async def subscription_set(session: TerminalSession) -> Finding:
    """Set the address of this check, enabled, and read it back.

    Pass: `code` 200, and the same is read back. Fail: it is refused, or something else is read.
    """
    answer = await session.subscribe()
    if code_of(answer) != 200:
        why = said(answer)
        return failed(why.en, why.zh)
    now = (reply_of(await session.ask("GET", SUBSCRIBE)) or {}).get("data")
    if not _reads(now, session.event_dest) or now["enabled"] is not True:
        return failed(f"it was set, and this is read: {now!r:.120}", f"设置后读取到的是：{now!r:.120}")
    return passed("set, and read back", "设置并读回一致")


@rule(
    "subscription-1024",
    en="An address of 1,024 characters is taken",
    zh="支持 1024 个字符的地址",
    source=PAGE_SET,
    text="event_dest 不超过1024个字符",
)
async def subscription_long(session: TerminalSession) -> Finding:
    """Set an address of exactly 1,024 characters, read it back, and set the one of this check again.

    Pass: it is accepted and read back whole. Fail: it is refused, or cut. An address with a token would not fit.
    """
    longest = session.event_dest + "x" * (LONGEST - len(session.event_dest))
    answer = await session.subscribe(longest, enabled=False)
    now = (reply_of(await session.ask("GET", SUBSCRIBE)) or {}).get("data")
    await session.subscribe()
    if code_of(answer) != 200:
        why = said(answer)
        return failed(why.en, why.zh)
    if not _reads(now, longest):
        length = len(str(now.get("event_dest"))) if isinstance(now, dict) else 0
        return failed(f"{length} characters are read back", f"读回 {length} 个字符")
    return passed("taken and read back whole", "完整保存")


@rule(
    "subscription-invalid",
    en="An invalid subscription is refused and changes nothing",
    zh="拒绝无效的推送配置且不改变原配置",
    source=PAGE_SET,
    text="event_dest string，支持http和https，不超过1024个字符；enabled boolean",
)
async def subscription_invalid(session: TerminalSession) -> Finding:
    """Post invalid subscriptions, then some in which a field is missing.

    Invalid are: no JSON, a list, an `event_dest` that is a number, no http address or 1,025 characters long, and an
    `enabled` that is a string. Not tried: a valid subscription is refused already. Pass: each gets a `code` other than
    200, and the subscription stays. Warning: a missing field is accepted; the page does not say that the fields are
    required. Fail: another one is accepted or changes the subscription, or there is no reply.
    """
    if code_of(await session.subscribe()) != 200:
        raise NotTried(
            "a valid subscription is refused already; see the rule subscription-set",
            "有效配置已被拒绝；请先查看规则 subscription-set",
        )
    good = session.event_dest
    wrong: dict[str, Any] = {
        "no JSON": b"event_dest=http",
        "a list": b"[]",
        "event_dest a number": {"event_dest": 5, "enabled": True},
        "event_dest ftp://": {"event_dest": "ftp://192.0.2.1/Record", "enabled": True},
        "event_dest without a host": {"event_dest": "http:///Record", "enabled": True},
        "event_dest too long": {"event_dest": good + "/" + "x" * (LONGEST - len(good)), "enabled": True},
        "enabled a string": {"event_dest": good, "enabled": "false"},
    }
    lacking: dict[str, Any] = {
        "enabled missing": {"event_dest": good},
        "event_dest missing": {"enabled": True},
    }
    odd = []
    for name, body in (wrong | lacking).items():
        answer = await session.ask("POST", SUBSCRIBE, body)
        code = code_of(answer)
        if code is None:
            why = said(answer)
            return failed(f"{name}: {why.en}", f"{name}：{why.zh}")
        now = (reply_of(await session.ask("GET", SUBSCRIBE)) or {}).get("data") or {}
        changed = not _reads(now, good) or now["enabled"] is not True
        if changed:
            await session.subscribe()
        if name in lacking and not changed:
            odd += [name] if code == 200 else []
        elif code == 200 or changed:
            return failed(f"{name}: taken (code {code})", f"{name}：被接受（code {code}）")
    if odd:
        return warned(f"taken: {', '.join(odd)}", f"被接受：{'，'.join(odd)}")
    return passed(
        f"{len(wrong | lacking)} refused, nothing changed", f"拒绝 {len(wrong | lacking)} 项，配置未变"
    )


@rule(
    "authentication",
    en="The service asks who is there",
    zh="服务要求认证",
    source=GUIDE,
    text="Authentication: JWT (POST /v1/auth/login) or HTTP Basic",
)
async def authentication(session: TerminalSession) -> Finding:
    """Read the subscription without an account, with a wrong password, and (with `--user`) with the right one.

    Pass: only the last succeeds, or the service is on this machine and needs no account. Warning: it needs none and is
    on another machine. Anyone who reaches it can redirect the events. Fail: the account is refused, or a wrong password
    is accepted where an account is needed. Not tried: an account is needed and none was given.
    """
    session.needs_account()
    nobody = code_of(await session.ask("GET", SUBSCRIBE, headers=()))
    if session.user is None:
        if nobody != 200:
            return failed(
                f"code {nobody} to whoever asks without an account", f"未提供账号时返回 code {nobody}"
            )
        if session.target.host in ("127.0.0.1", "::1", "localhost"):
            return passed("no account is needed, on this machine", "本机访问，无需账号")
        return warned("no account is needed", "无需账号即可访问")
    right = code_of(await session.ask("GET", SUBSCRIBE))
    if right != 200:
        return failed(f"the account is refused with code {right}", f"账号被拒绝，code {right}")
    wrong = code_of(await session.ask("GET", SUBSCRIBE, headers=session.basic("no-" + session.user[1])))
    if nobody == 200:
        return warned("it also answers without an account", "未提供账号也能访问")
    if wrong == 200:
        return failed("a wrong password is taken", "错误的密码被接受")
    return passed(
        f"without: code {nobody}; wrong: code {wrong}", f"无账号：code {nobody}；密码错误：code {wrong}"
    )


@rule(
    "login",
    en="A token can be had and is honoured",
    zh="可以登录并使用令牌",
    source=GUIDE,
    text="POST /v1/auth/login with username, password, validTime answers data.token; then Authorization: Bearer TOKEN",
)
async def login(session: TerminalSession) -> Finding:
    """With `--user`, log in for a minute, then read the subscription with the token and with a changed token.

    Pass: the token works, the changed one does not, and a wrong password gets none. Warning: there is no such login;
    Basic is enough. Fail: the changed token works, or a wrong password gets a token. Not tried: no account was given.
    """
    if session.user is None:
        raise NotTried("no account was given; see --user", "未提供账号；见 --user")
    name, password = session.user
    wanted = {"username": name, "password": password, "validTime": 1}
    reply = reply_of(await session.ask("POST", "/v1/auth/login", wanted, headers=())) or {}
    data = reply.get("data")
    token = data.get("token") if isinstance(data, dict) else None
    wrong = await session.ask("POST", "/v1/auth/login", {**wanted, "password": "no-" + password}, headers=())
    if code_of(wrong) == 200:
        return failed("a wrong password is let in", "错误的密码可以登录")
    if not isinstance(token, str) or not token:
        return warned(f"no token: code {reply.get('code')!r}", f"未返回令牌：code {reply.get('code')!r}")
    honoured = code_of(await session.ask("GET", SUBSCRIBE, headers=(("Authorization", f"Bearer {token}"),)))
    other = token[:-4] + ("aaaa" if token[-4:] != "aaaa" else "bbbb")
    tampered = code_of(await session.ask("GET", SUBSCRIBE, headers=(("Authorization", f"Bearer {other}"),)))
    if honoured != 200:
        return failed(f"the token is refused with code {honoured}", f"令牌被拒绝，code {honoured}")
    if tampered == 200:
        return failed("a tampered token is honoured", "被篡改的令牌被接受")
    return passed("the token is honoured, a tampered one is not", "令牌有效，篡改的令牌无效")


@rule(
    "heartbeat",
    en="The heartbeat needs no account",
    zh="心跳接口无需认证",
    source=GUIDE,
    text="GET /v2/datasync/ping is a heartbeat without authentication",
)
async def heartbeat(session: TerminalSession) -> Finding:
    """Ask for the heartbeat without an account.

    Pass: `code` 200. Warning: anything else. Receivers that manage terminals would take it for offline.
    """
    answer = await session.ask("GET", "/v2/datasync/ping", headers=())
    if code_of(answer) != 200:
        why = said(answer)
        return warned(why.en, why.zh)
    return passed("it answers", "有应答")


@rule(
    "unknown-path",
    en="A reply to an unknown path has the same shape",
    zh="未知路径以同样的格式应答",
    source=GUIDE,
    text='Every reply is {"code": int, "msg": str, "data": object|null}; 404 Not Found',
)
async def unknown_path(session: TerminalSession) -> Finding:
    """Ask for a path that does not exist.

    Pass: `code` 404 in the documented form. Warning: another refusal. Fail: `code` 200. Not tried: there is no
    response.
    """
    answer = await session.ask("GET", "/v1/no/such/path")
    if isinstance(answer, NoResponse):
        why = said(answer)
        raise NotTried(why.en, why.zh)
    code = code_of(answer)
    if code == 200:
        return failed("a path that does not exist is answered with code 200", "不存在的路径返回 code 200")
    broken = _envelope(reply_of(answer))
    if broken or code != 404:
        why = said(answer)
        return warned(why.en, why.zh)
    return passed("code 404", "code 404")


@rule(
    "reply-headers",
    en="Replies tell who the terminal is",
    zh="应答头标明终端身份",
    source=GUIDE,
    text="Reply headers carry sn, model, timestamp, account",
)
async def reply_headers(session: TerminalSession) -> Finding:
    """Look at the headers of a reply.

    Pass: `sn`, `model`, `timestamp` and `account` are there. Warning: one is missing. Not tried: there is no response.
    """
    answer = await session.ask("GET", SUBSCRIBE)
    if isinstance(answer, NoResponse):
        why = said(answer)
        raise NotTried(why.en, why.zh)
    missing = [name for name in HEADERS if not _has(answer, name)]
    if missing:
        return warned(f"missing: {', '.join(missing)}", f"缺少：{', '.join(missing)}")
    return passed("all four are there", "四项齐全")


@rule(
    "encryption",
    en="The service is encrypted",
    zh="服务使用加密连接",
    source=GUIDE,
    text="https://HOST:8000/ by default, TLS 1.3, a self-signed certificate unless one was installed",
)
async def encryption(session: TerminalSession) -> Finding:
    """Look at the URL, and with https at the TLS version and the certificate.

    Pass: https. A self-signed certificate is usual for terminals. Not tried: http on this machine. Warning: http on
    another machine, so the account is sent unencrypted. Fail: the URL is https and there is no TLS connection.
    """
    if not session.target.tls:
        if session.target.host in ("127.0.0.1", "::1", "localhost"):
            raise NotTried(
                "the URL is http on this machine: there is no encryption to look at; give the https URL",
                "该地址为本机 http，没有可检查的加密；请给出 https 地址",
            )
        return warned("http: account and subscription travel unencrypted", "http：账号与配置以明文传输")
    outcome = await handshake(session.target, timeout_s=session.timeouts.reply_s)
    if isinstance(outcome, str):
        return passed(f"{outcome}, and the certificate is valid", f"{outcome}，证书有效")
    message = getattr(outcome, "verify_message", None)
    if message is not None:
        return passed(f"TLS, {message}", f"TLS，{message}")
    return failed(f"TLS: {outcome}", f"TLS：{outcome}")


@rule(
    "restored",
    en="The subscription that was found is restored",
    zh="恢复检查前的推送配置",
    source=PAGE_SET,
    text="POST /v1/event/subscribe",
)
async def restored(session: TerminalSession) -> Finding:
    """Restore the subscription that was there at the beginning, and read it back.

    This runs last, also when the check is interrupted. Pass: it is as before. Warning: there was none, which cannot be
    set, so pushing is switched off. Fail: it could not be restored; the finding says what to set by hand. Not tried:
    nothing was changed.
    """
    return await session.restore()


def _envelope(reply: dict[str, Any] | None) -> str:
    """Return what is wrong with the form of a reply; "" if nothing."""
    if reply is None:
        return "no JSON object"
    for name, kinds in (("code", (int,)), ("msg", (str,)), ("data", (dict, list, type(None)))):
        if name not in reply:
            return f"`{name}` is missing"
        if not isinstance(reply[name], kinds) or isinstance(reply[name], bool):
            return f"`{name}` is {reply[name]!r:.60}"
    return ""


def _is_subscription(data: object) -> bool:
    return (
        isinstance(data, dict)
        and isinstance(data.get("event_dest"), str)
        and isinstance(data.get("enabled"), bool)
    )


def _has(answer: Response, name: str) -> bool:
    return any(key == name for key, _ in answer.headers)
