"""A link to an image says what it leads to, is nobody else's words, and is over when it says so."""

import pytest
from tests.forward.kit import Line, Told
from tests.store.conftest import Opener
from tests.store.events import JPEG, RECEIVED_MS, arrival, record
from tests.terminals import ensured

from gatepost.errors import SettingsError
from gatepost.forward.image_links import PATH, ImageLink, ImageLinks
from gatepost.forward.options.destination import decode

LINKS = ImageLinks("https://gatepost.example.com/in/", lambda: bytes(32))
LINK = ImageLink(event_id=17, destination_id=2, until=1_700_000_000)


def test_a_link_is_read_until_it_is_over() -> None:
    made = LINKS.make(LINK)
    assert made.startswith(f"https://gatepost.example.com/in{PATH}/17-2-1700000000-")
    text = made.rpartition("/")[2]
    assert LINKS.read(text, 1_699_999_999.9) == LINK
    assert LINKS.read(text, 1_700_000_000.0) is None


@pytest.mark.parametrize(
    ("part", "other"), [("17-", "18-"), ("-2-", "-3-"), ("1700000000", "1800000000"), ("17-", "017-")]
)
def test_a_changed_link_is_not_ours(part: str, other: str) -> None:
    text = LINKS.make(LINK).rpartition("/")[2]
    assert LINKS.read(text.replace(part, other, 1), 0) is None


def test_what_is_no_link_is_not_ours() -> None:
    text = LINKS.make(LINK).rpartition("/")[2]
    for other in ("", "17", "17-2-3-", text[:-1], f"{text}0", text.upper(), text.replace("17", "１７", 1)):
        assert LINKS.read(other, 0) is None
    assert ImageLinks("https://x.example", lambda: b"other").read(text, 0) is None


@pytest.mark.parametrize(
    "url",
    [
        "gatepost.example.com",
        "ftp://x",
        "https://",
        "https://u:p@x",
        "https://x?a",
        "https://x:0",
        "https://[",
    ],
)
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match="public_url"):
        ImageLinks(url, lambda: b"")


def test_without_an_address_no_link_is_made() -> None:
    with pytest.raises(SettingsError, match=r"images.*public_url"):
        ImageLinks("", lambda: b"").check()
    with pytest.raises(SettingsError, match="images"):
        decode({"kind": "webhook", "url": "https://x.example", "images": "link", "shape": "push"})


async def test_events_with_an_image_are_sent_a_link_and_others_none(open_store: Opener) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, images="link", image_link_s=60)
    store.write([arrival(record(1, image=JPEG)), arrival(record(2))])
    sink = Told()
    line.begin(sink)

    await line.turn(2)

    until = int(line.clock() + 60)
    first, second = sink.events
    assert f"{PATH}/{first.event_id}-{line.id}-{until}-".encode() in first.body
    assert PATH.encode() not in second.body
    assert (first.image, second.image) == (None, None)
