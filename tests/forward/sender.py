"""A process that sends to the destinations of a store until it is killed: python -m tests.forward.sender FOLDER."""

import asyncio
import sys
from pathlib import Path

from gatepost.egress import Egress
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.image_links import ImageLinks
from gatepost.receiver.people_rules import Meaning, rules_of
from gatepost.settings import ReceiverSettings
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.sqlite.store import SqliteStore

if __name__ == "__main__":
    store = SqliteStore.open(Path(sys.argv[1]))
    forwarding = Forwarding(
        store,
        Destinations(store),
        Meaning(store, rules_of(ReceiverSettings())).people,
        Egress(["127.0.0.0/8"]),
        source=lambda: "test",
        links=ImageLinks("", lambda: b""),
        owner="the one process",
    )
    asyncio.run(forwarding.run())
