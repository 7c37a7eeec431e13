"""A process that sends to the destinations of a store until it is killed.

python -m tests.forward.sender STORE [LEASE_S]. ``STORE``: a folder, or the URL of a database. It writes ``lost`` for
each commit that another owner made void.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from gatepost.egress import Egress
from gatepost.forward import forwarding as module
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.image_links import ImageLinks
from gatepost.receiver.people_rules import Meaning, rules_of
from gatepost.settings import ReceiverSettings
from gatepost.store.forwarding.destinations import Destinations, Verdict
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.store import SqliteStore


class Told(Destinations):
    def commit(self, *told: Any, **more: Any) -> Verdict:
        verdict = super().commit(*told, **more)
        if verdict == "lost":
            sys.stdout.write("lost\n")
            sys.stdout.flush()
        return verdict


if __name__ == "__main__":
    where = sys.argv[1]
    store = PostgresStore.open(where) if "://" in where else SqliteStore.open(Path(where))
    if len(sys.argv) > 2:
        module.LEASE_S = float(sys.argv[2])
    forwarding = Forwarding(
        store,
        Told(store),
        Meaning(store, rules_of(ReceiverSettings())).people,
        Egress(["127.0.0.0/8"]),
        source=lambda: "test",
        links=ImageLinks("", lambda: b""),
        owner="the one process",
    )
    asyncio.run(forwarding.run())
