"""A bucket on this machine: SeaweedFS, which syncs what it stores before it says so."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gatepost.conformance.raw_http import Connection, NoResponse, Target, request
from gatepost.torture.cluster.servers.programs import Programs
from gatepost.torture.cluster.servers.relay import Relay
from gatepost.torture.cluster.servers.service import Service, ServiceError

__all__ = ["PORTS", "Bucket", "server_words"]

NAME = "images"
PORTS = 4
"""How many ports it needs."""
VOLUMES = 30
UP_S = 60.0
LOOK_S = 0.1
ASK_S = 5.0
SYNCED = {"locations": [{"locationPrefix": "/buckets/", "fsync": True}]}


def server_words(
    weed: Path, data: Path, config: Path, ports: Sequence[int], *, volumes: int = VOLUMES
) -> list[str | Path]:
    """Return the command of a server with S3 on loopback.

    ``config``: who may use it, as SeaweedFS reads it. ``ports``: of master, volume, filer and S3. ``volumes``: how many
    files of 64 MB it has at most.
    """
    master, volume, filer, s3 = map(str, ports)
    return [
        weed, "server", "-dir", data, "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1",
        "-master.port", master, "-master.telemetry=false", "-master.volumeSizeLimitMB", "64",
        "-volume.port", volume, "-volume.max", str(volumes), "-filer", "-filer.port", filer,
        "-s3", "-s3.port", s3, "-s3.config", config, "-s3.iam=false",
        "-s3.port.iceberg", "0", "-s3.port.lance", "0",
    ]  # fmt: skip


class Bucket:
    """One bucket. ``environment``: the variables with which receivers use it."""

    def __init__(
        self,
        folder: Path,
        programs: Programs,
        secret: str,
        ports: Sequence[int],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        folder.mkdir()
        self._sleep = sleep
        self._clock = clock
        self._secret = secret
        self._filer = ports[2]
        self.relay = Relay(lambda: [ports[3]])
        identity = {
            "name": "gatepost",
            "credentials": [{"accessKey": "gatepost", "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        config.chmod(0o600)
        data = folder / "data"
        data.mkdir()
        self.service = Service("bucket", server_words(programs.weed, data, config, ports), folder)

    @property
    def packs(self) -> str:
        """Return the setting ``packs`` of receivers."""
        return f"s3://{NAME}"

    @property
    def environment(self) -> dict[str, str]:
        """Return where it is, and with which keys it is used."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.relay.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "gatepost",
            "AWS_SECRET_ACCESS_KEY": self._secret,
        }

    async def start(self) -> None:
        """Start it, and wait until it takes something. Raises ServiceError."""
        await self.relay.open()
        await self.service.start()
        end = self._clock() + UP_S
        while not await self._is_up():
            self.service.check()
            if self._clock() > end:
                raise ServiceError(
                    f"the bucket was not ready within {UP_S:.0f} s; it said: {self.service.last_words()}"
                )
            await self._sleep(LOOK_S)

    async def _is_up(self) -> bool:
        rules = json.dumps(SYNCED).encode()
        return await self._asked(
            "PUT", self._filer, "/etc/seaweedfs/filer.conf", rules
        ) and await asyncio.to_thread(self._stores)

    def _stores(self) -> bool:
        import obstore
        from obstore.store import S3Store

        store = S3Store(
            NAME,
            endpoint=self.environment["AWS_ENDPOINT_URL"],
            region="us-east-1",
            access_key_id="gatepost",
            secret_access_key=self._secret,
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(store, "is-up", b"yes", use_multipart=False)
        except Exception:
            return False
        return True

    async def _asked(self, method: str, port: int, path: str, body: bytes) -> bool:
        target = Target.parse(f"http://127.0.0.1:{port}{path}")
        head, body = request(target, body, method=method)
        try:
            async with Connection.open(target, timeout_s=ASK_S) as connection:
                await connection.send(head, body)
                answer = await connection.read()
        except OSError:
            return False
        return not isinstance(answer, NoResponse) and answer.status < 300

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self.service.kill()

    async def stop(self) -> None:
        """End it, and close its port."""
        await self.service.kill()
        await self.relay.close()
