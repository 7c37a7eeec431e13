"""A terminal with its own service over TLS, which behaves or misbehaves as ``gatepost terminal run`` does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from gatepost.fleet.client import Account
from gatepost.settings import TerminalServiceSettings
from gatepost.terminal import Terminal
from gatepost.terminal.http_api.listener import prepare
from gatepost.terminal.rehearsal.faults import parse
from gatepost.terminal.rehearsal.rehearsal import Rehearsal
from gatepost.terminal.rehearsal.serving import serving

ADMIN = Account("admin", "a long password")


class Double:
    """One terminal; ``options`` are its faults, as typed: ``forget=3600``, ``reply=404``, ``history=no-uuid``.

    What happens over time happens when a test says so: ``await double.rehearsal.step()`` does what is due, and
    ``happens("forget")`` one thing at once.
    """

    def __init__(self, folder: Path, serial: str = "SN-7", *options: str, tls: bool = True) -> None:
        self.folder = folder
        self.serial = serial
        self.address = ""
        self.terminal = Terminal(serial, folder, retry_first_s=0.05, retry_cap_s=0.2)
        self._options = options
        self._tls = tls
        self._stack = AsyncExitStack()
        self._service: object = None

    async def open(self) -> Double:
        await self._stack.enter_async_context(self.terminal)
        settings = TerminalServiceSettings(
            listen="127.0.0.1:0", username=ADMIN.username, password=ADMIN.password, tls=self._tls
        )
        listener = prepare(settings, folder=self.folder, serial=self.serial, now=time.time())

        async def status() -> Mapping[str, object]:
            return {}

        faults = parse(self._options)
        service = await self._stack.enter_async_context(
            serving(self.terminal, listener, status, model="T-1", faults=faults, folder=self.folder)
        )
        self._service = service
        self.address = listener.url(service.port)
        return self

    @property
    def rehearsal(self) -> Rehearsal:
        assert isinstance(self._service, Rehearsal)
        return self._service

    async def happens(self, fault: str) -> None:
        """Let one fault that is one of time happen now; ``address`` is where it is then."""
        await self.rehearsal.happen(fault)
        self.address = f"{self.address.rpartition(':')[0]}:{self.rehearsal.port}"

    async def close(self) -> None:
        await self._stack.aclose()
