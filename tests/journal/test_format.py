"""A reader finds every whole frame of a segment, whatever became of the bytes between them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.errors import JournalCorrupt, JournalTooNew
from gatepost.journal import format as f

SEED = bytes(range(16))
bodies = st.lists(st.binary(max_size=200), max_size=12)


def written(framing: f.Framing, parts: list[bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    data, places = b"", []
    for body in parts:
        frame = framing.encode(f.EVENT, body)
        places.append((len(data), len(data) + len(frame)))
        data += frame
    return data, places


@given(bodies)
def test_what_is_written_is_read(parts: list[bytes]) -> None:
    framing = f.Framing(SEED)
    data, places = written(framing, parts)
    found = framing.scan(data, 1024, is_end=True)
    assert [frame.body for frame in found.frames] == parts
    assert [(frame.start - 1024, frame.end - 1024) for frame in found.frames] == places
    assert (found.gaps, found.end, found.needs) == ((), 1024 + len(data), 0)


@given(bodies, st.randoms(use_true_random=False))
def test_a_damage_costs_the_frames_that_it_touches(parts: list[bytes], rand: random.Random) -> None:
    framing = f.Framing(SEED)
    data, places = written(framing, parts)
    if not data:
        return
    start = rand.randrange(len(data))
    end = min(len(data), start + rand.randint(1, 40))
    damaged = data[:start] + bytes(255 - byte for byte in data[start:end]) + data[end:]
    found = framing.scan(damaged, 0, is_end=True)
    untouched = [body for body, (a, b) in zip(parts, places, strict=True) if b <= start or a >= end]
    assert [frame.body for frame in found.frames] == untouched
    touched = [(a, b) for a, b in places if not (b <= start or a >= end)]
    assert [(gap.start, gap.end) for gap in found.gaps] == [(touched[0][0], touched[-1][1])]
    assert found.end == len(data)


@given(bodies, st.integers(min_value=1, max_value=300))
def test_bytes_that_are_cut_out_or_put_in_cost_no_other_frame(parts: list[bytes], cut: int) -> None:
    framing = f.Framing(SEED)
    data, places = written(framing, [b"first", *parts, b"last"])
    cut = min(cut, places[-1][0] - 3)
    for damaged in (data[:3] + data[3 + cut :], data[:3] + b"\xff" * cut + data[3:]):
        found = framing.scan(damaged, 0, is_end=True)
        assert found.frames[-1].body == b"last"


@given(bodies, st.integers(min_value=1, max_value=500), st.booleans())
def test_in_stretches_it_is_the_same_as_at_once(parts: list[bytes], step: int, is_damaged: bool) -> None:
    framing = f.Framing(SEED)
    data, _ = written(framing, parts)
    if is_damaged and data:
        data = data[: len(data) // 2] + b"\0" * 20 + data[len(data) // 2 :]
    at, size, found = 0, step, []
    while at < len(data):
        end = min(len(data), at + size)
        scan = framing.scan(data[at:end], at, is_end=end == len(data))
        found += scan.frames
        assert scan.end > at or scan.needs > end - at, "it neither goes on nor says what it needs"
        at, size = scan.end, max(step, scan.needs)
    assert found == list(framing.scan(data, 0, is_end=True).frames)


@given(st.binary(max_size=100))
def test_a_frame_of_another_segment_is_none_here(body: bytes) -> None:
    """A body may hold whole segments: what a peer sends is never taken for a frame."""
    framing, other = f.Framing(SEED), f.Framing(bytes(16))
    inner = f.encode_header(f.Header(bytes(16), 1, bytes(16))) + other.encode(f.EVENT, body)
    data = framing.encode(f.EVENT, inner)
    assert [frame.body for frame in framing.scan(data, 0, is_end=True).frames] == [inner]
    torn = framing.scan(data[5:], 0, is_end=True)
    assert torn.frames == ()


@given(bodies, st.integers(min_value=1, max_value=5), st.integers(min_value=1, max_value=300))
def test_limits_stop_it_but_never_before_the_first(parts: list[bytes], most: int, size: int) -> None:
    framing = f.Framing(SEED)
    data, _ = written(framing, parts)
    found = framing.scan(data, 0, is_end=True, max_events=most, max_bytes=size)
    read = [frame.body for frame in found.frames]
    assert read == parts[: len(read)]
    assert len(read) <= most
    assert len(read) <= 1 or sum(map(len, read)) <= size
    if len(read) < min(most, len(parts)):
        assert sum(map(len, parts[: len(read) + 1])) > size


def test_a_length_beyond_all_sense_is_damage_and_no_wait() -> None:
    framing = f.Framing(SEED)
    head = bytearray(framing.encode(f.EVENT, b"body"))
    head[4:8] = (f.MAX_BODY + 1).to_bytes(4, "little")
    found = framing.scan(bytes(head) + framing.encode(f.EVENT, b"next"), 0, is_end=False)
    assert [frame.body for frame in found.frames] == [b"next"]
    with pytest.raises(ValueError, match="at most"):
        framing.encode(f.EVENT, b"\0" * (f.MAX_BODY + 1))


def test_a_commit_tells_how_far_and_something_else_tells_nothing() -> None:
    framing = f.Framing(SEED)
    data = b"".join(framing.encode(f.COMMIT, f.encode_commit(end)) for end in (5, 9, 7))
    frames = framing.scan(data + framing.encode(f.COMMIT, b"odd"), 0, is_end=True).frames
    assert f.last_commit(frames) == 9
    assert f.last_commit(()) == 0


@pytest.mark.parametrize("sector", [0, 1])
def test_a_header_outlives_a_damaged_sector(sector: int) -> None:
    header = f.Header(bytes(range(16)), 7, SEED)
    data = bytearray(f.encode_header(header))
    assert len(data) == f.HEADER_BYTES
    data[sector * 512 : sector * 512 + 512] = bytes(512)
    assert f.decode_header(bytes(data)) == header


def test_a_header_that_is_none_and_one_of_a_later_version() -> None:
    for data in (b"", b"\0" * f.HEADER_BYTES, b"SQLite format 3\0" * 64):
        with pytest.raises(JournalCorrupt):
            f.decode_header(data)
    header = f.Header(bytes(16), 1, SEED)
    later = f._HEADER.pack(b"gatepost", f.VERSION + 1, header.journal, header.number, header.seed)
    sector = (later + f._CHECK.pack(f.crc32(later))).ljust(512, b"\0")
    with pytest.raises(JournalTooNew, match="version 2"):
        f.decode_header(sector * 2)


PACK = f.PackHeader(bytes(range(16)), "people-20261129-1764452581000-00c0ffee-records-000001.pack")


@pytest.mark.parametrize("sector", [0, 1])
def test_a_header_of_a_pack_outlives_a_damaged_sector(sector: int) -> None:
    data = bytearray(f.encode_pack_header(PACK))
    assert len(data) == f.HEADER_BYTES
    data[sector * 512 : sector * 512 + 512] = bytes(512)
    assert f.decode_pack_header(bytes(data)) == PACK


def test_a_header_of_a_pack_that_is_none_and_one_of_a_later_version() -> None:
    segment = f.encode_header(f.Header(bytes(16), 1, SEED))
    for data in (b"", b"\0" * f.HEADER_BYTES, segment):
        with pytest.raises(JournalCorrupt, match="like a pack"):
            f.decode_pack_header(data)
    with pytest.raises(JournalCorrupt, match="like a segment"):
        f.decode_header(f.encode_pack_header(PACK))
    later = f._PACK_HEADER.pack(b"gatepack", f.VERSION + 1, PACK.journal, PACK.name.encode())
    with pytest.raises(JournalTooNew, match="version 2"):
        f.decode_pack_header((later + f._CHECK.pack(f.crc32(later))).ljust(512, b"\0") * 2)


@given(st.binary(max_size=300), st.binary(min_size=32, max_size=32), st.randoms(use_true_random=False))
def test_an_image_is_opened_by_its_own_key_whole_or_not_at_all(
    image: bytes, key: bytes, rand: random.Random
) -> None:
    data = f.encrypt(image, key)
    assert len(data) == len(image) + f.TAG_BYTES
    assert f.decrypt(data, key) == image
    at, bit = rand.randrange(len(data)), 1 << rand.randrange(8)
    assert f.decrypt(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], key) is None
    assert f.decrypt(data[: rand.randrange(len(data))], key) is None
    assert f.decrypt(data + b"\0", key) is None
    for other in (bytes(byte ^ 1 for byte in key), key[:16], b""):
        assert f.decrypt(data, other) is None
