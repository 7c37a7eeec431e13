"""A bucket for packs: anything that speaks the S3 protocol, through obstore.

Rules:

* A pack is put there in one request, under the condition that there is none of its name (``If-None-Match: *``), and is
  whole there before it may be deleted here: size and MD5 as the bucket tells them, or, where that is no MD5 (a bucket
  that encrypts), read back and compared.
* An image is one range read. What was read last is kept in memory, encrypted as it is there.
* That the bucket is away is a ``ConnectionError``. Nothing waits for it longer than :data:`READ_S`, a pack of more than
  :data:`SMALL` bytes no longer than :data:`PUT_S`.

Endpoint, region and keys come from the environment, in the variables that other programs for S3 use (``AWS_*``).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatepost.errors import SettingsError
from gatepost.journal.packs.archive import OpenPack, data_of
from gatepost.journal.packs.files import STEP, Pack, as_pack

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["CACHE_BYTES", "MARKER", "Bucket"]

MARKER = "gatepost"
"""The file or object that says of which database the packs of an archive are."""

CACHE_BYTES = 32 * 1024 * 1024
"""Bytes of images that are kept in memory, so that a page that is looked at again asks for nothing."""

READ_S, PUT_S = 20.0, 600.0
"""Seconds that a request may take, connecting included; the second is for the transfer of a large pack."""

SMALL = 2_000_000
"""Bytes of a pack that need no more time than a read: pushes may wait for it."""

CONNECT_S = 3.0

_LISTED_S = 300.0
"""Seconds for which the sum of all sizes is used again."""


class Bucket:
    """Packs in a bucket, below a prefix; as :class:`~gatepost.journal.packs.archive.Archive` says."""

    def __init__(
        self,
        url: str,
        *,
        mine: str = "",
        cache_bytes: int = CACHE_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``url``: ``s3://BUCKET/PREFIX``. ``mine``: says of which database the packs in it are.

        Raises :class:`~gatepost.errors.SettingsError`.
        """
        self.url = url
        self._mine = mine
        self._is_claimed = False
        self._reads = _store(url, READ_S)
        self._puts = _store(url, PUT_S)
        self._cache = _Cache(cache_bytes)
        self._monotonic = monotonic
        self._listed = (-_LISTED_S, 0)

    def claim(self) -> None:
        """Take the bucket for the packs of a store. Raises ``OSError`` for one of another database."""
        import obstore

        if self._is_claimed or not self._mine:
            return
        content = self._mine
        with _told(self.url):
            try:
                obstore.put(self._reads, MARKER, self._mine.encode(), mode="create", use_multipart=False)
            except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError):
                content = bytes(obstore.get(self._reads, MARKER).bytes()).decode("ascii", "replace")
        if content != self._mine:
            raise PermissionError(None, f"{self.url} has images of another database; name another prefix")
        self._is_claimed = True

    def all(self, kind: str = "", before: date | None = None) -> list[Pack]:
        return [pack for pack, _ in self.changed(kind, before)]

    def changed(self, kind: str = "", before: date | None = None) -> Iterator[tuple[Pack, datetime]]:
        """Yield packs as :meth:`all` does, each with the moment at which it was put there."""
        import obstore

        with _told(self.url):
            for page in obstore.list(self._reads, offset=f"{kind}-" if kind else None):
                for item in page:
                    pack = as_pack(item["path"], item["size"])
                    if pack is None:
                        continue
                    # They come in the order of their names: kind, day, age.
                    if kind and (pack.kind != kind or (before is not None and pack.day >= before)):
                        return
                    if before is None or pack.day < before:
                        yield pack, item["last_modified"].astimezone(UTC)

    def disk_bytes(self) -> int:
        at, total = self._listed
        if self._monotonic() - at >= _LISTED_S:
            total = sum(pack.disk_bytes for pack in self.all())
            self._listed = self._monotonic(), total
        return total

    def open(self, name: str) -> OpenPack:
        import obstore

        with _told(self.url):
            size = obstore.head(self._reads, name)["size"]
        return _Remote(self, name, size)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return bytes of a pack that has so many. Raises ``OSError``."""
        found = self._cache.get((name, offset, length))
        if found is None:
            found = self._fetch(name, offset, length)
            self._cache.put((name, offset, length), found)
        return found

    def _fetch(self, name: str, offset: int, length: int) -> bytes:
        import obstore

        with _told(self.url):
            return bytes(obstore.get_range(self._reads, name, start=offset, length=length))

    def put(self, name: str, source: int) -> None:
        import obstore

        self.claim()
        size = os.fstat(source).st_size
        with mmap.mmap(source, size, access=mmap.ACCESS_READ) as content:
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            try:
                with _told(self.url):
                    store = self._reads if size <= SMALL else self._puts
                    obstore.put(store, name, content, mode="create", use_multipart=False)
            except FileExistsError:
                pass  # an earlier attempt was cut off after it was stored
        with _told(self.url):
            there = obstore.head(self._reads, name)
        etag = (there["e_tag"] or "").strip('"').removeprefix('W/"').lower()
        if there["size"] != size or (etag != digest and not self._is_same(name, source)):
            raise OSError(
                None,
                f"the bucket has another pack {name} than this receiver: delete the one of them that is damaged"
                " (`gatepost check-store` reads both)",
            )

    def _is_same(self, name: str, source: int) -> bool:
        """Return whether a pack has the bytes of a file, but for zeros: what was erased here may be there still."""
        for start, end in data_of(source):
            for at in range(start, end, STEP):
                length = min(STEP, end - at)
                there, here = self._fetch(name, at, length), os.pread(source, length, at)
                if there != here and any(a != b and b for a, b in zip(there, here, strict=True)):
                    return False
        return True

    def remove(self, names: Sequence[str]) -> None:
        import obstore

        self.claim()
        with _told(self.url):
            for name in names:
                with suppress(FileNotFoundError):
                    obstore.delete(self._reads, name)

    def punch(self, name: str, stretches: Iterable[tuple[int, int]]) -> None:
        """Do nothing: the key of what was erased is gone, and its bytes leave with the pack."""

    def take_along(self) -> int:
        return 0


class _Remote:
    """A pack in a bucket."""

    def __init__(self, bucket: Bucket, name: str, size: int) -> None:
        self._bucket = bucket
        self._name = name
        self._size = size

    def size(self) -> int:
        return self._size

    def read(self, length: int, offset: int) -> bytes:
        length = min(length, self._size - offset)
        return self._bucket.read(self._name, offset, length) if length > 0 else b""

    def is_there(self) -> bool:
        return True


class _Cache:
    """Hold the ranges that were read last, within so many bytes. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, place: tuple[str, int, int]) -> bytes | None:
        with self._lock:
            found = self._kept.get(place)
            if found is not None:
                self._kept.move_to_end(place)
            return found

    def put(self, place: tuple[str, int, int], data: bytes) -> None:
        if len(data) > self._most // 4:
            return
        with self._lock:
            if place in self._kept:
                return
            self._kept[place] = data
            self._bytes += len(data)
            while self._bytes > self._most:
                self._bytes -= len(self._kept.popitem(last=False)[1])


def _store(url: str, timeout_s: float) -> S3Store:
    try:
        from obstore.store import S3Store
    except ImportError:
        raise SettingsError(
            "packs", 'names a bucket, which needs the extra s3; install gatepost with "[s3]"'
        ) from None
    parts = urlsplit(url)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    try:
        return S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={
                "timeout": f"{timeout_s:g}s",
                "connect_timeout": f"{CONNECT_S:g}s",
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=timeout_s)},
        )
    except Exception as error:
        raise SettingsError("packs", f"is {url!r}, which cannot be used: {_first_line(error)}") from None


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Raise what obstore raises as ``FileNotFoundError``, ``FileExistsError`` or ``ConnectionError``."""
    from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError

    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise FileNotFoundError(None, _first_line(error)) from None
    except (AlreadyExistsError, PreconditionError) as error:
        raise FileExistsError(None, _first_line(error)) from None
    except (BaseError, OSError) as error:
        raise ConnectionError(None, f"{url} cannot be used: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    """Return what an error says, without what is only for the developers of the library, and without its times."""
    return _TIMES.sub("", str(error).split("\n", 1)[0])[:600]


_TIMES = re.compile(r",? (?:in|after|max_retries:|retry_timeout:) [0-9.]+ ?(?:[mµn]?s|retries)?")
