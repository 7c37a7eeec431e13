"""The paths at which pushes are taken, with or without a token behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["PushPaths", "masked"]


class PushPaths:
    """``/Record``, ``/Record/TOKEN``, and every further path of the settings."""

    def __init__(self, paths: Sequence[str]) -> None:
        bare = [path.rstrip("/") for path in paths]
        self._exact = frozenset(bare + [path + "/" for path in bare])
        self._prefixes = tuple(path + "/" for path in bare)
        self.targets: Mapping[bytes, str] = {path.encode(): "" for path in self._exact}
        """Targets of requests that have no token in them, which most have: each with the token."""

    def token_in(self, path: str) -> str | None:
        """Return the token in a path, empty where it has none; ``None`` if no push is taken there."""
        if path in self._exact:
            return ""
        for prefix in self._prefixes:
            if path.startswith(prefix) and "/" not in path[len(prefix) :]:
                return path[len(prefix) :]
        return None

    def wants(self, target: bytes) -> bool:
        """Return whether a request with this target can be taken without taking the target apart."""
        if target in self.targets:
            return True
        path = target.decode("latin-1")
        return path.isascii() and "%" not in path and "?" not in path and self.token_in(path) is not None

    def shown(self, path: str) -> str:
        """Return a path as it may be shown: of a token, its first characters only."""
        token = self.token_in(path)
        return path.removesuffix(token) + masked(token) if token else path


def masked(token: str) -> str:
    """Return so much of a token that the person who set it can tell which one it is."""
    return token[:4] + "\N{HORIZONTAL ELLIPSIS}"
