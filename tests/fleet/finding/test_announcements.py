"""What terminals announce, from packets as they were seen on a network, and from hostile ones."""

from __future__ import annotations

import random
import sys

import pytest

from gatepost.egress import PRIVATE, Egress
from gatepost.fleet.finding.announcements import MAX_FOUND, Announced, Announcements, DiscoveryUnavailable

ALLOWS = Egress(PRIVATE).allows

ANNOUNCED = bytes.fromhex(
    # TXT, SRV and A of sensetime._http._tcp.local: sn=AB, model=M, port 8000, 192.168.1.7
    "0000840000000003000000000973656e736574696d65055f68747470045f746370056c6f63616c0000100001"
    "00000078000e05736e3d4142076d6f64656c3d4dc00c0021000100000078000d000000001f4004646f6f72c0"
    "21c05200010001000000780004c0a80107"
)


def name(text: str) -> bytes:
    labels = [label.encode() for label in text.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def answer(owner: str, kind: int, data: bytes) -> bytes:
    return (
        name(owner)
        + kind.to_bytes(2, "big")
        + b"\0\x01"
        + b"\0\0\0\x78"
        + len(data).to_bytes(2, "big")
        + data
    )


def packet(*answers: bytes, flags: int = 0x8400) -> bytes:
    head = bytes(2) + flags.to_bytes(2, "big") + bytes(2) + len(answers).to_bytes(2, "big") + bytes(4)
    return head + b"".join(answers)


def text(*entries: bytes, owner: str = "sensetime.local") -> bytes:
    return answer(owner, 16, b"".join(bytes([len(entry)]) + entry for entry in entries))


def found(*packets: bytes, peer: str = "192.168.1.50") -> list[Announced]:
    announcements = Announcements(allows=ALLOWS)
    for one in packets:
        announcements.take(one, peer)
    return announcements.found()


def test_a_terminal_is_found_where_it_announces_itself() -> None:
    assert found(ANNOUNCED, ANNOUNCED) == [
        Announced(serial="AB", model="M", address="https://192.168.1.7:8000")
    ]


def test_without_an_address_it_is_where_the_packet_came_from() -> None:
    assert found(packet(text(b"sn=AB", b"model=M"))) == [
        Announced(serial="AB", model="M", address="https://192.168.1.50:8000")
    ]


def test_one_serial_may_be_announced_at_two_addresses() -> None:
    one = packet(text(b"sn=AB"))
    announcements = Announcements(allows=ALLOWS)
    for peer in ("10.0.0.1", "10.0.0.2"):
        announcements.take(one, peer)
    assert [each.address for each in announcements.found()] == [
        "https://10.0.0.1:8000",
        "https://10.0.0.2:8000",
    ]


@pytest.mark.parametrize(
    ("what", "at"),
    [
        ("the credentials of a cloud", bytes([169, 254, 169, 254])),
        ("this machine", bytes([127, 0, 0, 1])),
        ("multicast", bytes([224, 0, 0, 251])),
        ("this machine, as IPv6", bytes(15) + b"\1"),
    ],
)
def test_an_address_to_which_no_request_may_go_is_not_taken(what: str, at: bytes) -> None:
    service = answer("sensetime.local", 33, b"\0\0\0\0" + (9000).to_bytes(2, "big") + name("door.local"))
    hostile = packet(text(b"sn=AB"), service, answer("door.local", 28 if len(at) == 16 else 1, at))
    assert [each.address for each in found(hostile)] == ["https://192.168.1.50:9000"], what
    nowhere = Announcements(allows=ALLOWS)
    nowhere.take(packet(text(b"sn=AB")), "127.0.0.1")
    assert (nowhere.found(), nowhere.elsewhere) == ([], 1)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [b"sn="],
        [b"sn"],
        [b"=AB"],
        [b"sn=\xff\xfe"],
        [b"sn=" + b"A" * 129],
        [b"sn=A\x1b[2JB"],
        [b"sn=A\nB"],
        [b"model=M"],
        [b"s\xffn=AB"],
    ],
)
def test_an_announcement_without_a_serial_that_can_be_shown_is_none(entries: list[bytes]) -> None:
    assert found(packet(text(*entries))) == []


def test_the_first_entry_of_a_name_counts_and_a_model_that_cannot_be_shown_is_left_out() -> None:
    assert found(packet(text(b"SN= AB ", b"sn=CD", b"model=<b>\x07</b>", b"model=M"))) == [
        Announced(serial="AB", model="", address="https://192.168.1.50:8000")
    ]


def test_an_entry_that_claims_more_than_there_is_ends_with_the_record() -> None:
    assert found(packet(answer("sensetime.local", 16, b"\xffsn=AB"))) == [
        Announced(serial="AB", model="", address="https://192.168.1.50:8000")
    ]


def test_other_services_and_questions_are_none() -> None:
    assert found(packet(text(b"sn=AB", owner="printer._ipp._tcp.local"))) == []
    assert found(packet(text(b"sn=AB"), flags=0)) == []


def test_what_is_no_dns_is_counted_and_never_raises() -> None:
    announcements = Announcements(allows=ALLOWS)
    rand = random.Random(5)
    loop = b"\0\0\x84\0\0\0\0\1\0\0\0\0" + b"\xc0\x0c" + b"\0\x10\0\1\0\0\0\x78\0\0"
    hostile = [b"", b"\0" * 11, b"\xff" * 9000, loop]
    for _ in range(2000):
        spoiled = bytearray(ANNOUNCED)
        for _ in range(rand.randint(1, 8)):
            spoiled[rand.randrange(len(spoiled))] = rand.randrange(256)
        hostile += [bytes(spoiled), bytes(spoiled[: rand.randrange(len(spoiled))])]
    for one in hostile:
        announcements.take(one, "192.168.1.50")
    assert announcements.unreadable > 100
    for each in announcements.found():
        assert each.serial.isprintable()
        assert len(each.serial) <= 128


def test_a_flood_of_announcements_is_bounded() -> None:
    announcements = Announcements(allows=ALLOWS)
    for number in range(MAX_FOUND + 10):
        announcements.take(packet(text(b"sn=%d" % number)), "192.168.1.50")
    assert len(announcements.found()) == MAX_FOUND


def test_a_missing_library_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(DiscoveryUnavailable, match=r"extra \[discovery\]"):
        Announcements(allows=ALLOWS)
