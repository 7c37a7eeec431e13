"""How a push reaches a receiver: each rule held against a receiver that breaks it."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from tests.conformance.receiver.kit import BY_ID, LIMITS, PATIENT, Make, held, probe, saying
from tests.conformance.rules_of import rules_of
from tests.conformance.tiny_receiver import BAD, Push, TinyReceiver, good, refusing, reply

from gatepost.conformance.raw_http import Target
from gatepost.conformance.receiver import transport
from gatepost.conformance.receiver.probe import Probe
from gatepost.conformance.rule import Finding, Verdict

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


def image_over(size: int) -> TinyReceiver:
    return TinyReceiver(refusing(lambda push: len(push.body) > size))


BREAKERS: tuple[tuple[str, str, Make], ...] = (
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
    ("expect-continue", "lets it wait", NoGoAhead),
    ("keep-alive", "hangs up and says so", lambda: saying({"code": 200}, 200, "Connection: close")),
    ("many-at-once", "asks for patience", lambda: saying({"code": 503}, 503, "Retry-After: 1")),
)  # fmt: skip


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_receiver_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    finding = await held(id, make())
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


@pytest.mark.parametrize(("id", "how", "make"), WARNERS, ids=[f"{id}: {how}" for id, how, _ in WARNERS])
async def test_what_costs_no_event_is_a_warning(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), limits=PATIENT)
    assert finding.verdict is Verdict.WARNING, finding.why


def test_every_rule_here_has_a_receiver_that_breaks_it() -> None:
    assert {id for id, _, _ in BREAKERS} == rules_of(transport)


# -- certificates


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


async def encrypted(certificate: trustme.LeafCert, ca_file: str | None) -> Finding:
    async with TinyReceiver(tls=context(certificate)) as receiver:
        return await BY_ID["encryption"].check(probe(receiver, limits=PATIENT, ca_file=ca_file))


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


async def test_plain_http_to_another_machine_is_a_warning() -> None:
    far = Probe(Target.parse("http://receiver.example:8080/Record"), limits=LIMITS)
    assert (await BY_ID["encryption"].check(far)).verdict is Verdict.WARNING
