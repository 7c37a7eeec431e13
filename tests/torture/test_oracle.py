import base64
import json
import random

from gatepost.torture.oracle import Fate, Oracle, digest, name_of
from gatepost.wire import Alarm, Record, decode


def oracle(seed: int = 3) -> Oracle:
    return Oracle(random.Random(seed), lambda: 1_700_000_000.5)


def test_every_line_is_an_event_of_the_page_and_known_before_it_is_sent() -> None:
    made = oracle()
    kinds = set()
    for number in range(400):
        name, line = made.next(number % 3)
        event = decode(line).event
        assert isinstance(event, Record | Alarm)
        kinds.add(type(event))
        issued = made.issued[name]
        assert made.fates[name] is Fate.UNKNOWN
        assert name_of(json.loads(line)["data"]) == name
        assert (None if event.image is None else digest(event.image)) == issued.image
    assert kinds == {Record, Alarm}


def test_the_same_seed_issues_the_same_and_no_two_events_are_one() -> None:
    one, other = oracle(), oracle()
    assert [one.next(0) for _ in range(200)] == [other.next(0) for _ in range(200)]
    assert len(one.issued) == 200


def test_the_steps_of_an_alarm_are_issued_in_order_by_one_terminal() -> None:
    made = oracle()
    steps: dict[str, list[tuple[int, int]]] = {}
    for number in range(2000):
        name, _ = made.next(number % 3)
        issued = made.issued[name]
        if "trace_id" in issued.data:
            steps.setdefault(issued.data["trace_id"], []).append((issued.terminal, issued.data["status"]))
    assert len(steps) > 10
    for taken in steps.values():
        assert [status for _, status in taken] == list(range(1, len(taken) + 1))
        assert len({terminal for terminal, _ in taken}) == 1


def test_images_differ_so_that_a_mixed_up_one_is_noticed() -> None:
    made = oracle()
    images = [json.loads(made.next(0)[1])["data"].get("rgb_image", " ") for _ in range(300)]
    portraits = [base64.b64decode(image) for image in images if image.strip()]
    assert len(portraits) > 30
    assert len({digest(image) for image in portraits}) == len(portraits)


def test_a_fate_is_remembered_as_it_was_told() -> None:
    made = oracle()
    names = [made.next(0)[0] for _ in range(3)]
    made.settle(names[0], Fate.ACCEPTED)
    made.settle(names[1], Fate.REFUSED)
    assert [made.names(fate) for fate in (Fate.ACCEPTED, Fate.REFUSED, Fate.UNKNOWN)] == [
        {name} for name in names
    ]
