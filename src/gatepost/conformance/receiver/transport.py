"""Rules for receivers: pushes that are large, in chunks, slow, cut off, many at once, or encrypted."""

import asyncio
import ssl

from gatepost.conformance.acknowledgement import JSON, acknowledged, all_taken, unconnected, why_not
from gatepost.conformance.raw_http import (
    Answer,
    Connection,
    NoResponse,
    Response,
    chunked,
    handshake,
    request,
)
from gatepost.conformance.receiver.probe import Probe
from gatepost.conformance.rule import (
    PAGE_PUSH,
    PAGE_SET,
    Finding,
    NotTried,
    Rule,
    Words,
    failed,
    passed,
    rule,
    warned,
)
from gatepost.conformance.sample_pushes import write

__all__ = [
    "chunks",
    "cut_off",
    "encryption",
    "expect_continue",
    "images",
    "keep_alive",
    "many_at_once",
    "slow_sender",
    "with_length",
]

KB = 1024
CHUNK = 1000
PIECES = 12
KEPT = 5

_IMAGE = "rgb_image String Base64 后的jpeg格式的人脸抓拍图"
_HTTP = "RFC 9112"


def _image(name: str, size: int, consequence: str) -> Rule[Probe]:
    async def check(probe: Probe) -> Finding:
        portrait = probe.samples.portrait(size)
        cases = [
            (f"record, {name}", await probe.push(probe.samples.record({"rgb_image": portrait}))),
            (f"alarm, {name}", await probe.push(probe.samples.alarm({"alarm_photo": portrait}))),
        ]
        return all_taken(cases, what=Words(f"events with an image of {name}", f"带 {name} 图片的事件"))

    check.__doc__ = (
        f"Pushes a record and an alarm with a JPEG of {name}, which base64 makes a third larger. "
        f"Pass: both are acknowledged. Fail: one is not; {consequence}."
    )
    return rule(
        f"image-{name.replace(' ', '').lower()}",
        en=f"An image of {name} is taken",
        zh=f"支持 {name} 的图片",
        source=PAGE_PUSH,
        text=_IMAGE,
    )(check)


images = (
    _image("0 B", 0, "a door opened by card has no portrait"),
    _image("30 KB", 30 * KB, "this is the usual size"),
    _image("1 MB", 1024 * KB, "a limit of one megabyte, the default of many servers, is too low"),
    _image(
        "4 MB", 4096 * KB, "the page gives no limit, and a terminal cannot make an image smaller afterwards"
    ),
)


@rule(
    "length",
    en="A push with Content-Length is taken",
    zh="支持带 Content-Length 的推送",
    source=f"{_HTTP}, section 6.2",
    text="Content-Length",
)
async def with_length(probe: Probe) -> Finding:
    """Push a record of 30 KB with Content-Length, head and body in separate packets.

    Pass: it is acknowledged. Fail: it is not. A receiver that reads only once, and takes that for the whole body, loses
    most portraits.
    """
    head, body = request(
        probe.target, write(probe.samples.record({"rgb_image": probe.samples.portrait(30 * KB)})), (JSON,)
    )
    try:
        async with Connection.open(probe.target, timeout_s=probe.limits.timeout_s) as connection:
            await connection.send(head)
            await connection.trickle(body, pieces=4, pause_s=0.02, sleep=probe.sleep)
            answer = await connection.read()
    except OSError as error:
        answer = unconnected(error)
    probe.note(head + body, answer, remark="in 5 packets")
    return all_taken(
        [("record", answer)], what=Words("pushes with Content-Length", "带 Content-Length 的推送")
    )


@rule(
    "chunked",
    en="A push in chunks is taken",
    zh="支持分块传输（chunked）的推送",
    source=f"{_HTTP}, section 7.1",
    text="A recipient MUST be able to parse and decode the chunked transfer coding",
)
async def chunks(probe: Probe) -> Finding:
    """Push a record of 30 KB with `Transfer-Encoding: chunked`, in chunks of 1,000 bytes and in one, and an alarm.

    HTTP libraries that stream an image send it this way. Pass: all are acknowledged. Fail: one is not.
    """
    cases = []
    portrait = probe.samples.portrait(30 * KB)
    for name, event, size in (
        ("record, small chunks", probe.samples.record({"rgb_image": portrait}), CHUNK),
        ("record, one chunk", probe.samples.record({"rgb_image": portrait}), 1 << 20),
        ("alarm", probe.samples.alarm(), CHUNK),
    ):
        head, body = request(
            probe.target, write(event), (JSON, ("Transfer-Encoding", "chunked")), length=False
        )
        cases.append((name, await probe.exchange(head, chunked(body, size))))
    return all_taken(cases, what=Words("pushes in chunks", "分块传输的推送"))


@rule(
    "expect-continue",
    en="Expect: 100-continue gets 100 Continue",
    zh="响应 Expect: 100-continue",
    source="RFC 9110, section 10.1.1",
    text="A server MUST send 100 (Continue) or a final status if it sees the expectation",
)
async def expect_continue(probe: Probe) -> Finding:
    """Send the head of a push with `Expect: 100-continue`, wait up to a second for 100, then send the body.

    libcurl does so with a large body. Pass: 100 came, or the final reply. Warning: neither came, so every push of such
    firmware takes a second longer. Fail: the push is not acknowledged.
    """
    event = write(probe.samples.record({"rgb_image": probe.samples.portrait(30 * KB)}))
    head, body = request(probe.target, event, (JSON, ("Expect", "100-continue")))
    went_ahead = False
    try:
        async with Connection.open(probe.target, timeout_s=probe.limits.timeout_s) as connection:
            await connection.send(head)
            answer = await connection.read(timeout_s=probe.limits.continue_s, interim=True)
            went_ahead = isinstance(answer, Response)
            if not went_ahead or connection.continued:
                await connection.send(body)
                answer = await connection.read()
    except OSError as error:
        answer = unconnected(error)
    probe.note(head + body, answer)
    if not acknowledged(answer):
        why = why_not(answer)
        return failed(why.en, why.zh)
    if not went_ahead:
        wait = probe.limits.continue_s
        return warned(f"no 100 Continue within {wait:g} s", f"{wait:g} 秒内未返回 100 Continue")
    return passed("the go-ahead came at once", "立即得到响应")


@rule(
    "keep-alive",
    en="A connection serves several pushes",
    zh="一个连接可推送多次",
    source=f"{_HTTP}, section 9.3",
    text="HTTP implementations SHOULD support persistent connections",
)
async def keep_alive(probe: Probe) -> Finding:
    """Push five records on one connection, the third one in chunks.

    Pass: all are acknowledged on it. Warning: the receiver closes and announces it (`Connection: close`, or HTTP/1.0).
    Each event then costs a connection, and with HTTPS a handshake. Fail: it closes unannounced, or mixes the requests
    up. Pushes are lost on the way.
    """
    answer: Answer = NoResponse("nothing was sent")
    try:
        async with Connection.open(probe.target, timeout_s=probe.limits.timeout_s) as connection:
            for count in range(1, KEPT + 1):
                event = write(probe.samples.record())
                if count == 3:
                    head, body = request(
                        probe.target, event, (JSON, ("Transfer-Encoding", "chunked")), length=False
                    )
                    body = chunked(body, CHUNK)
                else:
                    head, body = request(probe.target, event, (JSON,))
                await connection.send(head, body)
                answer = await connection.read()
                probe.note(head + body, answer, remark=f"push {count} on one connection")
                if not acknowledged(answer):
                    why = why_not(answer)
                    return failed(f"push {count}: {why.en}", f"第 {count} 次推送：{why.zh}")
                if isinstance(answer, Response) and not answer.keeps:
                    return warned(
                        f"the receiver closes the connection after push {count}, and says so",
                        f"接收端在第 {count} 次推送后声明并关闭了连接",
                    )
    except OSError as error:
        why = why_not(unconnected(error))
        return failed(why.en, why.zh)
    return passed(f"{KEPT} pushes on one connection", f"一个连接完成 {KEPT} 次推送")


@rule(
    "many-at-once",
    en="Many terminals at once are served",
    zh="可同时服务多台终端",
    source="第三方服务器推送配置",
    text="待网络状态恢复后上传识别记录",
)
async def many_at_once(probe: Probe) -> Finding:
    """Open 64 connections, and when all are open push a record of 30 KB on each, as after a network outage.

    Pass: all are acknowledged within the time limit. Warning: some are told to come later (HTTP 429 or 503). Fail: one
    is refused otherwise, or gets no reply.
    """
    count = probe.limits.at_once
    opened = asyncio.Barrier(count)
    portrait = probe.samples.portrait(30 * KB)
    bodies = [write(probe.samples.record({"rgb_image": portrait})) for _ in range(count)]

    async def one(event: bytes) -> Answer:
        head, body = request(probe.target, event, (JSON,))
        try:
            async with Connection.open(probe.target, timeout_s=probe.limits.timeout_s) as connection:
                await opened.wait()
                await connection.send(head, body)
                answer = await connection.read()
        except OSError as error:
            await opened.abort()
            answer = unconnected(error)
        except asyncio.BrokenBarrierError:
            answer = NoResponse("another connection could not be opened")
        return answer

    answers = await asyncio.gather(*(one(body) for body in bodies))
    for event, answer in zip(bodies, answers, strict=True):
        probe.note(event, answer)
    later = [answer for answer in answers if isinstance(answer, Response) and answer.status in (429, 503)]
    rest = [(f"push {index}", answer) for index, answer in enumerate(answers) if answer not in later]
    finding = all_taken(rest, what=Words("pushes at once", "并发推送"))
    if later and finding.verdict == "pass":
        return warned(
            f"{len(later)} of {count} were told to come later",
            f"{count} 个中有 {len(later)} 个被要求稍后重试",
        )
    return finding


@rule(
    "slow-sender",
    en="A slow terminal is waited for",
    zh="等待发送缓慢的终端",
    source="第三方服务器推送配置",
    text="网络异常……设备将缓存该记录，待网络状态恢复后上传识别记录",
)
async def slow_sender(probe: Probe) -> Finding:
    """Push a record of 30 KB in twelve pieces over six seconds (`--slow`), as over a poor radio link.

    Another terminal pushes meanwhile. Pass: both are acknowledged. Fail: the slow push is cut off, so that terminal
    never delivers its portrait, or the other terminal has to wait.
    """
    event = write(probe.samples.record({"rgb_image": probe.samples.portrait(30 * KB)}))
    head, body = request(probe.target, event, (JSON,))
    pause = probe.limits.slow_s / PIECES
    other: Answer = NoResponse("was not pushed")
    try:
        async with Connection.open(probe.target, timeout_s=probe.limits.timeout_s) as connection:
            half = len(body) // 2
            await connection.send(head)
            await connection.trickle(body[:half], pieces=PIECES // 2, pause_s=pause, sleep=probe.sleep)
            other = await probe.push(probe.samples.record())
            await connection.trickle(body[half:], pieces=PIECES // 2, pause_s=pause, sleep=probe.sleep)
            answer = await connection.read()
    except OSError as error:
        answer = unconnected(error)
    probe.note(head + body, answer, remark=f"over {probe.limits.slow_s:g} s")
    cases = [("the slow push", answer), ("a push meanwhile", other)]
    return all_taken(cases, what=Words("pushes", "推送"))


@rule(
    "cut-off",
    en="A push that breaks off leaves the receiver well",
    zh="推送中断不影响接收端",
    source="第三方服务器推送配置",
    text="当接收服务器断开，网络异常或者没收到请求应答，设备将缓存该记录",
)
async def cut_off(probe: Probe) -> Finding:
    """Send half a record and reset the connection, half a record and close it, half a chunk and close it.

    Then push one of those records whole. Pass: no half was acknowledged, and the whole one is. Fail: a half was
    acknowledged, so the event would be lost, or the receiver no longer replies.
    """
    event = write(probe.samples.record({"rgb_image": probe.samples.portrait(30 * KB)}))
    head, body = request(probe.target, event, (JSON,))
    open_head, _ = request(probe.target, event, (JSON, ("Transfer-Encoding", "chunked")), length=False)
    halves = {
        "reset": (head, body[: len(body) // 2]),
        "closed": (head, body[: len(body) // 2]),
        "chunk": (open_head, chunked(body, len(body))[: len(body) // 2]),
    }
    for name, parts in halves.items():
        try:
            async with Connection.open(probe.target, timeout_s=probe.limits.timeout_s) as connection:
                await connection.send(*parts)
                if name == "reset":
                    connection.reset()
                    continue
                connection.finish()
                answer = await connection.read()
        except OSError as error:
            answer = unconnected(error)
        probe.note(b"".join(parts), answer, remark=f"half a push: {name}")
        if acknowledged(answer):
            return failed("half a push was acknowledged", "推送只到一半即被确认")
    whole = await probe.exchange(head, body)
    return all_taken([("the whole push afterwards", whole)], what=Words("pushes", "推送"))


@rule(
    "encryption",
    en="HTTPS shows a certificate that can be checked",
    zh="HTTPS 证书可被校验",
    source=PAGE_SET,
    text="支持http和https，样式如下：http://ip:port/Record或者https://ip:port/Reocrd",
)
async def encryption(probe: Probe) -> Finding:
    """With an https URL, connect as a client that checks certificates (`--ca-file`: your own authority).

    Pass: TLS 1.2 or 1.3, and a certificate that is valid for this name now. Not tried: the URL is http on this machine
    itself. Warning: the certificate is self-signed, from an unknown authority or for another name, so terminals have to
    be set to trust it; or portraits are sent unencrypted. Fail: there is no TLS connection, or the certificate has
    expired.
    """
    if not probe.target.tls:
        if probe.target.host in ("127.0.0.1", "::1", "localhost"):
            raise NotTried(
                "the URL is http on this machine: there is no certificate to look at; give the https URL",
                "该地址为本机 http，没有可检查的证书；请给出 https 地址",
            )
        return warned("http: names and portraits travel unencrypted", "http：姓名与人脸图片以明文传输")
    outcome = await handshake(probe.target, ca_file=probe.ca_file, timeout_s=probe.limits.timeout_s)
    if isinstance(outcome, str):
        return passed(f"{outcome}, and the certificate is valid", f"{outcome}，证书有效")
    if isinstance(outcome, ssl.SSLCertVerificationError):
        if outcome.verify_code in _OUT_OF_DATE:
            return failed(f"the certificate: {outcome.verify_message}", f"证书：{outcome.verify_message}")
        return warned(
            f"terminals must be told to trust it: {outcome.verify_message}",
            f"需让终端信任该证书：{outcome.verify_message}",
        )
    why = unconnected(outcome).why
    return failed(f"TLS: {why}", f"TLS：{why}")


_OUT_OF_DATE = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
