"""Faults of the field in what a fleet sends: repeatable, one event in twenty, and whole HTTP all the same."""

import random

from gatepost.dialect_faults.classes import CLASSES
from gatepost.simulator.engines.faulty import SEVERAL, SHARE, Faults, of_requests
from gatepost.simulator.engines.prepared import ImageTexts, RequestSeries
from gatepost.simulator.world.people import make_site
from gatepost.simulator.world.scenario import Plan, doors
from gatepost.terminal.push.target import take_apart
from gatepost.wire import Dialect

PLAN = Plan(seed=3, terminals=1, mix={Dialect.V1_3_0: 1}, faults=False)


def requests(count: int) -> list[bytes]:
    target = take_apart("http://127.0.0.1:8080/Record")
    (door,) = doors(PLAN)
    series = RequestSeries(PLAN, make_site(3, employees=4), door, target, gallery=ImageTexts())
    return [series.request(number) for number in range(count)]


def test_one_event_in_twenty_has_a_fault_and_always_the_same_one() -> None:
    faults = Faults(PLAN, "S")
    drawn = [faults.rng_of(number) is not None for number in range(4000)]
    assert abs(sum(drawn) / 4000 - SHARE) < 0.01
    assert drawn == [faults.rng_of(number) is not None for number in range(4000)]


def test_a_request_with_a_fault_is_whole_http_with_the_right_length() -> None:
    seen = set()
    for seed in range(300):
        name, request = of_requests(requests(100)[seed % 100 :][:1], random.Random(seed))
        head, _, body = request.partition(b"\r\n\r\n")
        seen.add(name)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        assert int(fields[b"content-length"]) == len(body)
        assert fields.get(b"content-type") == b"application/json" or name in (
            "other-content-type",
            "other-charset",
            SEVERAL,
        )
    assert len(seen) > len(CLASSES) - 3


def test_several_requests_become_one_with_all_their_events() -> None:
    three = requests(3)
    name, request = of_requests(three, random.Random(1))
    assert name == SEVERAL
    for one in three:
        assert one.partition(b"\r\n\r\n")[2] in request


def test_a_body_with_a_fault_is_the_same_each_time_and_most_have_none() -> None:
    faults = Faults(PLAN, "S")
    bodies = [request.partition(b"\r\n\r\n")[2] for request in requests(300)]
    spoilt = [faults.of_body(body) for body in bodies]
    assert spoilt == [faults.of_body(body) for body in bodies]
    assert 2 < sum(found is not None for found in spoilt) < 40
