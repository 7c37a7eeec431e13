"""Adopt a terminal: look who it is, log in, keep where it pushes to, and give it an address of its own.

Rules:

* Nothing is written to a terminal before it is stored that it is adopted, and where it pushed to before.
* The password is sent once, to a terminal whose serial and certificate were seen, and are those that are expected if
  any are. Whatever goes wrong before it is stored leaves nothing behind, and is for a person.
* A terminal that already pushes to its own address here is not written to.

Flow: :data:`STEPS`. After the first four it is adopted; the rest is a look as any other
(:mod:`gatepost.fleet.tending.visit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.fleet.client import Account, Seen, checked_address
from gatepost.fleet.failures import AnotherCertificate
from gatepost.fleet.surroundings import Surroundings
from gatepost.store.terminals.adopted import AdoptedRow, Credentials, NewAdopted, Previous
from gatepost.wire import Subscription, without_credentials

__all__ = ["STEPS", "Order", "adopt", "check_ours", "shows_all"]

STEPS: Sequence[tuple[str, str]] = (
    ("look", "its serial and certificate are seen, and pinned"),
    ("log in", "the account is tried, once"),
    ("read", "where it pushes to is read"),
    ("keep", "account, certificate and that address are stored: it is adopted"),
    ("set", "its own address is set, if it has another one"),
    ("read back", "it shows the address that was set"),
    ("wait", "its first event by this address arrives"),
)
"""The steps, in this order. Up to *keep* nothing is written, to the store or the terminal."""

MAX_NAME = 128
MAX_SECRET = 256


class Order(Struct, frozen=True, kw_only=True):
    """Hold what a person says to adopt a terminal."""

    address: str
    username: str
    password: str
    ours: str
    """Our address up to the token."""
    by: str
    serial: str | None = None
    """Which terminal it has to be; ``None``: whichever is there."""
    certificate: bytes | None = None
    """SHA-256 of the certificate that a person has looked at; ``None``: the one that it shows."""
    name: str | None = None
    site_id: int | None = None


def check_ours(address: str, ours: str) -> None:
    """Raise :class:`~gatepost.errors.SettingsError` if a terminal elsewhere would be told to push to itself."""
    if _is_loopback(ours) and not _is_loopback(address):
        raise SettingsError(
            "ingest_url",
            f"is needed: terminals cannot reach this receiver at {urlsplit(ours).hostname};"
            " set it to the address at which they do",
        )


async def adopt(order: Order, around: Surroundings) -> AdoptedRow:
    """Adopt a terminal; its address is still to be set then, and it is due at once.

    Raises :class:`~gatepost.fleet.failures.FleetError`, and what ``take_in`` raises.
    """
    address = checked_address(order.address)
    _check_account(order)
    check_ours(address, order.ours)
    async with around.client(address, order.serial, order.certificate) as client:
        seen = await client.look()
        if order.certificate is not None and seen.pin != order.certificate:
            raise AnotherCertificate(f"{address} shows no certificate: it is asked by plain HTTP")
        await client.login(Account(order.username, order.password))
        told = await client.subscription()
    terminal_id = await around.take_in(seen, order.name, order.site_id)
    return await _keep(order, around, address, seen, told, terminal_id)


async def _keep(
    order: Order,
    around: Surroundings,
    address: str,
    seen: Seen,
    told: Subscription | None,
    terminal_id: int,
) -> AdoptedRow:
    """Store that it is adopted."""
    before = await around.in_thread(lambda: around.adopted.one(terminal_id))
    token = await around.in_thread(lambda: _token_of(around, before))
    shown = None if told is None else told.event_dest
    has_ours = False
    if shown is not None and shown.startswith(f"{order.ours}/"):
        rest = shown.removeprefix(f"{order.ours}/")
        owner = await around.in_thread(lambda: around.adopted.owner(around.digest(rest)))
        if owner == terminal_id:
            has_ours, token = True, rest
    next_token = None
    if token is None:
        token = around.new_token()
        next_token = around.digest(token)
    is_ours = shown is not None and without_credentials(shown) == without_credentials(f"{order.ours}/{token}")
    new = NewAdopted(
        terminal_id=terminal_id,
        address=address,
        ours=order.ours,
        credentials=Credentials(order.username, order.password, token),
        certificate=seen.pin,
        # Our own address is none that could be given back.
        previous=None if told is None or is_ours else Previous(told.event_dest, told.enabled),
        previous_shown=None if shown is None or is_ours else without_credentials(shown),
        # With the token that it had, what it shows of our address is all that can be compared.
        must_set=not (told is not None and told.enabled and (has_ours or (next_token is None and is_ours))),
        clock_error_ms=None if seen.clock_error_s is None else round(seen.clock_error_s * 1000),
        by=order.by,
        next_token=next_token,
    )
    now_ms = round(around.now() * 1000)
    row = await around.in_thread(lambda: around.adopted.adopt(new, now_ms=now_ms))
    around.refresh()
    return row


def _token_of(around: Surroundings, row: AdoptedRow | None) -> str | None:
    """Return the token of a terminal that was adopted before, if it still counts. Blocks."""
    credentials = None if row is None else around.adopted.opened(row)
    if row is None or credentials is None or around.digest(credentials.token) not in row.token_digests:
        return None
    return credentials.token


def shows_all(event_dest: str) -> bool:
    """Return whether an address is as it was set: a terminal may show it without what is secret in it."""
    return "***" not in event_dest


def _check_account(order: Order) -> None:
    for name, value in (("username", order.username), ("password", order.password)):
        if not value:
            raise SettingsError(name, "is missing; give the account of the terminal's own service")
        if len(value) > MAX_SECRET:
            raise SettingsError(name, f"is longer than {MAX_SECRET} characters")
    if order.name is not None and len(order.name) > MAX_NAME:
        raise SettingsError("name", f"is longer than {MAX_NAME} characters")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
