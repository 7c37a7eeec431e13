"""Managing real terminals, connected to the desk: its registry, its audit log, its journal."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gatepost.egress import Egress
from gatepost.fleet.client import Seen
from gatepost.fleet.history.around import Around
from gatepost.fleet.history.histories import Histories
from gatepost.fleet.managing import Fleet
from gatepost.fleet.surroundings import Surroundings
from gatepost.receiver.jobs.desk_writer import DeskWriter
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.receiver.processes.memory import hand_back
from gatepost.receiver.terminals.admin import Registrar, new_token
from gatepost.receiver.terminals.sources import token_digest
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.names import PROGRAM
from gatepost.store.interface import Arrival, Store
from gatepost.store.query.notices import Notices
from gatepost.store.receivers.leases import Leases
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.adoptions import Adoptions
from gatepost.store.terminals.fleet import Adopted
from gatepost.store.terminals.fleet_jobs import FleetJobs

__all__ = ["histories_of", "managing"]

FLEET_THREADS = 2
"""For all adopted terminals together: what they do there is ask the store."""


def managing(
    store: Store,
    settings: ReceiverSettings,
    accounts: Accounts,
    registrar: Registrar,
    notices: Notices,
    *,
    refresh: Callable[[], None],
    told: Callable[[], None],
    heard: Mapping[int, int],
    now: Callable[[], float],
) -> Fleet:
    """Return what manages real terminals.

    ``refresh`` is called when a terminal was changed, and ``told`` after a notice; ``heard``: when terminals last
    pushed, in milliseconds.
    """

    async def take_in(seen: Seen, name: str | None, site_id: int | None) -> int:
        return await registrar.take_in(seen.serial, name, site_id, now_ms=int(now() * 1000))

    def note(action: str, row: AdoptedRow, detail: Mapping[str, Any]) -> None:
        accounts.note(
            now_ms=int(now() * 1000),
            actor=PROGRAM,
            address="",
            action=action,
            subject=str(row.terminal_id),
            detail=detail,
        )

    around = Surroundings(
        adopted=Adopted(store),
        notices=notices,
        egress=Egress(settings.fleet_networks, setting="fleet_networks"),
        threads=ThreadPoolExecutor(FLEET_THREADS, "gatepost-fleet"),
        digest=token_digest,
        new_token=new_token,
        take_in=take_in,
        refresh=refresh,
        note=note,
        told=told,
        heard=heard,
        now=now,
        rand=random.Random().random,  # noqa: S311 - jitter is no secret
        hand_back=hand_back,
    )
    return Fleet(around, Adoptions(store), Leases(store), owner=_owner(settings, "the one process"))


def histories_of(
    fleet: Fleet,
    store: Store,
    settings: ReceiverSettings,
    writer: DeskWriter,
    projector: Projector,
    notices: Notices,
    *,
    told: Callable[[], None],
    now: Callable[[], float],
    monotonic: Callable[[], float],
) -> Histories:
    """Return what fetches the histories of adopted terminals; ``told`` is called after a notice."""

    def take(arrivals: Sequence[Arrival]) -> None:
        writer.append([writer.encoded(one) for one in arrivals])

    around = Around(
        jobs=FleetJobs(store),
        adopted=fleet.adopted,
        leases=Leases(store),
        notices=notices,
        talk=fleet.visitor.talk,
        take=take,
        taken=projector.wake,
        catch_up=projector.catch_up,
        secret=store.secret,
        owner=_owner(settings, "the one process, fetching"),
        now=now,
        monotonic=monotonic,
        told=told,
    )
    return Histories(
        around,
        lambda: {label.id: label.timezone for label in store.all_labels()},
        starts=settings.fleet_backfill == "start",
        keep_days=settings.retention_records_days,
    )


def _owner(settings: ReceiverSettings, alone: str) -> str:
    """Return the owner of leases: of a data folder there is one process, ``alone``, which never waits for its own."""
    return secrets.token_hex(8) if settings.database else alone
