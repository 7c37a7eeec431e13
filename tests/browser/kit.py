"""What the tests of the console in a browser share: a real receiver with a past, simulated doors, a real browser."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Browser, Page, Playwright
from tests.packing import packing

from gatepost import wire
from gatepost.simulator.world import passages
from gatepost.simulator.world.passages import Door, Moment
from gatepost.simulator.world.people import Site, make_site
from gatepost.simulator.world.scenario import SITE_TIME, Plan, doors, happenings
from gatepost.store.interface import Arrival
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import Alarm, Dialect, Record
from gatepost.wire.codes import AlarmCode, AlarmStatus

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "correct horse battery"
SEED = 7
JSON = {"Content-Type": "application/json"}
ZONE = "Asia/Shanghai"
NAMES = ("Main gate 正门", "Lobby 大堂", "Loading bay 装卸区", "Car park 停车场", "Laboratory 实验室")


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium, without the calls that it would make home."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


class Doors:
    """Simulated doors, and everything that they can send."""

    def __init__(self, count: int = len(NAMES)) -> None:
        self.day = datetime.now(SITE_TIME).replace(hour=0, minute=0, second=0, microsecond=0)
        self.site: Site = make_site(SEED, employees=40, visitors=8, blacklist=2, strangers=6)
        self.doors: list[Door] = doors(self._plan(self.day, count, 1, SEED))
        self._number = 500_000

    @staticmethod
    def _plan(day: datetime, count: int, share: int, seed: int) -> Plan:
        mix = {Dialect.V1_3_0: 1.0}
        return Plan(
            seed=seed, terminals=count, day=day, opens=6.5, closes=20.5, passages=share, alarms=0.35, mix=mix,
            faults=False, images=False,
        )  # fmt: skip

    def past(
        self, *, days: int, passages_a_day: int, pictures: int
    ) -> Iterator[tuple[Door, Record | Alarm, datetime]]:
        """What happened up to now, door by door and day by day; the latest ``pictures`` of each door with one."""
        now = datetime.now(SITE_TIME) - timedelta(seconds=90)
        for door in self.doors:
            events = []
            for back in range(days - 1, -1, -1):
                # Another seed each day: the same one would give each day's events the same names.
                day = self.day - timedelta(days=back)
                plan = self._plan(day, len(self.doors), passages_a_day, SEED + 1000 * (back + 1))
                events += [
                    (happening.at, happening.event)
                    for happening in happenings(plan, self.site, door)
                    if happening.at < now
                ]
            for place, (at, event) in enumerate(events):
                if isinstance(event, Record) and len(events) - place <= pictures:
                    moment = Moment(SEED, at.replace(hour=0, minute=0, second=0, microsecond=0), at, place)
                    yield door, passages.passage(moment, self.site, door), at
                else:
                    yield door, event, at

    def passage(self, door: int = 0, **changed: Any) -> Record:
        """Somebody stands before a door now; a person who may pass, unless ``changed`` says otherwise."""
        while True:
            self._number += 1
            moment = Moment(SEED, self.day, datetime.now(SITE_TIME), self._number)
            record = passages.passage(moment, self.site, self.doors[door])
            if record.user is not None and record.passed and record.image is not None:
                return msgspec.structs.replace(record, **changed)

    def alarm(
        self,
        door: int = 0,
        *,
        began: datetime | None = None,
        status: AlarmStatus = AlarmStatus.OCCURRED,
        at: datetime | None = None,
    ) -> Alarm:
        """A step of an alarm, ``at`` now: the door is held open, since then or since it ``began``."""
        at = at or datetime.now(SITE_TIME)
        life = (AlarmCode.DOOR_HELD, status, began or at)
        return passages.alarm(Moment(SEED, self.day, at, 1), self.site, self.doors[door], life=life)


class Console:
    """``gatepost serve`` as a process of its own."""

    def __init__(self, folder: Path, *, port: int = 0, **environ: str) -> None:
        self.folder = folder
        self._environ = {"GATEPOST_ADMIN_PASSWORD": PASSWORD, **environ}
        self.port = port
        self._process: subprocess.Popen[str] | None = None
        self.doors = Doors()
        self._cookies: dict[str, tuple[str, str]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def start(self) -> None:
        """Start it, on the port that it had before, and wait until it listens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gatepost.cli", "serve",
                 "--data", self.folder, "--listen", f"127.0.0.1:{self.port}"],
                stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "GATEPOST_LANG": "en", **self._environ},
            )  # fmt: skip
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", said)
        assert found, f"the receiver did not start: {said}{self.log.read_text()}"
        self.port = int(found[1])

    def stop(self) -> None:
        """End it as a service manager does. Idempotent."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def push(self, event: Record | Alarm | dict[str, Any], door: int = 0, *, settles: bool = True) -> float:
        """Push as a terminal does, and with ``settles`` wait until it is listed.

        Return when the acknowledgement came, in seconds of ``time.monotonic``.
        """
        body = json.dumps(event).encode() if isinstance(event, dict) else wire.encode(event)
        one = self.doors.doors[door]
        headers = {"Content-Type": "application/json", "sn": one.serial, "model": one.model}
        status, answer = self.request("POST", "/Record", body, headers)
        assert status == 200, answer
        assert json.loads(answer)["code"] == 200, answer
        acknowledged = time.monotonic()
        if settles:
            self.settle()
        return acknowledged

    def settle(self) -> None:
        """Wait until everything is listed that was acknowledged before."""
        while self.get_json("/api/v1/stats")["journal"]["events"]:
            time.sleep(0.01)  # another process: only asking it tells

    def get_json(self, path: str) -> Any:
        """Ask the API as admin."""
        name, value = self.cookie("admin", "admin")
        return json.loads(self.request("GET", path, headers={"Cookie": f"{name}={value}"})[1])

    def change(self, method: str, path: str, said: dict[str, Any]) -> Any:
        """Make or change something over the API as admin; return the reply."""
        name, value = self.cookie("admin", "admin")
        own = {**JSON, "Cookie": f"{name}={value}", "Sec-Fetch-Site": "same-origin"}
        status, reply = self.request(method, path, json.dumps(said).encode(), own)
        assert status in (200, 201), reply
        return json.loads(reply)

    def cookie(self, name: str, role: str, *, anew: bool = False) -> tuple[str, str]:
        """The cookie of somebody's session, opened once; their account is made if there is none yet."""
        if name != "admin" and name not in self._cookies:
            self._make_account(name, role)
        if anew or name not in self._cookies:
            who = {"name": name, "password": PASSWORD}
            _, headers, _ = self._ask("POST", "/api/v1/session", json.dumps(who).encode(), JSON)
            key, _, value = headers["set-cookie"].partition(";")[0].partition("=")
            if anew:
                return key, value
            self._cookies[name] = key, value
        return self._cookies[name]

    def _make_account(self, name: str, role: str) -> None:
        key, value = self.cookie("admin", "admin")
        body = json.dumps({"name": name, "role": role, "password": PASSWORD}).encode()
        own = {**JSON, "Cookie": f"{key}={value}", "Sec-Fetch-Site": "same-origin"}
        status, _, answer = self._ask("POST", "/api/v1/accounts", body, own)
        assert status == 201, answer

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request, without a browser."""
        status, _, answer = self._ask(method, path, body, headers or {})
        return status, answer

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as line:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, said, answer.read()


class Endpoint:
    """Notes what it is sent, and replies with a status."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []
        self.status = 204
        self.refused = ""
        """What is refused has this in it."""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.bodies.append(json.loads(body))
                is_refused = endpoint.refused and endpoint.refused in body.decode()
                self.send_response(400 if is_refused else endpoint.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self.server.shutdown()
        self.server.server_close()


def prepare(folder: Path, doors: Doors, *, days: int, passages_a_day: int, pictures: int) -> None:
    """Give a receiver a past: its site, its terminals by name, and what they sent when it happened."""
    with contextlib.closing(SqliteStore.open(folder)) as store:
        store.update_site(1, name="Shanghai 上海", timezone=ZONE)
        ids = {}
        for door, name in zip(doors.doors, NAMES, strict=False):
            row = store.create_terminal(
                now_ms=_ms(datetime.now(UTC) - timedelta(days=days)), serial=door.serial, name=name
            )
            ids[door.serial] = row.id
        arrivals = [
            _arrival(ids[door.serial], door, event, at)
            for door, event, at in doors.past(days=days, passages_a_day=passages_a_day, pictures=pictures)
        ]
        arrivals.sort(key=lambda arrival: arrival.received_at_ms)
        packing(store)
        for start in range(0, len(arrivals), 400):
            store.write(arrivals[start : start + 400])


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _arrival(terminal_id: int, door: Door, event: Record | Alarm, at: datetime) -> Arrival:
    decoded = wire.decode(wire.encode(event))
    received = _ms(at) + 400
    return Arrival(
        terminal_id=terminal_id,
        key=wire.key_digest(wire.key(event)),
        event=msgspec.structs.replace(decoded.event, image=event.image),
        received_at_ms=received,
        sent_at_ms=received - 150,
        original=decoded.original,
        dialect=decoded.dialect,
        peer="10.4.0.2",
        model=door.model,
    )


def log_in(page: Page, console: Console, name: str = "admin", password: str = PASSWORD) -> None:
    """Log in on the page that asks for it."""
    if "/login" not in page.url:
        page.goto(console.url + "/login")
    page.fill("[name=name]", name)
    page.fill("[name=password]", password)
    page.click(".stack button")
    page.wait_for_url(lambda url: "/login" not in url)


def until(condition: Callable[[], bool], page: Page, timeout: float = 60.0) -> None:
    """Wait until a condition holds that no selector can express."""
    ends = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < ends, "it did not come about in time"
        page.wait_for_timeout(25)


def severe(page: Page) -> Sequence[str]:
    """What axe finds on a page of WCAG 2.2 A and AA, and of best practices that are serious."""
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "async () => (await axe.run(document, {"
        "resultTypes: ['violations'], selectors: false, preload: false, runOnly: {type: 'tag', values:"
        " ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}})).violations"
    )
    return [
        f"{one['id']} ({one['impact']}): " + "; ".join(node["html"][:160] for node in one["nodes"][:3])
        for one in found
        if one["impact"] in ("serious", "critical") or any(tag.startswith("wcag") for tag in one["tags"])
    ]


__all__ = [
    "Browser",
    "Console",
    "Doors",
    "Endpoint",
    "PASSWORD",
    "ZONE",
    "launch",
    "log_in",
    "prepare",
    "severe",
    "until",
]
