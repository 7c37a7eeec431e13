"""Events are pushed on as their terminals pushed them, and the reply means what it means to a terminal."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from tests.forward.kit import Line, hooked
from tests.forward.sinks.kit import LOOPBACK, Watched, eventually
from tests.receiver import tls
from tests.receiver.kit import JPEG, Process, alarm, base64, body, opened, receiving, record
from tests.store.events import RECEIVED_MS, arrival
from tests.store.events import record as stored
from tests.terminals import ensured

from gatepost.errors import SettingsError
from gatepost.forward.options.destination import decode
from gatepost.forward.options.filters import queries
from gatepost.forward.options.secrets import Secrets, decode_secrets
from gatepost.forward.sinks.receiver import UpperReceiver
from gatepost.forward.sinks.webhook import Webhook
from gatepost.forward.trial import Trial, send_test
from gatepost.receiver.http.server import Certificate
from gatepost.receiver.terminals.sources import token_digest
from gatepost.store.forwarding.destinations import Destinations
from gatepost.wire import SUCCESS, Delivered, Refused, Unreachable


@pytest.fixture
def line(make_line: Callable[..., Line]) -> Line:
    return make_line(kind="receiver", url="http://127.0.0.1/")


def sink(line: Line, url: str, *, token: str = "", **told: object) -> UpperReceiver:
    config = decode({"kind": "receiver", "url": url, **told})
    return UpperReceiver(config, decode_secrets({"token": token}), LOOPBACK, now=line.clock)


async def test_headers_say_whose_event_it_is_also_of_an_alarm(line: Line) -> None:
    line.passages(1)
    line.alarm("trace-1", terminal_id=2)
    async with hooked() as hook:
        hook.reply = lambda _: web.Response(body=SUCCESS)
        line.begin(sink(line, hook.url, token="of-the-upper-one"))
        await line.turn(2)
        await line.sink.close()

    pushed = {json.loads(text)["type"]: headers for headers, text in hook.requests}
    assert (pushed[0]["sn"], pushed[1]["sn"]) == ("SN-1", "SN-2")
    assert {headers["x-gatepost-token"] for headers in pushed.values()} == {"of-the-upper-one"}
    assert pushed[0]["timestamp"] == str(line.now_ms)
    assert "x-gatepost-backfilled" not in pushed[0]
    assert {headers["x-gatepost-timezone"] for headers in pushed.values()} == {"UTC"}
    assert line.ledger.delivered == 2


@pytest.mark.parametrize("kind", ["receiver", "webhook"])
async def test_a_record_that_was_fetched_from_a_history_is_flagged(
    make_line: Callable[..., Line], kind: str
) -> None:
    shape = {"shape": "push"} if kind == "webhook" else {}
    line = make_line(kind=kind, url="http://127.0.0.1/", **shape)
    line.passages(1)
    line.store.write([arrival(stored(2), alike=1)])
    async with hooked() as hook:
        hook.reply = lambda _: web.Response(body=SUCCESS)
        if kind == "receiver":
            line.begin(sink(line, hook.url))
        else:
            config = decode({"kind": "webhook", "url": hook.url, "shape": "push"})
            line.begin(Webhook(config, decode_secrets({}), LOOPBACK, now=line.clock))
        await line.turn(2)
        await line.sink.close()

    flagged = [headers.get("x-gatepost-backfilled") for headers, _ in hook.requests]
    assert flagged == [None, "1"]


@pytest.mark.parametrize(
    ("reply", "meaning"),
    [
        ((200, SUCCESS), Delivered),
        ((200, b'{"code":1001,"message":"no","data":{}}'), Refused),
        ((403, b'{"code":403,"message":"no","data":{}}'), Refused),
        ((200, b"<html>welcome</html>"), Unreachable),
        ((302, b""), Unreachable),
        ((503, b'{"code":503,"message":"later","data":{}}'), Unreachable),
        ((200, b'{"code":200}' + b" " * 100_000), Unreachable),
        (None, Unreachable),
    ],
)
async def test_a_reply_means_what_it_means_to_a_terminal(
    line: Line, reply: tuple[int, bytes] | None, meaning: type
) -> None:
    async with hooked() as hook:
        hook.reply = lambda _: None if reply is None else web.Response(status=reply[0], body=reply[1])

        line.passages(1)
        watched = Watched(sink(line, hook.url))
        line.begin(watched)
        await line.turn()
        await watched.close()

    assert [type(outcome) for outcome in watched.outcomes] == [meaning]


async def test_over_tls_only_a_receiver_that_is_trusted(line: Line, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = Certificate(*tls.write(authority, tmp_path))
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    numbers = line.passages(1, 2, 3)
    async with receiving(tmp_path / "upper", certificate=certificate) as upper:
        url = f"https://127.0.0.1:{upper.port}/Record"
        line.begin(sink(line, url))
        await line.turn()
        await line.sink.close()
        assert line.ledger.waiting == 3
        assert "certificate" in (line.row.failure or "")

        line.begin(sink(line, url, ca_file=str(trusted)))
        await line.turn(2)
        await line.sink.close()

        assert len(upper.records()) == len(numbers)


async def test_a_token_of_a_source_pushes_for_its_terminals_and_for_no_other(
    line: Line, tmp_path: Path
) -> None:
    line.passages(1)
    line.alarm("trace-1")
    line.passages(2, terminal_id=2)
    entry = f"lower {token_digest('of-the-lower-one').hex()} SN-1"
    async with receiving(tmp_path / "upper", require_token="always", source_tokens=(entry,)) as upper:
        watched = Watched(sink(line, f"http://127.0.0.1:{upper.port}/Record", token="of-the-lower-one"))
        line.begin(watched)
        await line.turn(2)
        await watched.close()

        assert [row.serial for row in upper.records()] == ["SN-1"]
        assert [row.serial for row in upper.alarms()] == ["SN-1"]
    (refused,) = [outcome for outcome in watched.outcomes if not isinstance(outcome, Delivered)]
    assert isinstance(refused, Refused)
    assert "the source lower may not push for the serial SN-2" in refused.reason


async def test_a_token_of_a_site_pushes_for_the_terminals_that_were_moved_there(tmp_path: Path) -> None:
    entry = f"lower {token_digest('of-the-lower-one').hex()} site:2"
    async with receiving(tmp_path / "upper", source_tokens=(entry,)) as upper:
        ensured(upper.store, "SN-1", now_ms=RECEIVED_MS)
        assert upper.store.create_site("Hamburg", "Europe/Berlin", now_ms=RECEIVED_MS).id == 2
        await upper.desk.table.refresh()

        async def pushed(uuid: str) -> int:
            headers = {"sn": "SN-1", "X-Gatepost-Token": "of-the-lower-one"}
            return (await upper.push(record(uuid=uuid), headers=headers)).status

        assert await pushed("u-1") == 403
        moved = await upper.request("PATCH", "/api/v1/terminals/1", b'{"site_id": 2}')
        assert moved.status == 200, moved.body
        assert await pushed("u-2") == 200


async def test_a_test_asks_about_a_terminal_that_there_is_and_leaves_nothing_behind(
    line: Line, tmp_path: Path
) -> None:
    entry = f"lower {token_digest('of-the-lower-one').hex()} SN-1"
    sites = line.store.sites()
    asked = queries(decode(line.row.config).filter, sites)[:2]
    assert line.destinations.latest_serial(asked) is None
    line.passages(1)
    line.passages(2, terminal_id=2)
    line.alarm("trace-1")
    serial = line.destinations.latest_serial(asked)
    assert serial == "SN-2"
    async with receiving(tmp_path / "upper", require_token="always", source_tokens=(entry,)) as upper:

        async def tried(serial: str | None, token: str) -> Trial:
            made = sink(line, f"http://127.0.0.1:{upper.port}/Record", token=token)
            told = decode(line.row.config)
            return await send_test(
                made, told, Secrets(), source="x", now=line.clock, monotonic=line.clock, serial=serial
            )

        good = await tried("SN-1", "of-the-lower-one")
        assert (good.outcome, "nothing of it is stored" in good.reply) == ("delivered", True)
        other = await tried(serial, "of-the-lower-one")
        assert (other.outcome, "may not push for the serial SN-2" in other.reply) == ("refused", True)
        assert (await tried("SN-1", "wrong")).outcome == "refused"
        with pytest.raises(SettingsError, match="push one first"):
            await tried(None, "of-the-lower-one")
        assert (await upper.request("GET", "/api/v1/terminals")).json["items"] == []
        stats = (await upper.request("GET", "/api/v1/stats")).json
        assert (stats["records"], stats["alarms"], stats["quarantined"]) == (0, 0, 0)


def forwards_to(folder: Path, port: int) -> None:
    """Make a data folder that forwards to a receiver on loopback."""
    with closing(opened(folder)) as store:
        config = json.dumps({"kind": "receiver", "url": f"http://127.0.0.1:{port}/Record"}).encode()
        Destinations(store).create("upper", "receiver", config, b"{}", now_ms=0)


async def test_two_receivers_list_the_same_also_through_an_outage_of_the_upper_one(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_FORWARD_NETWORKS", "127.0.0.0/8")
    images = {f"uuid-{number}": JPEG + bytes([number]) * 2000 for number in range(40)}
    forwards_to(tmp_path / "lower", unused_tcp_port)
    lower = await Process.start(tmp_path / "lower")
    upper = await Process.start(tmp_path / "upper", port=unused_tcp_port)
    try:
        sender = await lower.connect()

        async def push(numbers: range) -> None:
            for number in numbers:
                uuid, serial = f"uuid-{number}", f"SN-{number % 3}"
                event = record(uuid=uuid, deviceSN=serial, rgb_image=base64(images[uuid]))
                assert (await sender.request("POST", "/Record", body(event))).status == 200
                event = alarm(trace_id=f"trace-{number}", alarm_photo="")
                assert (await sender.request("POST", "/Record", body(event), {"sn": serial})).status == 200

        await push(range(15))
        await upper.kill()
        await push(range(15, 30))
        upper = await Process.start(tmp_path / "upper", port=unused_tcp_port)
        await push(range(30, 40))

        async def is_there() -> bool:
            stats = (await upper.request("GET", "/api/v1/stats")).json
            return bool(stats["records"] == 40 and stats["alarms"] == 40)

        await eventually(is_there)
        for listed in await upper.everything():
            image = await upper.request("GET", listed["image"])
            assert image.body == images[listed["uuid"]]
            assert listed["terminal"] == f"SN-{int(listed['uuid'][5:]) % 3}"
        whose = {one["trace_id"]: one["terminal"] for one in await upper.everything("alarms")}
        assert whose == {f"trace-{number}": f"SN-{number % 3}" for number in range(40)}
    finally:
        await lower.kill()
        await upper.kill()
