"""The HTTP services of many terminals in one process: each loopback address that is asked is a terminal of its own.

python -m benchmarks.peers.terminals PORT FOLDER

It listens on every address of 127.0.0.0/8 over TLS; 127.2.0.1 is the terminal `F-127.2.0.1`. What is set as
`event_dest` of a terminal is shown to those who ask for it, and is in `FOLDER/kept.json` when SIGTERM has ended it.
`FOLDER` has its certificate, too: after a restart they are the same terminals.
"""

import asyncio
import json
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from aiohttp import web

from gatepost.certificate import ensure, server_context

LOGIN = {"token": "of.the.benchmark"}
_KEPT = web.AppKey("kept", dict[str, object])


def _own(request: web.Request) -> str:
    """The address that was asked, which is the terminal."""
    assert request.transport is not None
    return str(request.transport.get_extra_info("sockname")[0])


def _reply(request: web.Request, data: object = None) -> web.Response:
    headers = {"sn": f"F-{_own(request)}", "model": "bench", "timestamp": str(int(time.time() * 1000))}
    return web.json_response({"code": 200, "msg": "OK", "data": data}, headers=headers)


async def _ping(request: web.Request) -> web.Response:
    return _reply(request)


async def _login(request: web.Request) -> web.Response:
    return _reply(request, LOGIN)


async def _shown(request: web.Request) -> web.Response:
    return _reply(request, request.app[_KEPT].get(_own(request)))


async def _set(request: web.Request) -> web.Response:
    request.app[_KEPT][_own(request)] = json.loads(await request.read())
    return _reply(request)


async def main(port: int, folder: Path) -> None:
    """Serve until killed."""
    app = web.Application()
    kept = folder / "kept.json"
    app[_KEPT] = json.loads(kept.read_text()) if kept.exists() else {}
    app.router.add_get("/v2/datasync/ping", _ping)
    app.router.add_post("/v1/auth/login", _login)
    app.router.add_get("/v1/event/subscribe", _shown)
    app.router.add_post("/v1/event/subscribe", _set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    pair = ensure(folder, holder="benchmark", names=[], now=datetime.now(UTC))
    await web.TCPSite(runner, "0.0.0.0", port, ssl_context=server_context(*pair), backlog=1024).start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    kept.write_text(json.dumps(app[_KEPT]))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2])))
