"""Every rule for receivers, held against one that keeps it and one that breaks it."""

import asyncio
import random
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from tests.conformance.tiny_receiver import BAD, Push, TinyReceiver, good, refusing, reply

from gatepost.conformance.checks_receiver import RULES
from gatepost.conformance.probe import Limits, Probe
from gatepost.conformance.raw_http import Target
from gatepost.conformance.rules import Finding, Verdict
from gatepost.conformance.runner import run

BY_ID = {rule.id: rule for rule in RULES}
LIMITS = Limits(timeout_s=1.5, slow_s=0.24, continue_s=0.1)


def probe(receiver: TinyReceiver, *, limits: Limits = LIMITS, ca_file: str | None = None) -> Probe:
    return Probe(Target.parse(receiver.url), limits=limits, ca_file=ca_file, rand=random.Random(1))


async def held(id: str, receiver: TinyReceiver) -> Finding:
    async with receiver:
        return await BY_ID[id].check(probe(receiver))


# -- receivers that break what lies below a decision


class ReadsOnce(TinyReceiver):
    async def body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        return await reader.read(1 << 16)


class KnowsNoChunks(TinyReceiver):
    async def body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        return await reader.readexactly(int(headers.get("content-length", "0")))


class HangsUp(TinyReceiver):
    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.one(reader, writer)


class Expects417(TinyReceiver):
    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        headers = await self.head(reader)
        if headers is not None and "expect" in headers:
            writer.write(reply(417, BAD))
            return False
        return False


class NoGoAhead(TinyReceiver):
    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        headers = await self.head(reader)
        assert headers is not None
        writer.write(good(self.push(headers, await self.body(reader, headers))))
        return False


class EightAtMost(TinyReceiver):
    serving = 0

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving += 1
        try:
            if self.serving <= 8:
                await super().connection(reader, writer)
        finally:
            self.serving -= 1


class OneAtATime(TinyReceiver):
    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.turn = getattr(self, "turn", asyncio.Lock())
        async with self.turn:
            await super().connection(reader, writer)


class Impatient(TinyReceiver):
    async def body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        async with asyncio.timeout(0.05):
            return await super().body(reader, headers)

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await super().connection(reader, writer)
        except TimeoutError:
            writer.write(reply(408, BAD))


class TakesHalves(TinyReceiver):
    async def body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        try:
            return await super().body(reader, headers)
        except asyncio.IncompleteReadError as error:
            return error.partial

    def push(self, headers: dict[str, str], body: bytes) -> Push:
        return Push(headers, body, super().push(headers, body).event or {})


class DiesOfHalves(TinyReceiver):
    dead = False

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self.dead and await self.one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            self.dead = True


class NoTls(TinyReceiver):
    @property
    def url(self) -> str:
        return super().url.replace("http://", "https://")


def forgets_nothing() -> TinyReceiver:
    seen: set[bytes] = set()

    def decide(push: Push) -> bytes:
        again = push.body in seen
        seen.add(push.body)
        return reply(409, {"code": 409, "message": "exists already", "data": {}}) if again else good(push)

    return TinyReceiver(decide)


def image_over(size: int) -> TinyReceiver:
    return TinyReceiver(refusing(lambda push: len(push.body) > size))


def wants(*names: str) -> TinyReceiver:
    return TinyReceiver(refusing(lambda push: any(name not in push.data for name in names)))


def saying(
    value: object, status: int = 200, *headers: str, kind: str | None = "application/json"
) -> TinyReceiver:
    return TinyReceiver(lambda push: reply(status, value, *headers, kind=kind))


def beyond_the_basic_plane(push: Push) -> bool:
    return max(push.user["name"] or " ") > "\uffff"


Make = Callable[[], TinyReceiver]

BREAKERS: tuple[tuple[str, str, Make], ...] = (
    ("record", "refuses", lambda: saying(BAD)),
    ("record", "answers nothing", lambda: TinyReceiver(lambda push: None)),
    ("alarm", "knows no alarms", lambda: TinyReceiver(refusing(lambda push: push.event["type"] == 1))),
    ("alarm", "knows no clearing", lambda: TinyReceiver(refusing(lambda push: push.data.get("status") == 3))),
    ("reply-object", "says OK", lambda: saying(b"OK")),
    ("reply-object", "says nothing", lambda: saying(b"")),
    ("reply-object", "says a list", lambda: saying([200])),
    ("reply-code", "says it in a string", lambda: saying({"code": "200", "message": "success", "data": {}})),
    ("reply-code", "says it with a point", lambda: saying({"code": 200.0, "message": "success", "data": {}})),
    ("reply-code", "says 0", lambda: saying({"code": 0, "message": "success", "data": {}})),
    ("reply-code", "says none", lambda: saying({"message": "success", "data": {}})),
    ("reply-message", "says msg", lambda: saying({"code": 200, "msg": "success", "data": {}})),
    ("reply-message", "says a number", lambda: saying({"code": 200, "message": 1, "data": {}})),
    ("reply-data", "leaves it out", lambda: saying({"code": 200, "message": "success"})),
    ("reply-data", "says a string", lambda: saying({"code": 200, "message": "success", "data": ""})),
    ("status-200", "says 201", lambda: saying({"code": 200, "message": "success", "data": {}}, 201)),
    ("status-200", "says 204", lambda: TinyReceiver(lambda push: b"HTTP/1.1 204 No Content\r\n\r\n")),
    ("content-type", "answers nothing", lambda: TinyReceiver(lambda push: None)),
    ("no-login", "asks for a login", lambda: saying(BAD, 401)),
    ("no-login", "sends to a login page", lambda: saying(b"", 302, "Location: /login")),
    ("absent-record", "wants a uuid", lambda: wants("uuid")),
    ("absent-record", "wants a name", lambda: TinyReceiver(refusing(lambda push: "name" not in push.user))),
    ("absent-alarm", "wants a description", lambda: wants("description")),
    ("absent-alarm", "wants a code", lambda: wants("code")),
    ("dialect-1.3.0", "knows no entry_mode", lambda: TinyReceiver(refusing(lambda push: "entry_mode" in push.data))),
    ("dialect-1.2.1", "wants entry_mode", lambda: wants("entry_mode")),
    ("dialect-1.2.0", "wants strings", lambda: TinyReceiver(refusing(lambda push: push.user["user_id"] == 5))),
    ("dialect-1.0", "wants job numbers", lambda: TinyReceiver(refusing(lambda push: "job_number" not in push.user))),
    ("dialect-before-1.0", "wants a serial", lambda: wants("deviceSN")),
    ("variants", "wants a name", lambda: TinyReceiver(refusing(lambda push: push.user["name"] is None))),
    ("variants", "wants an image", lambda: TinyReceiver(refusing(lambda push: push.data["rgb_image"] == ""))),
    ("trailing-comma", "is strict", lambda: TinyReceiver(refusing(lambda push: b",\n" in push.body))),
    ("utf-8", "knows the basic plane", lambda: TinyReceiver(refusing(beyond_the_basic_plane))),
    ("utf-8", "compares types", lambda: TinyReceiver(refusing(lambda push: "charset" in push.headers["content-type"]))),
    ("unknown-fields", "forbids them", lambda: TinyReceiver(refusing(lambda push: "x_text" in push.event))),
    ("unknown-codes", "forbids them", lambda: TinyReceiver(refusing(lambda push: push.data.get("mode", 0) > 10))),
    ("unknown-type", "falls over", lambda: TinyReceiver(lambda push: reply(500, b"Internal Server Error"))),
    ("bad-json", "takes everything", lambda: saying({"code": 200, "message": "success", "data": {}})),
    ("bad-json", "hangs up", lambda: TinyReceiver(lambda push: None if push.event is None else reply())),
    ("duplicate-record", "wants new ones", forgets_nothing),
    ("duplicate-alarm", "wants new ones", forgets_nothing),
    ("image-0b", "wants one", lambda: TinyReceiver(refusing(lambda push: push.data.get("rgb_image") == ""))),
    ("image-30kb", "takes 20 KB", lambda: image_over(20_000)),
    ("image-1mb", "takes 1 MB", lambda: image_over(1 << 20)),
    ("image-4mb", "takes 4 MB", lambda: image_over(4 << 20)),
    ("length", "reads once", ReadsOnce),
    ("chunked", "knows no chunks", KnowsNoChunks),
    ("expect-continue", "refuses", Expects417),
    ("keep-alive", "hangs up without a word", HangsUp),
    ("many-at-once", "serves eight", EightAtMost),
    ("slow-sender", "waits for nobody", Impatient),
    ("slow-sender", "serves one at a time", OneAtATime),
    ("cut-off", "takes halves", TakesHalves),
    ("cut-off", "dies of them", DiesOfHalves),
    ("encryption", "speaks no TLS", NoTls),
)  # fmt: skip

WARNERS: tuple[tuple[str, str, Make], ...] = (
    ("reply-message", "says ok", lambda: saying({"code": 200, "message": "ok", "data": {}})),
    ("reply-data", "says null", lambda: saying({"code": 200, "message": "success", "data": None})),
    ("content-type", "says text", lambda: saying(b'{"code":200}', kind="text/plain")),
    ("content-type", "says nothing", lambda: saying(b'{"code":200}', kind=None)),
    ("unknown-type", "refuses it", lambda: TinyReceiver(refusing(lambda push: push.event["type"] == 2))),
    ("bad-json", "answers HTML", lambda: TinyReceiver(lambda push: good(push) if push.event else reply(400, b"<h1>"))),
    ("bad-json", "blames itself", lambda: TinyReceiver(lambda push: good(push) if push.event else reply(500, BAD))),
    ("expect-continue", "lets it wait", NoGoAhead),
    ("keep-alive", "hangs up and says so", lambda: saying({"code": 200}, 200, "Connection: close")),
    ("many-at-once", "asks for patience", lambda: saying({"code": 503}, 503, "Retry-After: 1")),
)  # fmt: skip


async def test_a_receiver_that_keeps_the_contract_passes_every_rule() -> None:
    async with TinyReceiver() as receiver:
        results = await run(RULES, probe(receiver))
    assert {
        result.id: str(result.finding.why) for result in results if result.finding.verdict != "pass"
    } == {}
    assert len(results) == len(RULES)


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_receiver_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    finding = await held(id, make())
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


@pytest.mark.parametrize(("id", "how", "make"), WARNERS, ids=[f"{id}: {how}" for id, how, _ in WARNERS])
async def test_what_costs_no_event_is_a_warning(id: str, how: str, make: Make) -> None:
    assert (await held(id, make())).verdict is Verdict.WARNING


def test_every_rule_has_a_receiver_that_breaks_it() -> None:
    assert {id for id, _, _ in BREAKERS} == set(BY_ID)


async def test_a_receiver_that_does_not_answer_at_all_fails_every_rule_but_that_of_encryption() -> None:
    async with TinyReceiver() as receiver:
        gone = probe(receiver)
    results = await run(RULES, gone)
    assert [result.id for result in results if result.finding.verdict != "fail"] == ["encryption"]


# -- certificates


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


async def encrypted(certificate: trustme.LeafCert, ca_file: str | None) -> Finding:
    async with TinyReceiver(tls=context(certificate)) as receiver:
        return await BY_ID["encryption"].check(probe(receiver, ca_file=ca_file))


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, str]:
    ca = trustme.CA()
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(file)
    return ca, str(file)


async def test_a_certificate_of_a_trusted_authority_passes(authority: tuple[trustme.CA, str]) -> None:
    ca, file = authority
    finding = await encrypted(ca.issue_cert("127.0.0.1"), file)
    assert finding.verdict is Verdict.PASS
    assert "TLSv1.3" in finding.why.en


async def test_a_certificate_of_an_unknown_authority_is_a_warning(authority: tuple[trustme.CA, str]) -> None:
    finding = await encrypted(authority[0].issue_cert("127.0.0.1"), None)
    assert finding.verdict is Verdict.WARNING


async def test_a_certificate_for_another_name_is_a_warning(authority: tuple[trustme.CA, str]) -> None:
    ca, file = authority
    assert (await encrypted(ca.issue_cert("example.org"), file)).verdict is Verdict.WARNING


async def test_a_certificate_that_has_expired_fails(authority: tuple[trustme.CA, str]) -> None:
    ca, file = authority
    yesterday = datetime.now(UTC) - timedelta(days=1)
    old = ca.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=9), not_after=yesterday)
    assert (await encrypted(old, file)).verdict is Verdict.FAIL


async def test_the_other_rules_do_not_mind_the_certificate(authority: tuple[trustme.CA, str]) -> None:
    async with TinyReceiver(tls=context(authority[0].issue_cert("example.org"))) as receiver:
        results = await run(RULES, probe(receiver))
    assert [result.id for result in results if result.finding.verdict != "pass"] == ["encryption"]


async def test_plain_http_to_another_machine_is_a_warning() -> None:
    far = Probe(Target.parse("http://receiver.example:8080/Record"), limits=LIMITS)
    assert (await BY_ID["encryption"].check(far)).verdict is Verdict.WARNING
