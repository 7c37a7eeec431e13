"""Events are published to a stream of a real server, once each, and its word decides, never a time-out."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
import trustme
from nats.js.api import DiscardPolicy, StreamConfig
from tests.forward.kit import Line
from tests.forward.sinks.brokers import Broker, nats_server, running
from tests.forward.sinks.kit import LOOPBACK, Watched, deliver
from tests.receiver import tls
from tests.receiver.kit import PATIENCE_S, until

from gatepost import wire
from gatepost.egress import Egress
from gatepost.errors import SettingsError
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.sinks.nats import Nats
from gatepost.wire import Delivered, Refused, Unreachable


@pytest.fixture
def line(make_line: Callable[..., Line]) -> Line:
    return make_line(kind="nats", url="nats://127.0.0.1")


@pytest_asyncio.fixture
async def broker(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Broker]:
    async with running(nats_server(tmp_path, unused_tcp_port)) as broker:
        yield broker


def sink(
    port: int,
    *,
    secrets: dict[str, str] | None = None,
    egress: Egress = LOOPBACK,
    scheme: str = "nats",
    **told: Any,
) -> Watched:
    config = decode({"kind": "nats", "url": f"{scheme}://127.0.0.1:{port}", **told})
    return Watched(Nats(config, decode_secrets(secrets or {}), egress))


async def connected(port: int, **options: Any) -> Any:
    """Connect; the library's own two seconds are too few for a busy machine."""
    return await nats.connect(
        f"nats://127.0.0.1:{port}", allow_reconnect=False, connect_timeout=int(PATIENCE_S), **options
    )


@asynccontextmanager
async def client(port: int, **options: Any) -> AsyncIterator[Any]:
    made = await connected(port, **options)
    try:
        yield made.jetstream(timeout=PATIENCE_S)
    finally:
        await made.close()


async def make_stream(port: int, **config: Any) -> None:
    async with client(port) as js:
        await js.add_stream(StreamConfig(name="EVENTS", **{"subjects": ["gatepost.>"], **config}))


async def stored(port: int) -> list[Any]:
    """Every message of the stream, in order."""
    async with client(port) as js:
        count = (await js.stream_info("EVENTS")).state.messages
        return [await js.get_msg("EVENTS", seq) for seq in range(1, count + 1)]


async def test_each_event_is_in_the_stream_once_also_when_it_is_sent_again(
    line: Line, broker: Broker
) -> None:
    await make_stream(broker.port)
    numbers = line.passages(*range(40))
    line.alarm("trace-1", terminal_id=2)
    first = line.begin(sink(broker.port))
    await first.once()  # claimed and committed
    while first._ready:
        await first._send(first._ready.popleft())
    await first.close()  # and killed before it was told what came of it
    line.begin(sink(broker.port))

    await line.turn(2)
    await line.sink.close()

    messages = await stored(broker.port)
    ids = [message.headers["Gatepost-Id"] for message in messages]
    assert sorted(ids) == sorted([f"record-{number}" for number in numbers] + ["alarm-41"])
    assert {message.subject for message in messages} == {"gatepost.SN-1.record", "gatepost.SN-2.alarm"}
    assert json.loads(messages[0].data)["id"] == ids[0]
    assert line.ledger.delivered == 41


async def test_a_server_that_is_killed_with_events_in_flight_gets_all_of_them(
    line: Line, broker: Broker
) -> None:
    await make_stream(broker.port)
    watched = sink(broker.port)
    line.passages(*range(10))
    line.begin(watched)
    await line.turn()
    broker.freeze()
    line.passages(*range(10, 20))
    turning = asyncio.create_task(line.turn())
    await until(lambda: watched.began == 11)
    await broker.kill()
    await turning
    assert isinstance(watched.outcomes[-1], Unreachable)

    await broker.start()
    line.clock.at += 120
    await line.turn(4)
    await watched.close()

    assert len(await stored(broker.port)) == 20
    assert line.ledger.delivered == 20


async def test_a_server_that_hangs_says_nothing_about_an_event(line: Line, broker: Broker) -> None:
    await make_stream(broker.port)
    watched = sink(broker.port, timeout_s=1)
    line.passages(1)
    line.begin(watched)
    await deliver(line, watched)
    broker.freeze()
    line.passages(2)

    await line.turn()
    await watched.close()

    assert watched.outcomes[-2:] == [Delivered(), Unreachable("no acknowledgement within 1 s")]
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_without_a_stream_events_wait_until_there_is_one(line: Line, broker: Broker) -> None:
    line.passages(1)
    watched = sink(broker.port)
    line.begin(watched)
    await line.turn()
    assert watched.outcomes == [
        Unreachable("no stream takes the subject gatepost.SN-1.record; make one that does")
    ]

    await make_stream(broker.port)
    line.clock.at += 60
    await line.turn(2)
    await watched.close()
    assert line.ledger.delivered == 1


async def test_what_replies_and_is_no_stream_has_stored_nothing(line: Line, broker: Broker) -> None:
    line.passages(1)
    watched = sink(broker.port)
    line.begin(watched)
    listener = await connected(broker.port)

    async def reply(message: Any) -> None:
        await message.respond(b"{}")

    await listener.subscribe("gatepost.>", cb=reply)
    await listener.flush(int(PATIENCE_S))
    await line.turn()
    await watched.close()
    await listener.close()

    assert watched.outcomes == [Unreachable("what replies to the subject gatepost.SN-1.record is no stream")]
    assert line.ledger.waiting == 1


async def test_a_full_stream_refuses_nothing(line: Line, broker: Broker) -> None:
    await make_stream(broker.port, max_msgs=1, discard=DiscardPolicy.NEW)
    line.passages(1, 2)
    watched = sink(broker.port)
    line.begin(watched)
    await line.turn(2)
    await watched.close()

    assert watched.outcomes == [Delivered(), Unreachable("error 10077: maximum messages exceeded")]


async def test_an_event_that_is_too_large_is_a_refusal_and_holds_up_no_other(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    line.passages(1)
    line.passages(2, user=wire.User(user_id="2", name="x" * 3000))
    line.passages(3, user=wire.User(user_id="3", name="x" * 9000))
    line.passages(4)
    watched = sink(unused_tcp_port)
    async with running(nats_server(tmp_path, unused_tcp_port, ["max_payload: 8KB"])):
        await make_stream(unused_tcp_port, max_msg_size=3000)
        line.begin(watched)
        await line.turn(2)
        await watched.close()

    assert watched.outcomes == [
        Delivered(),
        Refused("error 10054: message size exceeds maximum allowed"),
        Refused("larger than the server takes: 8,192 bytes"),
        Delivered(),
    ]


async def test_a_subject_that_is_forbidden_is_a_refusal_and_holds_up_no_other(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    users = (
        "authorization: {users: [{user: all, password: all}, {user: one, password: secret-1, permissions:"
        ' {publish: {deny: ["gatepost.SN-2.>"]}}}]}'
    )
    line.passages(1, 2)
    line.passages(3, terminal_id=2)
    watched = sink(unused_tcp_port, secrets={"username": "one", "password": "secret-1"})
    async with running(nats_server(tmp_path, unused_tcp_port, [users])):
        async with client(unused_tcp_port, user="all", password="all") as js:
            await js.add_stream(name="EVENTS", subjects=["gatepost.>"])
        line.begin(watched)
        await line.turn(2)
        await watched.close()

    (refused,) = [outcome for outcome in watched.outcomes if not isinstance(outcome, Delivered)]
    assert refused == Refused("not authorized: the user may not publish to gatepost.SN-2.record")
    assert line.ledger.delivered == 2


async def test_a_wrong_password_is_said_and_refuses_no_event(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    users = "authorization: {user: one, password: right}"
    line.passages(1)
    watched = sink(unused_tcp_port, secrets={"username": "one", "password": "wrong-1234"})
    async with running(nats_server(tmp_path, unused_tcp_port, [users])):
        line.begin(watched)
        await line.turn()
        await watched.close()

    (outcome,) = watched.outcomes
    assert isinstance(outcome, Unreachable)
    assert "Authorization" in outcome.reason
    assert "wrong-1234" not in outcome.reason


async def test_over_tls_only_a_server_that_is_trusted(
    line: Line, tmp_path: Path, unused_tcp_port: int
) -> None:
    authority = trustme.CA()
    certificate, key = tls.write(authority, tmp_path)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    line.passages(1)
    lines = [f'tls: {{cert_file: "{certificate}", key_file: "{key}"}}']
    async with running(nats_server(tmp_path, unused_tcp_port, lines)):
        stranger = sink(unused_tcp_port, scheme="tls")
        line.begin(stranger)
        await line.turn()
        await stranger.close()
        (outcome,) = stranger.outcomes
        assert isinstance(outcome, Unreachable)
        assert "certificate" in outcome.reason

        known = sink(unused_tcp_port, scheme="tls", ca_file=str(trusted))
        line.begin(known)
        await line.turn()
        await known.close()
        (outcome,) = known.outcomes
        assert isinstance(outcome, Unreachable)
        assert "no stream" in outcome.reason


async def test_no_connection_goes_where_none_may(line: Line, broker: Broker) -> None:
    line.passages(1)
    watched = sink(broker.port, egress=Egress(["10.0.0.0/8"]))
    line.begin(watched)
    await line.turn()
    await watched.close()

    (outcome,) = watched.outcomes
    assert isinstance(outcome, Unreachable)
    assert "forward_networks" in outcome.reason


@pytest.mark.parametrize("subject", ["gate.>", "gate..{id}", "gate.{person}", "two words"])
def test_a_subject_that_cannot_be_is_named(subject: str) -> None:
    with pytest.raises(SettingsError, match=r"nats\.subject"):
        decode({"kind": "nats", "url": "nats://broker.example", "nats": {"subject": subject}})
