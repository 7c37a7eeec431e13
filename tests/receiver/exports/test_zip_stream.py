"""The ZIP that is written in one go: every reader must be able to open it."""

import io
import random
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.receiver.exports import zip_stream as module
from gatepost.receiver.exports.zip_stream import Archive, packed

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=40)


def written(files: dict[str, bytes], table: bytes) -> bytes:
    pieces: list[bytes] = []
    with Archive() as archive:
        for name, data in files.items():
            pieces += archive.add(f"images/{name}", data)
        with packed(io.BytesIO(table)) as file:
            pieces += archive.add_file("records.csv", file)
        pieces += archive.end()
    return b"".join(pieces)


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=5), st.binary(max_size=3000))
def test_what_went_in_comes_out(files: dict[str, bytes], table: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(written(files, table))) as found:
        assert found.testzip() is None
        assert found.namelist() == [*(f"images/{name}" for name in files), "records.csv"]
        assert {name: found.read(f"images/{name}") for name in files} == files
        assert found.read("records.csv") == table


def test_the_table_is_deflated_and_images_are_as_they_are() -> None:
    found = zipfile.ZipFile(io.BytesIO(written({"1.jpg": b"x" * 5000}, b"a,b\n" * 5000)))
    image, table = found.infolist()
    assert image.compress_size == 5000
    assert table.compress_size < 1000
    assert table.external_attr >> 16 == 0o100644


def test_more_files_than_the_old_format_counts_can_be_read_too() -> None:
    with Archive() as archive:
        data = b"".join(piece for n in range(70_000) for piece in archive.add(f"{n}", b""))
        data += b"".join(archive.end())
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert len(found.namelist()) == 70_000
        assert found.read("69999") == b""


def test_files_beyond_four_gigabytes_are_where_the_directory_says() -> None:
    class Far(io.RawIOBase):
        """A file with a hole: bytes before ``begin`` are not there."""

        def __init__(self, begin: int, data: bytes) -> None:
            self.begin, self.data, self.place = begin, data, 0

        def seekable(self) -> bool:
            return True

        def readable(self) -> bool:
            return True

        def tell(self) -> int:
            return self.place

        def seek(self, offset: int, whence: int = 0) -> int:
            self.place = offset + (0, self.place, self.begin + len(self.data))[whence]
            return self.place

        def read(self, size: int = -1) -> bytes:
            start = self.place - self.begin
            assert start >= 0
            piece = self.data[start:] if size < 0 else self.data[start : start + size]
            self.place += len(piece)
            return piece

    begin = 5 << 30
    with Archive() as archive:
        archive._offset = begin
        data = b"".join([*archive.add("far.jpg", b"far away"), *archive.end()])
    with zipfile.ZipFile(Far(begin, data)) as found:  # type: ignore[arg-type] # it is file enough
        assert found.read("far.jpg") == b"far away"


def test_a_table_beyond_four_gigabytes_says_its_size_in_the_longer_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_FULL", 1000)
    table = random.Random(1).randbytes(5000)
    data = written({}, table)
    # The limit that was lowered for this test is in the fields that stand for "see the longer one".
    assert (1000).to_bytes(4, "little") * 2 in data
    data = data.replace((1000).to_bytes(4, "little") * 2, b"\xff" * 8)
    data = data.replace((1000).to_bytes(4, "little"), b"\xff" * 4)
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.read("records.csv") == table
