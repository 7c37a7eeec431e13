"""The scripts and styles that were bundled when the package was built: what they are called, and how they are sent.

Rules:

* A file's name carries a hash of its content, so a browser may keep it for ever.
* They are few and small: all are held in memory, together with what the build compressed of them.
* Only what the build wrote is served; a name from an address never becomes a path.
"""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath

from litestar import Response
from litestar.exceptions import NotFoundException

from gatepost.errors import GatepostError

__all__ = ["Assets", "AssetsMissing", "PREFIX"]

PREFIX = "/static/"

_ENCODINGS = {"br": ".br", "gzip": ".gz"}

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/speculationrules+json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""Said here and not by the system, whose table may lack one."""

_FOR_EVER = "public, max-age=31536000, immutable"


class AssetsMissing(GatepostError):
    """This installation was made without its console."""

    def __str__(self) -> str:
        return "the console's scripts are not built: run 'python hatch_build.py' in the source tree, or install a wheel"


class Assets:
    """Find the files that the build made. Raises :class:`AssetsMissing`."""

    def __init__(self, folder: Traversable | None = None) -> None:
        folder = folder or files(__package__).joinpath("static", "dist")
        try:
            self._names: dict[str, str] = json.loads(folder.joinpath("manifest.json").read_text())
            self._files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        except OSError:
            raise AssetsMissing from None
        self.stamp = self._names.pop("stamp")
        """Changes with any of the files."""

    def url(self, name: str) -> str:
        """Where a file is: ``console.css``. Raises ``KeyError``."""
        return PREFIX + self._names[name]

    def answer(self, name: str, accept_encoding: str) -> Response[bytes]:
        """Return a file, compressed in a way that the browser accepts. Raises 404."""
        content = self._files.get(name)
        if content is None or name not in self._names.values():
            raise NotFoundException("there is no such file")
        headers = {
            "cache-control": _FOR_EVER,
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        accepted = {part.partition(";")[0].strip() for part in accept_encoding.split(",")}
        for encoding, suffix in _ENCODINGS.items():
            if encoding in accepted and (smaller := self._files.get(name + suffix)) is not None:
                content = smaller
                headers["content-encoding"] = encoding
                break
        return Response(content, media_type=_KINDS[PurePath(name).suffix], headers=headers)
