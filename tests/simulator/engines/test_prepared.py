import re
from datetime import timedelta

import pytest

from gatepost.simulator.engines.prepared import ALARM_EVERY, ImageTexts, RequestSeries
from gatepost.simulator.world.people import make_site
from gatepost.simulator.world.scenario import DEFAULT_DAY, Plan, doors
from gatepost.terminal.push.target import take_apart
from gatepost.wire import Alarm, Dialect, Record, decode, key

TARGET = take_apart("http://127.0.0.1:8080/Record/some-token")


def series(plan: Plan) -> list[RequestSeries]:
    site, gallery = make_site(plan.seed, employees=6), ImageTexts()
    return [RequestSeries(plan, site, door, TARGET, gallery=gallery) for door in doors(plan)]


@pytest.fixture(scope="module")
def fleet() -> list[RequestSeries]:
    return series(Plan(seed=4, terminals=10))


def split(request: bytes) -> tuple[bytes, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    return head, body


def test_two_days_of_one_seed_have_no_event_in_common() -> None:
    found = []
    for day in (DEFAULT_DAY, DEFAULT_DAY + timedelta(days=1)):
        plan = Plan(seed=4, terminals=3, day=day, images=False, mix={Dialect.V1_3_0: 1})
        bodies = (one.request(number) for one in series(plan) for number in range(200))
        found.append(
            {name for body in bodies for name in re.findall(rb'"(?:uuid|trace_id)":"([^"]+)"', body)}
        )
    assert min(map(len, found)) > 300
    assert found[0] & found[1] == set()


def test_a_request_is_complete_http_with_the_right_length(fleet: list[RequestSeries]) -> None:
    for one in fleet:
        for number in (0, 1, ALARM_EVERY - 2, ALARM_EVERY - 1, 4_000_000_002):
            head, body = split(one.request(number))
            assert head.startswith(b"POST /Record/some-token HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            assert int(length[1]) == len(body)


def test_every_request_is_another_event_with_another_picture(fleet: list[RequestSeries]) -> None:
    keys: list[tuple[int, str]] = []
    pictures: list[bytes] = []
    for index, one in enumerate(fleet):
        for number in range(ALARM_EVERY * 2):
            event = decode(split(one.request(number))[1], lenient=True).event
            assert isinstance(event, Record | Alarm)
            keys.append((index, key(event)))
            if event.image:
                pictures.append(event.image)
    assert len(set(keys)) == len(keys)
    assert len(set(pictures)) == len(pictures) > len(keys) / 2


def test_the_same_seed_makes_the_same_requests_and_another_seed_others() -> None:
    one, same, other = (series(Plan(seed=seed, terminals=1, images=False))[0] for seed in (4, 4, 5))
    assert [one.request(number) for number in (7, 3)] == [same.request(number) for number in (7, 3)]
    assert one.request(7) != other.request(7)


def test_requests_are_in_the_dialect_of_the_door() -> None:
    for firmware in Dialect:
        plan = Plan(seed=4, terminals=1, mix={firmware: 1}, faults=False, images=False)
        head, body = split(series(plan)[0].request(0))
        assert decode(body).dialect is firmware
        assert (b"\r\nsn: SIM" in head) == (firmware in (Dialect.V1_2_1, Dialect.V1_3_0))


def test_alarms_come_in_pairs_that_occur_and_are_cleared() -> None:
    one = series(Plan(seed=4, terminals=1, mix={Dialect.V1_3_0: 1}, faults=False))[0]
    alarms = [decode(split(one.request(ALARM_EVERY - back))[1]).event for back in (2, 1)]
    assert [event.status for event in alarms if isinstance(event, Alarm)] == [1, 3]
    assert len({event.trace_id for event in alarms if isinstance(event, Alarm)}) == 1


def test_a_thousand_terminals_share_the_portraits() -> None:
    pieces = [
        piece
        for one in series(Plan(seed=4, terminals=60, faults=False))
        for template in one._passages
        for piece in template.pieces
        if len(piece) > 4096
    ]
    assert len(pieces) > 150
    assert len({id(piece) for piece in pieces}) <= 40


def test_the_base64_of_a_portrait_is_kept_once() -> None:
    gallery = ImageTexts()
    image = (
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(9) + b"\xff\xfe\x00\x0e" + bytes(12) + b"picture" * 100
    )
    other = image[:24] + b"another mark" + image[36:]
    first, second = gallery.text(image), gallery.text(other)
    assert first == second
    assert first[2] is second[2]
