"""Single questions to a server and its database: does it answer in the documented words, and what has it stored?"""

import http.client
import json

from benchmarks.programs import BenchmarkError


def post_one(port: int, body: bytes) -> None:
    """Post one event to `/Record`; anything but HTTP 200 with `code` 200 is a BenchmarkError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/Record", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read(65536)
    finally:
        connection.close()
    if reply.status != 200 or json.loads(text).get("code") != 200:
        raise BenchmarkError(
            f"port {port} answered {reply.status} {text[:300]!r} to an event of the page's example"
        )


def stored(database: str) -> int:
    """How many records a database holds, asked of the database itself. `database`: an SQLAlchemy address."""
    from sqlalchemy import create_engine, text

    engine = create_engine(database)
    try:
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM records")).scalar_one())
    finally:
        engine.dispose()
