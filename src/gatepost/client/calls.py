"""Hold what all calls share: the connection to a receiver, and lists that are read page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from gatepost.client.connection import Connection, Parameter
from gatepost.items import (
    Listing,
)

__all__ = ["Calls", "Filter", "parameters_of"]

T = TypeVar("T")

Filter = str | int | bool | datetime | None
"""A value of a filter; ``None`` does not filter. A ``datetime`` without a zone is in UTC."""

_SILENCE_S = 45.0
"""The stream says something every 15 seconds."""


class Calls:
    """The connection to a receiver, for one thread."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = 30.0,
        ca_file: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``token`` as ``gatepost tokens create`` printed it. Raises :class:`~gatepost.errors.SettingsError`."""
        self._connection = Connection(url, token, timeout_s=timeout_s, ca_file=ca_file)
        self._patient = Connection(url, token, timeout_s=max(timeout_s, _SILENCE_S), ca_file=ca_file)
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._connection.close()
        self._patient.close()

    def _all(self, path: str, kind: type[T], parameters: Mapping[str, Parameter]) -> Iterator[T]:
        return self._pages(path, kind, {"limit": 500, **parameters})

    def _pages(
        self, path: str, kind: type[T], parameters: Mapping[str, Parameter] | None = None
    ) -> Iterator[T]:
        cursor: str | None = None
        while True:
            given = {**(parameters or {}), "cursor": cursor}
            page = self._connection.get(path, Listing[kind], given)  # type: ignore[valid-type]
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return


def parameters_of(filters: Mapping[str, Filter]) -> dict[str, Parameter]:
    """Return filters as the API reads them."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()
    }
