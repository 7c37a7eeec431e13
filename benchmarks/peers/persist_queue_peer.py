"""What a maker writes today: persist-queue's SQLite acknowledge queue, and `requests` with a session.

An event is a dictionary with the image as bytes; the body is built when it is pushed, as gatepost's outbox does.
Used as its README shows: `get`, work, `ack`. (`auto_commit=False` is not there for this queue, and WAL is its default.)

What was acknowledged stays in the table, and `get` looks for the first row that is not, by a column that stands behind
the event: it reads through every image that was pushed before. So its rate falls with each event, by 5 us of processor
time an event: some 500 a second at the start, 40 after 5,000 events and, reckoned from those, 4 towards the end of
50,000, which are done after two hours. `clear_acked_data`, which the README of this version does not mention, takes
those rows away: with `--clear-every 100`, the best of several, the rate does not fall.

Run: `python -m benchmarks.peers.persist_queue_peer FOLDER URL` drains until it is ended; `fill` prepares a queue.
"""

import argparse
import base64
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import requests
from persistqueue import SQLiteAckQueue


def fill(folder: Path, count: int, event: Callable[[int], dict[str, Any]]) -> None:
    """Put `count` events into a new queue, in one transaction, as the queue's own `put` would one by one."""
    queue = SQLiteAckQueue(str(folder), auto_commit=True)
    queue.put(event(0))
    serialize = queue._serializer.dumps
    queue.close()
    now = time.time()
    with closing(sqlite3.connect(folder / "data.db", isolation_level=None)) as database:
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO ack_queue_default (data, timestamp, status) VALUES (?, ?, 0)",
            ((serialize(event(n)), now) for n in range(1, count)),
        )
        database.execute("COMMIT")


def push(session: requests.Session, url: str, event: dict[str, Any]) -> bool:
    """Post one event; True when the receiver took it."""
    data = dict(event)
    data["rgb_image"] = base64.b64encode(data["rgb_image"]).decode()
    body = json.dumps({"type": 0, "data": data})
    reply = session.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=10)
    return reply.status_code == 200 and reply.json()["code"] == 200


def drain(folder: Path, url: str, *, clear_every: int | None = None) -> None:
    """Push what the queue holds, oldest first, for ever; every so many events, delete what was acknowledged."""
    queue = SQLiteAckQueue(str(folder), auto_commit=True)
    acknowledged = 0
    with requests.Session() as session:
        while True:
            event = queue.get()
            if not push(session, url, event):
                queue.nack(event)
                time.sleep(1)
                continue
            queue.ack(event)
            acknowledged += 1
            if clear_every and acknowledged % clear_every == 0:
                queue.clear_acked_data(max_delete=clear_every, keep_latest=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("--clear-every", type=int)
    given = parser.parse_args()
    drain(given.folder, given.url, clear_every=given.clear_every)
