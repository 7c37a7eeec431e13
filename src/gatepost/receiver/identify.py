"""Which terminal a push comes from, and whether it is taken. Pure decisions over what the store knows.

What a push may say of its origin, in the order in which it is believed:

1. the token in the address that this terminal was told to push to;
2. the ``sn`` header (firmware from API 1.2.1 on);
3. ``deviceSN`` in the body (alarms have none);
4. the peer address, if records with a serial came from it before. An address from which nothing with a serial
   ever came stands for a terminal of its own.

Where they disagree the first one counts, and the disagreement is noted on the event.

Flow: :class:`Claim` → :func:`decide` over a :class:`Directory` → :class:`Taken`, :class:`Introduced` (the store
has to make a terminal first, then decide again) or :class:`Rejected`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.store.store import TerminalRow, TerminalState
from gatepost.wire import Problem

__all__ = [
    "Claim",
    "Directory",
    "Introduced",
    "Known",
    "Networks",
    "Policy",
    "Rejected",
    "Taken",
    "Unknowns",
    "decide",
    "peer_address",
    "token_digest",
]

MAX_SERIAL = 128
"""Characters. The maker's serials have some twenty."""

MAX_REMEMBERED = 65_536
"""Claims and peer addresses that are kept in memory. Beyond it the oldest are forgotten; a claim in which something is
longer than a serial is not kept at all, for it may be as long as a body."""

MAX_ADDRESS = 100
"""Characters. An IPv6 address has at most 45, and the name of a link behind them."""


class Unknowns(StrEnum):
    """What to do with a terminal that the store has never seen: list what it sends, hide it until somebody
    approves the terminal, or take nothing."""

    ACCEPT = "accept"
    HOLD = "hold"
    REFUSE = "refuse"


class Networks:
    """A list of networks that an address can be in. Empty: none."""

    def __init__(self, networks: Iterable[str], *, setting: str) -> None:
        """Raises :class:`~gatepost.errors.SettingsError`, which names ``setting``, for what is no network."""
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in networks:
            try:
                self._networks.append(ip_network(text.strip(), strict=False))
            except ValueError:
                raise SettingsError(
                    setting, f"has {text!r}, which is no network such as 10.0.0.0/8"
                ) from None

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@lru_cache(4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    # A listener on both families sees IPv4 peers as ::ffff:10.0.0.7 (RFC 4291, section 2.5.5.2).
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@lru_cache(4096)
def _plain(text: str) -> str:
    address = _address(text)
    return str(address) if address is not None else text


def peer_address(direct: str, forwarded_for: str | None, trusted: Networks) -> str:
    """Answer the address that a request comes from.

    ``X-Forwarded-For`` is believed only as far as trusted proxies wrote it: from the right, each entry was added
    by the one after it, so the first that is no trusted proxy is the sender. What stands left of it the sender
    may have made up. An entry that is no address ends the search at the proxy that passed it on.
    """
    peer = _plain(direct)
    if forwarded_for is None or not trusted or peer not in trusted:
        return peer
    for entry in reversed(forwarded_for.split(",")):
        candidate = _address(entry) if len(entry) <= MAX_ADDRESS else None
        if candidate is None:
            return peer
        peer = str(candidate)
        if peer not in trusted:
            return peer
    return peer


def token_digest(token: str) -> bytes:
    """Answer what the store keeps of a token: whoever reads the database cannot push with it."""
    return blake2b(token.encode("utf-8", "surrogatepass"), digest_size=32).digest()


class Claim(Struct, frozen=True):
    """What a push says of its origin; ``None`` where it says nothing."""

    token: bytes | None
    """The :func:`token_digest` of what stands behind the path."""
    header: str | None
    body: str | None
    peer: str


class Known(Struct, frozen=True, kw_only=True):
    """A terminal, as far as it matters to a decision."""

    id: int
    serial: str | None
    anonymous_peer: str | None = None
    """The address that stands for it, where it has no serial."""
    state: TerminalState = "new"
    networks: tuple[str, ...] = ()
    """From where it may push. Empty: from anywhere."""

    @classmethod
    def of(cls, row: TerminalRow) -> Known:
        """Take from the store's row what is needed here."""
        return cls(
            id=row.id,
            serial=row.serial,
            anonymous_peer=row.anonymous_peer,
            state=row.state,
            networks=row.networks,
        )


class Policy(Struct, frozen=True, kw_only=True):
    """The settings that decide."""

    unknowns: Unknowns = Unknowns.ACCEPT
    allowed: Networks | None = None
    """From where anyone may push; ``None`` or empty: from anywhere."""
    max_terminals: int = 20_000
    """So many may introduce themselves; whoever makes serials up does not fill the disk with them."""


class Taken(Struct, frozen=True, kw_only=True):
    """The push is stored for this terminal."""

    terminal_id: int
    bind_peer: bool = False
    """Something better than the peer address said so: what comes from there without any is this terminal's."""
    problems: tuple[Problem, ...] = ()
    disagreements: tuple[tuple[str, str], ...] = ()
    """Who else it could have been: (source, what it said)."""


class Introduced(Struct, frozen=True):
    """A terminal that the store does not have yet. Make it, then decide again."""

    serial: str | None
    state: TerminalState


class Rejected(Struct, frozen=True, kw_only=True):
    """The push is not taken; ``status`` is HTTP's."""

    status: int
    message: str
    reason: str
    """By which refusals are counted."""
    serial: str | None = None
    terminal_id: int | None = None


Decision = Taken | Introduced | Rejected


class Directory:
    """The terminals that are known, for looking up. Fed from the store, and again after every change there."""

    def __init__(self) -> None:
        self._by_serial: dict[str, Known] = {}
        self._by_token: dict[bytes, int | None] = {}
        self._by_peer: dict[str, int] = {}
        self._fed_peers: dict[str, int] = {}
        """As the store had them at the last feed."""
        self._seen_since: set[str] = set()
        """Addresses of which something else was learnt since the store began to be read."""
        self._anonymous: dict[str, Known] = {}
        self._by_id: dict[int, Known] = {}
        self._decided: dict[Claim, Taken] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def reading(self) -> None:
        """The store is about to be read for :meth:`feed`: of what is learnt from now on it may say nothing yet."""
        self._seen_since.clear()

    def feed(self, terminals: Iterable[Known], peers: Mapping[str, int]) -> None:
        """Take over what the store has now.

        Whose an address is, every process on a database learns by itself, and the last one is right. So where the
        store says something else than at the last feed, that counts, unless we learnt more since :meth:`reading`.
        Where it says the same, what we learnt is kept: it is on its way there.
        """
        self._by_id = {known.id: known for known in terminals}
        self._by_serial = {known.serial: known for known in self._by_id.values() if known.serial is not None}
        self._anonymous = {
            known.anonymous_peer: known for known in self._by_id.values() if known.anonymous_peer is not None
        }
        fed, self._fed_peers = self._fed_peers, dict(peers)
        for peer in self._seen_since & peers.keys():
            # What it says may yet be the last word, then at the next feed.
            if peers[peer] != self._by_peer.get(peer):
                del self._fed_peers[peer]
        for peer, terminal_id in peers.items():
            if fed.get(peer) != terminal_id and peer not in self._seen_since:
                self._by_peer[peer] = terminal_id
        # Tokens may have been withdrawn: each is asked for again, once.
        self._by_token.clear()
        self._decided.clear()

    def add(self, known: Known) -> None:
        """Take over one terminal that was just made."""
        self._by_id[known.id] = known
        if known.serial is not None:
            self._by_serial[known.serial] = known
        if known.anonymous_peer is not None:
            self._anonymous[known.anonymous_peer] = known

    def learn_token(self, digest: bytes, known: Known | None) -> None:
        """Remember what the store said of a token; that it is nobody's, too."""
        if len(self._by_token) >= MAX_REMEMBERED:
            self._by_token.clear()
        self._by_token[digest] = None if known is None else known.id
        if known is not None:
            self.add(known)

    def knows_token(self, digest: bytes) -> bool:
        """Whether the store has been asked for a token since the last feed."""
        return digest in self._by_token

    def seen(self, peer: str, terminal_id: int) -> None:
        """Remember that something with a serial came from an address."""
        by_peer = self._by_peer
        if by_peer.get(peer) != terminal_id:
            if len(by_peer) >= MAX_REMEMBERED:
                oldest = next(iter(by_peer))
                del by_peer[oldest]
                self._seen_since.discard(oldest)
            by_peer[peer] = terminal_id
            self._seen_since.add(peer)

    def serial(self, serial: str) -> Known | None:
        """The terminal with this serial."""
        return self._by_serial.get(serial)

    def token(self, digest: bytes) -> Known | None:
        """The terminal whose address has this token, if the store was asked."""
        terminal_id = self._by_token.get(digest)
        return None if terminal_id is None else self._by_id.get(terminal_id)

    def peer(self, peer: str) -> Known | None:
        """The terminal that last pushed from an address and said who it was, else the one that it stands for."""
        terminal_id = self._by_peer.get(peer)
        known = None if terminal_id is None else self._by_id.get(terminal_id)
        return known if known is not None else self._anonymous.get(peer)

    def decide(self, claim: Claim, policy: Policy) -> Decision:
        """:func:`decide`, remembered: a terminal says the same of itself a thousand times a day."""
        taken = self._decided.get(claim)
        if taken is None:
            decision = decide(claim, self, policy)
            if not isinstance(decision, Taken):
                return decision
            taken = decision
            if taken.bind_peer and _is_short(claim):
                if len(self._decided) >= MAX_REMEMBERED:
                    self._decided.clear()
                self._decided[claim] = taken
        if taken.bind_peer:
            self.seen(claim.peer, taken.terminal_id)
        return taken


def decide(claim: Claim, directory: Directory, policy: Policy) -> Decision:
    """Tell which terminal a push is of, and whether it is taken."""
    problems: list[Problem] = []
    header = _serial(claim.header, "sn header", problems)
    body = _serial(claim.body, "data.deviceSN", problems)
    serial = header or body
    known: Known | None
    if claim.token is not None:
        known = directory.token(claim.token)
        serial = known.serial if known is not None else serial
    else:
        known = directory.serial(serial) if serial is not None else directory.peer(claim.peer)
    terminal_id = None if known is None else known.id
    rejected = _reject(claim, directory, policy, known)
    if rejected is not None:
        status, reason, message = rejected
        return Rejected(status=status, message=message, reason=reason, serial=serial, terminal_id=terminal_id)
    if known is None:
        return Introduced(serial, "held" if policy.unknowns is Unknowns.HOLD else "new")
    disagreements = []
    if claim.token is not None and header is not None and header != serial:
        disagreements.append(("header", header))
    if body is not None and body != serial:
        disagreements.append(("body", body))
    return Taken(
        terminal_id=known.id,
        bind_peer=claim.token is not None or serial is not None,
        problems=tuple(problems),
        disagreements=tuple(disagreements),
    )


def _reject(
    claim: Claim, directory: Directory, policy: Policy, known: Known | None
) -> tuple[int, str, str] | None:
    """Status, reason and message, if the push is not taken."""
    if policy.allowed and claim.peer not in policy.allowed:
        return 403, "address", "pushes from this address are not allowed; see the setting allowed_networks"
    if known is None:
        if claim.token is not None:
            return 404, "token", "no terminal has this address; copy the one that belongs to the terminal"
        if policy.unknowns is Unknowns.REFUSE:
            return 403, "unknown terminal", "this terminal is unknown here, and unknown terminals are refused"
        if len(directory) >= policy.max_terminals:
            return (
                403,
                "too many terminals",
                "too many terminals have introduced themselves; see max_terminals",
            )
        return None
    if known.networks and claim.peer not in _networks_of(known.networks):
        return 403, "address", "this terminal may not push from this address"
    if known.state == "retired":
        return 403, "retired", "this terminal is retired here"
    if known.state == "new" and policy.unknowns is Unknowns.REFUSE:
        return (
            403,
            "unknown terminal",
            "this terminal is not approved here, and unknown terminals are refused",
        )
    return None


@lru_cache(1024)
def _networks_of(networks: tuple[str, ...]) -> Networks:
    return Networks(networks, setting="networks")


def _is_short(claim: Claim) -> bool:
    """Whether there is nothing in it that is too long to be a serial: such a one is decided each time."""
    return len(claim.header or "") <= MAX_SERIAL and len(claim.body or "") <= MAX_SERIAL


def _serial(text: str | None, where: str, problems: list[Problem]) -> str | None:
    """A serial that can be one; what cannot is noted and not believed."""
    text = text.strip() if text is not None else ""
    if not text:
        return None
    if len(text) > MAX_SERIAL or not text.isprintable():
        problems.append(Problem(where, f"is no serial: at most {MAX_SERIAL} printable characters"))
        return None
    return text
