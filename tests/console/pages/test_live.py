"""The live page and what its script asks for."""

import re
import time
from datetime import datetime

from tests.console.kit import Desk, Text
from tests.receiver.kit import alarm, record


def cards(answer: Text) -> list[str]:
    return re.findall(r'data-id="(\d+)"', answer.html)


async def test_the_page_has_the_latest_to_arrive_first(desk: Desk) -> None:
    for number in range(3):
        await desk.running.push(record(uuid=f"u-{number}", timestamp=1_685_343_715 - number))
    shown = cards(await desk.get("/"))
    assert shown == sorted(shown, key=int, reverse=True)
    assert len(shown) == 3


async def test_what_came_after_a_place_is_answered_once_with_the_place_to_go_on_from(desk: Desk) -> None:
    await desk.running.push(record(uuid="u-1"))
    first = await desk.get("/since?after=0", x_part="live")
    assert len(cards(first)) == 1
    place = first.headers["x-place"]
    assert cards(await desk.get(f"/since?after={place}", x_part="live")) == []
    await desk.running.push(record(uuid="u-2"))
    again = await desk.get(f"/since?after={place}", x_part="live")
    assert len(cards(again)) == 1
    assert cards(again) != cards(first)


async def test_after_a_long_absence_the_latest_are_shown_and_the_rest_is_counted(desk: Desk) -> None:
    for number in range(51):
        await desk.running.push(record(uuid=f"u-{number}"))
    answer = await desk.get("/since?after=0", x_part="live")
    assert len(cards(answer)) == 48
    assert "3 more arrived in the meantime." in answer.words


async def test_a_passage_is_shown_when_it_happened_and_when_it_was_delivered_later(desk: Desk) -> None:
    received = time.time()
    for number, ago in enumerate((5, 3600)):
        await desk.running.push(record(uuid=f"u-{number}", timestamp=int(received) - ago))
    later, at_once = re.findall(r'<p class="when">(.*?)</p>', (await desk.get("/")).html, re.DOTALL)
    moments = [re.findall(r'datetime="([^"]*)"', shown) for shown in (at_once, later)]
    assert [len(found) for found in moments] == [1, 2]
    happened, delivered = map(datetime.fromisoformat, moments[1])
    assert (delivered - happened).total_seconds() >= 3600
    assert later.index("<small>") > later.index("</time>")
    assert "delivered later" in later
    assert "补传" in (await desk.get("/", accept_language="zh")).html


async def test_open_alarms_come_along_until_they_are_cleared(desk: Desk) -> None:
    await desk.running.push(record())  # says which terminal pushes from here: an alarm has no serial
    await desk.running.push(alarm())
    assert "device tampered with" in (await desk.get("/since?after=0", x_part="live")).words
    await desk.running.push(alarm(status=3))
    assert "device tampered with" not in (await desk.get("/since?after=0", x_part="live")).words


async def test_a_place_that_is_none_is_refused(desk: Desk) -> None:
    assert (await desk.get("/since?after=-1", x_part="live")).status == 400
    assert (await desk.get("/since", x_part="live")).status == 400


async def test_the_number_of_open_alarms_is_as_new_as_the_alarms_beside_it(desk: Desk) -> None:
    await desk.get("/")  # which counts, for a while
    await desk.running.push(alarm())
    for path in ("/since?after=0", "/"):
        page = await desk.get(path)
        assert page.html.count('<article class="alarm') == 1
        assert 'data-badge="1"' in page.html
        assert "1 Open alarms" in page.words
    assert 'title="1 open alarm not acknowledged">1</b>' in page.html
