"""A PostgreSQL that hangs: all its processes stand still, and its kernel goes on acknowledging what it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from tests.postgres import Postgres


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """Stop every process of the server (SIGSTOP), and let them go on (SIGCONT) at the end."""
    postmaster = psutil.Process(server._server.get_pid())
    postmaster.suspend()  # first, so that it makes no more children while they are counted
    family = [postmaster]
    try:
        for process in postmaster.children(recursive=True):
            family.append(process)
            process.suspend()
        yield
    finally:
        for process in reversed(family):
            process.resume()
