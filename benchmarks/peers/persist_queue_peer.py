"""What a maker writes today: persist-queue's SQLite acknowledge queue, and `requests` with a session.

An event is a dictionary with the image as bytes; the body is built when it is pushed, as gatepost's outbox does.
Run: `python -m benchmarks.peers.persist_queue_peer FOLDER URL` drains until it is ended; `fill` prepares a queue.
"""

import base64
import json
import sqlite3
import sys
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


def drain(folder: Path, url: str) -> None:
    """Push what the queue holds, oldest first, for ever."""
    queue = SQLiteAckQueue(str(folder), auto_commit=True)
    with requests.Session() as session:
        while True:
            event = queue.get()
            if push(session, url, event):
                queue.ack(event)
            else:
                queue.nack(event)
                time.sleep(1)


if __name__ == "__main__":
    drain(Path(sys.argv[1]), sys.argv[2])
